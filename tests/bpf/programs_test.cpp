// SPDX-License-Identifier: Apache-2.0
// Every program alone against this kernel's verifier, and each forced fallback; nothing is left behind.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
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

bool kernel_has(const char* function) {
  btf* types = btf__load_vmlinux_btf();
  const bool found = btf__find_by_name_kind(types, function, BTF_KIND_FUNC) >= 0;
  btf__free(types);
  return found;
}

class Program : public testing::TestWithParam<std::string> {};

TEST_P(Program, IsAcceptedByTheVerifier) {
  keytrail_bpf* skeleton = keytrail_bpf::open(nullptr);
  ASSERT_NE(skeleton, nullptr);
  bpf_program* each = nullptr;
  std::string log(std::size_t{1} << 20U, '\0');
  bpf_object__for_each_program(each, skeleton->obj) {
    bpf_program__set_autoload(each, GetParam() == bpf_program__name(each));
    if (GetParam() == bpf_program__name(each)) bpf_program__set_log_buf(each, log.data(), log.size());
  }
  bpf_program__set_type(skeleton->progs.cgroup__connect_unix, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
  bpf_program__set_expected_attach_type(skeleton->progs.cgroup__connect_unix, static_cast<bpf_attach_type>(49));
  const int error = bpf_object__load_skeleton(skeleton->skeleton);
  keytrail_bpf::destroy(skeleton);
  if ((GetParam().starts_with("fentry") || GetParam().starts_with("fexit")) && error == -EPERM)
    GTEST_SKIP() << "this kernel refuses trampolines: proven in tests/kernels";
  if (GetParam().ends_with("_fast") && !kernel_has("bpf_rdonly_cast"))
    GTEST_SKIP() << "bpf_rdonly_cast came with Linux 6.2";
  if (GetParam().ends_with("connect_unix") && !kernel_has("bpf_sock_addr_set_sun_path"))
    GTEST_SKIP() << "cgroup/connect_unix came with Linux 6.7";
  log.resize(log.find('\0'));
  EXPECT_EQ(error, 0) << log.substr(log.size() - std::min<std::size_t>(log.size(), 2000));
}

INSTANTIATE_TEST_SUITE_P(Alone, Program, testing::ValuesIn(program_names()),
                         [](const auto& info) { return info.param; });

std::string chosen(warden::Loader& loader, Family family) {
  return loader.report()[static_cast<std::size_t>(family)].chosen;
}

/// Listens on a Unix socket and connects to it.
int call_itself(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const auto* const any = reinterpret_cast<const sockaddr*>(&address);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, any, sizeof(address)) != 0 || listen(listener, 1) != 0) return 1;
  return connect(socket(AF_UNIX, SOCK_STREAM, 0), any, sizeof(address));
}

/// One way of a part, and the features that must be taken away to reach it.
struct Way {
  Family family;
  const char* name;
  std::vector<std::string> without;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

class Alternative : public testing::TestWithParam<Way> {};

TEST_P(Alternative, IsReachedByTakingAwayTheBetterOnesAndSeesTheSame) {
  warden::LoaderOptions options;
  options.disabled_features = GetParam().without;
  KernelSide side(options);
  const HookReport& report = side.loader().report()[static_cast<std::size_t>(GetParam().family)];
  for (const HookReport::Refused& one : report.refused) {
    if (one.name == GetParam().name) GTEST_SKIP() << one.name << ": " << one.why << ": proven in tests/kernels";
  }
  EXPECT_THAT(std::string(", ").append(report.chosen).append(", "),
              testing::HasSubstr(std::string(", ") + GetParam().name + ", "));
  const Folder folder;
  const std::string file = folder.file("a/credentials");
  const std::string socket = folder.at("agent.sock");
  const std::uint32_t tgid = in_child([&] { return open(file.c_str(), O_RDONLY) < 0 ? 1 : call_itself(socket); });
  const std::vector<Record> opens = side.events(KT_EV_OPEN, tgid);
  const std::vector<Record> calls = side.events(KT_EV_UNIX, tgid);
  ASSERT_EQ(opens.size(), 1U);
  EXPECT_EQ(joined(opens[0].rest<ev_open>()), file);
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].rest<ev_unix>(), socket);
  EXPECT_TRUE(side.loader().heartbeat());
  side.expect_identity();
}

INSTANTIATE_TEST_SUITE_P(
    Fallback, Alternative,
    testing::Values(
        Way{Family::kOpen, "fentry security_file_open", {}},
        Way{Family::kOpen, "fentry security_file_open with probe_read", {"rdonly_cast"}},
        Way{Family::kOpen, "kprobe security_file_open", {"fentry"}},
        Way{Family::kOpen, "kprobe security_file_open with probe_read", {"fentry", "rdonly_cast"}},
        Way{Family::kOpen, "tracepoint sys_exit_openat", {"fentry", "kprobe"}},
        Way{Family::kOpen, "tracepoint sys_exit_openat with probe_read", {"fentry", "kprobe", "rdonly_cast"}},
        Way{Family::kConnect, "fentry security_unix_stream_connect", {"connect_unix"}},
        Way{Family::kConnect, "cgroup connect_unix", {}},
        Way{Family::kConnect, "kprobe security_unix_stream_connect", {"fentry", "connect_unix"}},
        Way{Family::kConnect, "tracepoint sys_enter_connect", {"fentry", "kprobe", "connect_unix"}}));

TEST(Fallback, AFamilyWithoutAnyWayIsReportedAndTheOthersWork) {
  warden::LoaderOptions options;
  options.disabled_features = {"tracepoint", "fentry", "kprobe"};
  KernelSide side(options);
  EXPECT_EQ(chosen(side.loader(), Family::kOpen), "");
  EXPECT_NE(side.loader().report()[static_cast<std::size_t>(Family::kOpen)].missing, "");
  EXPECT_EQ(side.loader().report()[static_cast<std::size_t>(Family::kOpen)].refused.size(), 11U);
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
