// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/surroundings.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kAll = 0x1FFFFFFFFFF;
constexpr std::uint64_t kFirst = 4026531836;

std::uint64_t without(int capability) { return kAll & ~(std::uint64_t{1} << static_cast<unsigned>(capability)); }

TEST(SurroundingsTest, NothingIsMissingOnTheMachineItself) {
  EXPECT_TRUE(what_is_missing({.pid_ns = kFirst, .proc = true, .capabilities = kAll}).empty());
}

TEST(SurroundingsTest, APidNamespaceOfItsOwnIsSaidWithTheFix) {
  const auto said = what_is_missing({.pid_ns = kFirst + 700, .proc = true, .capabilities = kAll});
  ASSERT_EQ(said.size(), 1U);
  EXPECT_TRUE(said[0].starts_with(kPartlyArmed)) << said[0];
  EXPECT_NE(said[0].find("hostPID: true"), std::string::npos);
}

TEST(SurroundingsTest, EachCapabilityIsNamedWithWhatItsLackCosts) {
  for (const auto& [number, name] : {std::pair{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
                                     {CAP_KILL, "CAP_KILL"},
                                     {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
                                     {CAP_SETUID, "CAP_SETUID"}}) {
    const auto said = what_is_missing({.pid_ns = kFirst, .proc = true, .capabilities = without(number)});
    ASSERT_EQ(said.size(), 1U) << name;
    EXPECT_TRUE(said[0].starts_with(std::string(kPartlyArmed) + name + " is missing: ")) << said[0];
    EXPECT_NE(said[0].find("Fix: "), std::string::npos);
    EXPECT_LE(said[0].size(), 254U);
  }
}

TEST(SurroundingsTest, ACapabilityWithoutWhichEverythingIsSeenMakesNothingPartlyArmed) {
  for (const auto& [number, name] : {std::pair{CAP_FOWNER, "CAP_FOWNER"},
                                     {CAP_SETPCAP, "CAP_SETPCAP"},
                                     {CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
                                     {CAP_IPC_LOCK, "CAP_IPC_LOCK"}}) {
    const auto said = what_is_missing({.pid_ns = kFirst, .proc = true, .capabilities = without(number)});
    ASSERT_EQ(said.size(), 1U) << name;
    EXPECT_TRUE(said[0].starts_with(std::string(name) + " is missing: ")) << said[0];
    EXPECT_LE(said[0].size(), 254U);
  }
}

TEST(SurroundingsTest, NothingBeginsWhereTheRolesWouldStayRoot) {
  EXPECT_TRUE(can_begin({.pid_ns = kFirst, .proc = true, .capabilities = kAll}));
  for (const auto& [number, name] : {std::pair{CAP_SETUID, "CAP_SETUID"}, {CAP_SETGID, "CAP_SETGID"}}) {
    const auto said = can_begin({.pid_ns = kFirst, .proc = true, .capabilities = without(number)});
    ASSERT_FALSE(said) << name;
    EXPECT_TRUE(said.error().message.starts_with(std::string(name) + " is missing: ")) << said.error().message;
    EXPECT_NE(said.error().message.find("Fix: "), std::string::npos);
  }
}

TEST(SurroundingsTest, TheAdministratorsCapabilityHasThreeOthersInIt) {
  EXPECT_TRUE(what_is_missing({.pid_ns = kFirst, .proc = true, .capabilities = without(CAP_NET_ADMIN)}).empty());
}

TEST(SurroundingsTest, AFamilyThatIsNotArmedIsSaidWithTheReasonsAndFitsARemark) {
  std::vector<HookReport> hooks(3);
  hooks[0].family = Family::kExec;
  hooks[0].chosen = "tp_btf";
  hooks[1].family = Family::kConnect;
  hooks[1].refused = {{"cgroup", "the root of the cgroup v2 tree is not visible: mount the host's /sys/fs/cgroup"},
                      {"again", "the root of the cgroup v2 tree is not visible: mount the host's /sys/fs/cgroup"},
                      {"long", std::string(300, 'x')}};
  hooks[2].family = Family::kRequest;  // optional
  const auto said = what_is_missing(hooks);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_TRUE(
      said[0].starts_with("PARTLY ARMED: connect is not armed: the root of the cgroup v2 tree is not visible: "
                          "mount the host's /sys/fs/cgroup; xxx"))
      << said[0];
  EXPECT_EQ(said[0].size(), 254U);
}

TEST(SurroundingsTest, LooksAtThisProcess) {
  const Surroundings here = look_around();
  EXPECT_NE(here.pid_ns, 0U);
  EXPECT_TRUE(here.proc);
}

}  // namespace
}  // namespace keytrail::warden
