// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/lost_slots.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

namespace keytrail::warden {
namespace {

class LostSlotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    constexpr std::size_t kBytes = std::size_t{KT_LOST_SLOTS} * sizeof(kt_lost);
    fd_.reset(memfd_create("cgroups_lost", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(fd_.get(), static_cast<off_t>(kBytes)), 0);
    void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    ASSERT_NE(at, MAP_FAILED);
    slots_ = static_cast<kt_lost*>(at);
    ASSERT_TRUE(lost_.map(fd_.get()));
  }
  void take(std::size_t slot, std::uint64_t cgroup_id) {
    slots_[slot].cgroup_id = cgroup_id;
    slots_[slot].takers = 1;
    slots_[slot].lost[KT_FAMILY_OPEN] = 5;
  }
  std::size_t give_back() {
    return lost_.give_back([this](std::uint64_t id) { return gone_.contains(id); });
  }

  base::UniqueFd fd_;
  kt_lost* slots_ = nullptr;
  LostSlots lost_;
  std::set<std::uint64_t> gone_;
};

TEST_F(LostSlotsTest, OneOfACgroupThatIsGoneIsFreeAfterASecondLook) {
  take(3, 70);
  take(KT_LOST_SLOTS - 1, 80);
  gone_ = {70};
  EXPECT_EQ(give_back(), 0U) << "the worker may not have read it yet";
  EXPECT_EQ(slots_[3].lost[KT_FAMILY_OPEN], 5U);
  EXPECT_EQ(give_back(), 1U);
  EXPECT_EQ(slots_[3].cgroup_id, 0U);
  EXPECT_EQ(slots_[3].takers, 0U);
  EXPECT_EQ(slots_[3].lost[KT_FAMILY_OPEN], 0U);
  EXPECT_EQ(slots_[KT_LOST_SLOTS - 1].cgroup_id, 80U) << "that one lives";
}

TEST_F(LostSlotsTest, OneThatAnotherCgroupHasByNowIsLookedAtAnew) {
  take(3, 70);
  gone_ = {70, 71};
  EXPECT_EQ(give_back(), 0U);
  take(3, 71);
  EXPECT_EQ(give_back(), 0U);
  EXPECT_EQ(give_back(), 1U);
}

TEST_F(LostSlotsTest, OneThatTwoWantedAtOnceAndNobodyGotIsFreed) {
  slots_[3].takers = 2;
  EXPECT_EQ(give_back(), 0U) << "one of them may be about to have it";
  EXPECT_EQ(give_back(), 1U);
  EXPECT_EQ(slots_[3].takers, 0U);
  slots_[3].takers = 1;
  EXPECT_EQ(give_back(), 0U);
  take(3, 70);
  EXPECT_EQ(give_back(), 0U);
  EXPECT_EQ(slots_[3].cgroup_id, 70U);
}

/// Where cgroup v2 is mounted, or "".
std::string cgroup2() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string what, where, type, rest; mounts >> what >> where >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2") return where;
  }
  return {};
}

TEST(CgroupIds, OfACgroupThatWasRemovedTheKernelSaysThatItIsGone) {
  const std::string root = cgroup2();
  if (geteuid() != 0 || root.empty()) GTEST_SKIP() << "needs root and cgroup v2";
  const std::string path = root + "/keytrail-lost-slots-" + std::to_string(getpid());
  if (mkdir(path.c_str(), 0755) != 0) GTEST_SKIP() << "no cgroup can be made here: " << std::strerror(errno);
  struct stat made{};
  ASSERT_EQ(stat(path.c_str(), &made), 0);
  const CgroupIds ids(root.c_str());
  EXPECT_FALSE(ids.is_gone(made.st_ino));
  EXPECT_FALSE(ids.is_gone(made.st_ino | std::uint64_t{3} << 56U)) << "of cgroup v1";
  ASSERT_EQ(rmdir(path.c_str()), 0);
  EXPECT_TRUE(ids.is_gone(made.st_ino));
  EXPECT_FALSE(CgroupIds("/proc").is_gone(made.st_ino)) << "that tells nothing";
}

}  // namespace
}  // namespace keytrail::warden
