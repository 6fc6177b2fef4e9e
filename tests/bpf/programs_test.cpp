// SPDX-License-Identifier: Apache-2.0
// Every program alone against this kernel's verifier, and each forced fallback; nothing is left behind.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "agent/warden/skeleton.h"
#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

std::vector<std::string> program_names() {
  std::vector<std::string> out;
  keytrail_bpf* skeleton = keytrail_bpf::open(nullptr);
  bpf_program* each = nullptr;
  bpf_object__for_each_program(each, skeleton->obj) out.emplace_back(bpf_program__name(each));
  keytrail_bpf::destroy(skeleton);
  return out;
}

class Program : public testing::TestWithParam<std::string> {};

TEST_P(Program, IsAcceptedByTheVerifier) {
  keytrail_bpf* skeleton = keytrail_bpf::open(nullptr);
  ASSERT_NE(skeleton, nullptr);
  bpf_program* each = nullptr;
  bpf_object__for_each_program(each, skeleton->obj) bpf_program__set_autoload(each, GetParam() == bpf_program__name(each));
  bpf_program__set_type(skeleton->progs.cgroup__connect_unix, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
  bpf_program__set_expected_attach_type(skeleton->progs.cgroup__connect_unix, static_cast<bpf_attach_type>(49));
  const int error = bpf_object__load_skeleton(skeleton->skeleton);
  keytrail_bpf::destroy(skeleton);
  if (GetParam().starts_with("fentry") && error == -EPERM) GTEST_SKIP() << "this kernel refuses trampolines: proven in tests/kernels";
  EXPECT_EQ(error, 0);
}

INSTANTIATE_TEST_SUITE_P(Alone, Program, testing::ValuesIn(program_names()), [](const auto& info) { return info.param; });

std::string chosen(warden::Loader& loader, Family family) { return loader.report()[static_cast<std::size_t>(family)].chosen; }

TEST(Fallback, ReadsKernelMemoryByProbeWhenTheCastIsTakenAway) {
  warden::LoaderOptions options;
  options.disabled_features = {"rdonly_cast"};
  KernelSide slow(options);
  EXPECT_EQ(chosen(slow.loader(), Family::kOpen), "tracepoint sys_exit_openat with probe_read");
  const Folder folder;
  const std::string path = folder.file("a/credentials");
  const std::vector<Record> events = slow.events(KT_EV_OPEN, in_child([&] { return open(path.c_str(), O_RDONLY) < 0; }));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), path);
  slow.expect_identity();
}

TEST(Fallback, ReadsUnixAddressesFromTheCallerWhenTheCgroupHookIsTakenAway) {
  warden::LoaderOptions options;
  options.disabled_features = {"connect_unix"};
  KernelSide side(options);
  EXPECT_NE(chosen(side.loader(), Family::kConnect).find("sys_enter_connect"), std::string::npos);
  side.expect_identity();
}

TEST(Fallback, AFamilyWithoutAnyWayIsReportedAndTheOthersWork) {
  warden::LoaderOptions options;
  options.disabled_features = {"tracepoint", "fentry", "kprobe"};
  KernelSide side(options);
  EXPECT_EQ(chosen(side.loader(), Family::kOpen), "");
  EXPECT_NE(side.loader().report()[static_cast<std::size_t>(Family::kOpen)].missing, "");
  EXPECT_EQ(side.loader().report()[static_cast<std::size_t>(Family::kOpen)].refused.size(), 4U);
  EXPECT_NE(chosen(side.loader(), Family::kExec), "");
  EXPECT_TRUE(side.loader().heartbeat());
}

TEST(Fallback, AnUnknownFeatureIsRefusedWithTheKnownOnes) {
  warden::LoaderOptions options;
  options.disabled_features = {"fentri"};
  const auto loaded = warden::Loader::load(options, {});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("fentry"), std::string::npos);
}

std::set<std::uint32_t> programs_in_kernel() {
  std::set<std::uint32_t> out;
  for (std::uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;)
    out.insert(id);
  return out;
}

TEST(Unload, LeavesNothingBehind) {
  kernel_side();
  usleep(200'000);
  const std::set<std::uint32_t> before = programs_in_kernel();
  {
    KernelSide passing;
  }
  std::set<std::uint32_t> after;
  for (int i = 0; i < 50; ++i) {
    after = programs_in_kernel();
    if (after == before) break;
    usleep(100'000);
  }
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace keytrail::tests
