// SPDX-License-Identifier: Apache-2.0
// By which login a process came, and in whose namespaces it is.
#include <gtest/gtest.h>

#include "agent/identify/identify.h"
#include "tests/unit/identify/fake_proc.h"

namespace keytrail::identify {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kHostMounts = 1, kWebMounts = 50, kDbMounts = 60;
constexpr std::uint64_t kHostGroup = 1, kWebGroup = 2, kDbGroup = 3, kSessionGroup = 4;
constexpr std::uint32_t kUnset = UINT32_MAX;

struct PresenceTest : testing::Test {
  test::FakeProc proc;
  Identify table{{.proc_root = proc.root(), .passwd_path = proc.passwd()}};
  std::uint64_t now = 1000 * kSecond;
  const std::string web = std::string(60, 'a') + "0001", db = std::string(60, 'b') + "0002";

  void SetUp() override {
    name(kHostGroup, "/init.scope");
    name(kWebGroup, "/docker/" + web);
    name(kDbGroup, "/docker/" + db);
    name(kSessionGroup, "/user.slice/user-1000.slice/session-3.scope");
    table.on_event({.head = {.time_ns = ++now, .who = {1, 1, 1}, .cgroup_id = kHostGroup},
                    .body = TaskEvent{{.exe = "/sbin/init", .mnt_ns = kHostMounts}}});
  }
  void name(std::uint64_t id, std::string path) {
    table.on_event({.head = {.time_ns = ++now}, .body = CgroupEvent{.cgroup_id = id, .path = std::move(path)}});
  }
  struct Program {
    InstanceId who;
    std::uint64_t cgroup;
    std::uint32_t mounts;
    InstanceId parent{1, 1, 1};
    std::string exe = "/bin/sh";
    std::uint32_t login = kUnset, session = kUnset;
  };
  ProcessRef exec(const Program& one) {
    return table
        .on_event({.head = {.time_ns = ++now, .who = one.who, .cgroup_id = one.cgroup},
                   .body = ExecEvent{.parent = one.parent,
                                     .exe = one.exe,
                                     .login_uid = one.login,
                                     .session_id = one.session,
                                     .mnt_ns = one.mounts}})
        .who;
  }
  ProcessRef open(const InstanceId& who, std::uint64_t cgroup, std::uint32_t mounts) {
    return table
        .on_event({.head = {.time_ns = ++now, .who = who, .cgroup_id = cgroup}, .body = OpenEvent{.mnt_ns = mounts}})
        .who;
  }
  void fork(const InstanceId& who, std::uint64_t cgroup, const InstanceId& child) {
    table.on_event({.head = {.time_ns = ++now, .who = who, .cgroup_id = cgroup}, .body = ForkEvent{.child = child}});
  }
  static InstanceId at(std::uint32_t tgid, std::uint32_t exec = 1) { return {tgid, tgid * kSecond, exec}; }
  static std::string namespaces(const ProcessRef& process) {
    return process->namespaces_of ? *process->namespaces_of : std::string();
  }
};

TEST_F(PresenceTest, ALoginSessionSaysByWhatItBegan) {
  struct Case {
    const char* daemon;
    LoginBy by;
  };
  std::uint32_t tgid = 10;
  for (const Case& one :
       {Case{"/usr/sbin/sshd", LoginBy::kSsh}, Case{"/usr/lib/openssh/sshd-session", LoginBy::kSsh},
        Case{"/usr/bin/login", LoginBy::kConsole}, Case{"/usr/sbin/cron", LoginBy::kSchedule},
        Case{"/usr/sbin/atd", LoginBy::kAt}, Case{"/usr/libexec/gdm-session-worker", LoginBy::kDesktop},
        Case{"/opt/own/daemon", LoginBy::kUnknown}}) {
    const InstanceId daemon = at(tgid), shell = at(tgid + 1), sudo = at(tgid + 2);
    exec({.who = daemon, .cgroup = kHostGroup, .mounts = kHostMounts, .exe = one.daemon});
    fork(daemon, kHostGroup, shell);
    const InstanceId bash{shell.tgid, shell.start_ns, 2}, root{sudo.tgid, sudo.start_ns, 2};
    const ProcessRef began = exec({.who = bash,
                                   .cgroup = kSessionGroup,
                                   .mounts = kHostMounts,
                                   .parent = daemon,
                                   .login = 1000,
                                   .session = tgid});
    EXPECT_EQ(began->login_by, one.by) << one.daemon;
    fork(bash, kSessionGroup, sudo);
    const ProcessRef later = exec({.who = root,
                                   .cgroup = kSessionGroup,
                                   .mounts = kHostMounts,
                                   .parent = bash,
                                   .exe = "/usr/bin/sshd",
                                   .login = 1000,
                                   .session = tgid});
    EXPECT_EQ(later->login_by, one.by) << "what it runs, whatever it is called, changes nothing";
    EXPECT_EQ(later->account->login_user, "alice");
    tgid += 10;
  }
}

TEST_F(PresenceTest, WhoEntersAContainersNamespacesFromTheHostIsSaidToBeThere) {
  exec({.who = at(10), .cgroup = kWebGroup, .mounts = kWebMounts});
  const ProcessRef entered = exec({.who = at(20), .cgroup = kSessionGroup, .mounts = kWebMounts, .login = 1000});
  EXPECT_EQ(entered->workload->name, "person: alice") << "the cgroup's word stays";
  EXPECT_EQ(namespaces(entered), "container: aaaaaaaaaaaa");
  EXPECT_EQ(entered->workload->value(fact::kNamespacesOf), "container: aaaaaaaaaaaa");
  EXPECT_EQ(entered->workload->find(fact::kNamespacesOf)->known_by, KnownBy::kKernel);
  fork(at(20), kSessionGroup, at(21));
  EXPECT_EQ(namespaces(table.find(at(21))), "container: aaaaaaaaaaaa");
  const ProcessRef left = exec({.who = at(20, 2), .cgroup = kSessionGroup, .mounts = kHostMounts, .login = 1000});
  EXPECT_EQ(namespaces(left), "");
  EXPECT_EQ(namespaces(open(at(20, 2), kSessionGroup, kWebMounts)), "container: aaaaaaaaaaaa") << "without an exec";
}

TEST_F(PresenceTest, AContainerWhoseCgroupIsNamedAfterItsFirstProgramHasItsNamespacesToo) {
  constexpr std::uint64_t kLate = 9;
  constexpr std::uint32_t kLateMounts = 90;
  exec({.who = at(10), .cgroup = kLate, .mounts = kLateMounts});  // the kernel's order
  name(kLate, "/docker/" + std::string(64, 'c'));
  EXPECT_EQ(namespaces(exec({.who = at(11), .cgroup = kHostGroup, .mounts = kLateMounts})), "container: cccccccccccc");
  EXPECT_EQ(namespaces(exec({.who = at(10, 2), .cgroup = kLate, .mounts = kHostMounts})), "host");
}

TEST_F(PresenceTest, WhoLeavesItsContainerForTheHostOrAnotherIsSaidToBeThere) {
  exec({.who = at(10), .cgroup = kWebGroup, .mounts = kWebMounts});
  exec({.who = at(11), .cgroup = kDbGroup, .mounts = kDbMounts});
  fork(at(10), kWebGroup, at(12));
  const ProcessRef out = exec({.who = at(12, 2), .cgroup = kWebGroup, .mounts = kHostMounts, .parent = at(10)});
  EXPECT_EQ(namespaces(out), "host");
  EXPECT_EQ(out->workload->name, "container: aaaaaaaaaaaa");
  EXPECT_EQ(out->workload->value(fact::kNamespacesOf), "host");
  EXPECT_EQ(namespaces(exec({.who = at(12, 3), .cgroup = kWebGroup, .mounts = kHostMounts})), "host") << "still";
  EXPECT_EQ(namespaces(exec({.who = at(12, 4), .cgroup = kWebGroup, .mounts = kDbMounts})), "container: bbbbbbbbbbbb");
  EXPECT_EQ(namespaces(exec({.who = at(12, 5), .cgroup = kWebGroup, .mounts = kWebMounts})), "") << "home again";
}

TEST_F(PresenceTest, NothingIsSaidOfARuntimeThatStartsOrOfExecInAContainer) {
  // It joins the cgroup first, and the namespaces then.
  const ProcessRef runc = exec({.who = at(10), .cgroup = kWebGroup, .mounts = kHostMounts, .exe = "/usr/bin/runc"});
  EXPECT_EQ(namespaces(runc), "");
  EXPECT_EQ(namespaces(exec({.who = at(10, 2), .cgroup = kWebGroup, .mounts = kWebMounts})), "");
  EXPECT_EQ(namespaces(exec({.who = at(11), .cgroup = kWebGroup, .mounts = kWebMounts})), "") << "docker exec";
  EXPECT_EQ(namespaces(exec({.who = at(12), .cgroup = kWebGroup, .mounts = 77})), "") << "a sandbox of its own";
  EXPECT_EQ(namespaces(exec({.who = at(13), .cgroup = kHostGroup, .mounts = 78})), "") << "a unit's own /tmp";
}

TEST_F(PresenceTest, ARuntimesOwnMountsAreNotTheContainersThatItStarts) {
  constexpr std::uint32_t kRuntimeMounts = 80;  // a snap's
  exec({.who = at(10), .cgroup = kHostGroup, .mounts = kRuntimeMounts, .exe = "/usr/bin/containerd"});
  // runc is in the container's cgroup first: as it forks, and as it runs itself again.
  fork(at(10), kHostGroup, at(11));
  exec({.who = at(11, 2), .cgroup = kWebGroup, .mounts = kRuntimeMounts, .parent = at(10), .exe = "/usr/bin/runc"});
  fork(at(11, 2), kWebGroup, at(12));
  exec({.who = at(12, 3), .cgroup = kWebGroup, .mounts = kWebMounts, .parent = at(11, 2)});
  const ProcessRef shim = exec({.who = at(13), .cgroup = kHostGroup, .mounts = kRuntimeMounts, .parent = at(10)});
  EXPECT_EQ(namespaces(shim), "");
  EXPECT_EQ(namespaces(exec({.who = at(14), .cgroup = kHostGroup, .mounts = kWebMounts})), "container: aaaaaaaaaaaa");
}

TEST_F(PresenceTest, AContainersNamespacesAreItsOwnWhenTheLastThatEnteredHasGone) {
  const InstanceId shell = at(10), other = at(11), server = at(12);  // found in this order by a worker that begins
  exec({.who = shell, .cgroup = kSessionGroup, .mounts = kWebMounts, .login = 1000});
  exec({.who = other, .cgroup = kHostGroup, .mounts = kWebMounts});
  exec({.who = server, .cgroup = kWebGroup, .mounts = kWebMounts});
  const auto entered = [&](std::uint32_t tgid) {
    const std::string name = namespaces(exec({.who = at(tgid), .cgroup = kHostGroup, .mounts = kWebMounts}));
    table.on_event({.head = {.time_ns = ++now, .who = at(tgid), .cgroup_id = kHostGroup}, .body = ExitEvent{}});
    return name;
  };
  table.on_event({.head = {.time_ns = ++now, .who = shell, .cgroup_id = kSessionGroup}, .body = ExitEvent{}});
  EXPECT_EQ(entered(20), "") << "one is still there";
  exec({.who = at(11, 2), .cgroup = kHostGroup, .mounts = kHostMounts});  // goes back to where it came from
  EXPECT_EQ(entered(21), "container: aaaaaaaaaaaa") << "the server does nothing that would tell";
}

TEST(Presence, WhereProcessOneIsNotShownTheFirstKernelThreadsMountsAreTheHosts) {
  const test::FakeProc proc;
  Identify table{{.proc_root = proc.root(), .passwd_path = proc.passwd()}};
  const auto event = [&](const InstanceId& who, std::uint64_t cgroup, decltype(Event::body) body) {
    return table.on_event({.head = {.time_ns = 1000 * kSecond, .who = who, .cgroup_id = cgroup}, .body = body}).who;
  };
  for (const auto& [id, path] : {std::pair(kHostGroup, "/init.scope"), std::pair(kWebGroup, "/k8s.io/web")})
    event({}, 0, CgroupEvent{.cgroup_id = id, .path = path});
  EXPECT_EQ(event({2, 1, 1}, kHostGroup, TaskEvent{{.comm = "kthreadd", .mnt_ns = kHostMounts}}), nullptr);
  EXPECT_EQ(table.stats().live, 0U) << "it is nobody's process";
  event({1, 1, 1}, kHostGroup, ForkEvent{.child = {30, kSecond, 1}});  // what is inferred of it has no namespaces
  event({10, kSecond, 1}, kWebGroup, ExecEvent{.exe = "/bin/sh", .mnt_ns = kWebMounts});
  const ProcessRef entered = event({20, kSecond, 1}, kHostGroup, ExecEvent{.exe = "/bin/cat", .mnt_ns = kWebMounts});
  ASSERT_TRUE(entered->namespaces_of);
  EXPECT_EQ(*entered->namespaces_of, "container: web");
  const ProcessRef left = event({10, kSecond, 2}, kWebGroup, ExecEvent{.exe = "/bin/cat", .mnt_ns = kHostMounts});
  ASSERT_TRUE(left->namespaces_of);
  EXPECT_EQ(*left->namespaces_of, "host");
}

TEST_F(PresenceTest, ContainersOfAPodMayShareTheirNamespaces) {
  const std::string pod = "/kubepods/pod11111111-2222-3333-4444-555555555555/";
  name(70, pod + web);
  name(71, pod + db);
  exec({.who = at(10), .cgroup = 70, .mounts = kWebMounts});
  exec({.who = at(11), .cgroup = 71, .mounts = kDbMounts});
  EXPECT_EQ(namespaces(exec({.who = at(11, 2), .cgroup = 71, .mounts = kWebMounts})), "");
}

TEST_F(PresenceTest, ANamespaceThatHasEndedHasNoOwner) {
  exec({.who = at(10), .cgroup = kWebGroup, .mounts = kWebMounts});
  table.on_event({.head = {.time_ns = ++now, .who = at(10), .cgroup_id = kWebGroup}, .body = ExitEvent{}});
  EXPECT_EQ(namespaces(exec({.who = at(20), .cgroup = kHostGroup, .mounts = kWebMounts})), "")
      << "its number came again";
}

}  // namespace
}  // namespace keytrail::identify
