// SPDX-License-Identifier: Apache-2.0
// For whom a process acts, and what runs behind an interpreter: the address of a login, the chain of sudo and su,
// coding agents and what they start, scripts.
#include <gtest/gtest.h>

#include "agent/identify/identify.h"
#include "tests/unit/identify/fake_proc.h"

namespace keytrail::identify {
namespace {

using namespace std::string_literals;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kHostGroup = 1, kSessionGroup = 2, kUnitGroup = 3, kJobsGroup = 4;

struct ActingTest : testing::Test {
  test::FakeProc proc;
  Identify table{{.proc_root = proc.root(), .passwd_path = proc.passwd()}};
  std::uint64_t now = 1000 * kSecond;

  void SetUp() override {
    for (const auto& [id, path] : {std::pair{kHostGroup, "/init.scope"},
                                   {kSessionGroup, "/user.slice/user-1000.slice/session-3.scope"},
                                   {kUnitGroup, "/system.slice/api.service"},
                                   {kJobsGroup, "/jobs"}})
      table.on_event({.head = {.time_ns = ++now}, .body = CgroupEvent{.cgroup_id = id, .path = path}});
  }
  static InstanceId at(std::uint32_t tgid, std::uint32_t exec = 1) { return {tgid, tgid * kSecond, exec}; }
  ProcessRef exec(const InstanceId& who, std::uint64_t cgroup, ExecEvent event) {
    return table.on_event({.head = {.time_ns = ++now, .who = who, .cgroup_id = cgroup}, .body = std::move(event)}).who;
  }
  ProcessRef sweep(const InstanceId& who, std::uint64_t cgroup, ExecEvent event) {
    return table
        .on_event({.head = {.time_ns = ++now, .who = who, .cgroup_id = cgroup, .baseline = true},
                   .body = TaskEvent{std::move(event)}})
        .who;
  }
  void fork(const InstanceId& who, std::uint64_t cgroup, const InstanceId& child) {
    table.on_event({.head = {.time_ns = ++now, .who = who, .cgroup_id = cgroup}, .body = ForkEvent{.child = child}});
  }
  static ExecEvent program(std::string exe, std::uint32_t uid = 1000) {
    return {.exe = std::move(exe), .uid = uid, .login_uid = 1000, .session_id = 3};
  }
  /// sshd has logged alice in, as process 10.
  ProcessRef log_in(const char* connection) {
    exec(at(9), kHostGroup, {.exe = "/usr/sbin/sshd"});
    fork(at(9), kHostGroup, at(10));
    ExecEvent shell = program("/bin/bash");
    shell.env = {{.name = "SSH_CONNECTION", .value = connection}};
    shell.tty = 136U << 20U | 3U;
    return exec(at(10, 2), kSessionGroup, shell);
  }
  static std::string text(const std::shared_ptr<const std::string>& value) { return value ? *value : std::string(); }
};

TEST_F(ActingTest, ASshSessionSaysWhereItCameFrom) {
  const ProcessRef shell = log_in("192.0.2.7 51322 198.51.100.1 22");
  EXPECT_EQ(text(shell->login_from), "192.0.2.7");
  EXPECT_EQ(terminal_name(shell->tty), "pts/3");
  fork(at(10, 2), kSessionGroup, at(11));
  EXPECT_EQ(text(exec(at(11, 3), kSessionGroup, program("/usr/bin/aws"))->login_from), "192.0.2.7")
      << "also of what has no such variable: sudo takes it out";
}

TEST_F(ActingTest, WhatIsNoAddressIsNotShown) { EXPECT_EQ(text(log_in("token-0123456789 1 2 3")->login_from), ""); }

TEST_F(ActingTest, TheChainOfSudoAndSuIsTold) {
  log_in("2001:db8::7 51322 2001:db8::1 22");
  fork(at(10, 2), kSessionGroup, at(11));
  EXPECT_EQ(text(exec(at(11, 3), kSessionGroup, program("/usr/bin/sudo", 0))->acts_as), "") << "itself is alice's yet";
  fork(at(11, 3), kSessionGroup, at(12));
  const ProcessRef su = exec(at(12, 4), kSessionGroup, program("/usr/bin/su", 0));
  EXPECT_EQ(text(su->acts_as), "root by sudo");
  fork(at(12, 4), kSessionGroup, at(13));
  const ProcessRef shell = exec(at(13, 5), kSessionGroup, program("/bin/bash", 77));
  EXPECT_EQ(text(shell->acts_as), "root by sudo, 77 by su");
  EXPECT_EQ(shell->workload->name, "person: alice");
  EXPECT_EQ(shell->account->login_user, "alice");
  fork(at(13, 5), kSessionGroup, at(14));
  EXPECT_EQ(text(exec(at(14, 6), kSessionGroup, program("/usr/bin/psql", 77))->acts_as), "root by sudo, 77 by su");
}

TEST_F(ActingTest, ThatSudoIsMovedToAnotherCgroupAddsNothing) {
  exec(at(11), kHostGroup, program("/usr/bin/sudo", 0));
  const ProcessRef moved =
      table.on_event({.head = {.time_ns = ++now, .who = at(11), .cgroup_id = kSessionGroup}, .body = OpenEvent{}}).who;
  EXPECT_EQ(text(moved->acts_as), "");
}

TEST_F(ActingTest, WhatACodingAgentStartsIsItsOwnAndThePersonStaysBeside) {
  log_in("192.0.2.7 51322 198.51.100.1 22");
  fork(at(10, 2), kSessionGroup, at(11));
  ExecEvent agent = program("/usr/bin/node");
  agent.filename = "/usr/bin/node";
  agent.script = "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js";
  const ProcessRef claude = exec(at(11, 3), kSessionGroup, agent);
  EXPECT_EQ(text(claude->agent), "claude code");
  fork(at(11, 3), kSessionGroup, at(12));
  const ProcessRef child = exec(at(12, 4), kSessionGroup, program("/usr/bin/aws"));
  EXPECT_EQ(text(child->agent), "claude code");
  EXPECT_EQ(child->workload->id, "user:1000/agent/claude code");
  EXPECT_EQ(child->workload->name, "person: alice (claude code)");
  EXPECT_EQ(child->workload->find(fact::kAgent)->known_by, KnownBy::kClaimed);
  EXPECT_EQ(child->workload->value(fact::kPerson), "alice");
  EXPECT_EQ(child->account->login_user, "alice");
  fork(at(12, 4), kSessionGroup, at(13));
  EXPECT_EQ(text(exec(at(13, 5), kSessionGroup, program("/home/alice/.local/bin/codex"))->agent), "claude code")
      << "the first in a line counts";
  EXPECT_EQ(table.find(at(10, 2))->workload->id, "user:1000") << "the shell that started it is not the agent";
}

TEST_F(ActingTest, AToolOfAgentsIsOneOfThemWhoeverStartedIt) {
  ExecEvent tool = program("/usr/bin/node");
  tool.filename = "/usr/bin/node";
  tool.script = "/home/alice/.npm/_npx/1/node_modules/.bin/mcp-server-filesystem";
  EXPECT_EQ(text(exec(at(20), kSessionGroup, tool)->agent), "MCP server");
  const ProcessRef in_unit = exec(at(21), kUnitGroup, {.exe = "/usr/bin/opencode"});
  EXPECT_EQ(in_unit->workload->id, "unit:api.service") << "a unit stays what it is";
  EXPECT_EQ(in_unit->workload->value(fact::kAgent), "opencode");
  const ProcessRef other = exec(at(22), kUnitGroup, {.exe = "/usr/local/bin/codex"});
  EXPECT_EQ(text(other->agent), "codex");
  EXPECT_EQ(other->workload, in_unit->workload) << "the first counts, or each exec of the two would be news";
}

TEST_F(ActingTest, ADistributorIsOneItselfAndNotWhatItStarts) {
  EXPECT_EQ(text(exec(at(20), kUnitGroup, {.exe = "/usr/bin/terraform"})->distributor), "Terraform");
  fork(at(20), kUnitGroup, at(21));
  EXPECT_EQ(text(table.find(at(21))->distributor), "Terraform") << "a fork is the same program";
  EXPECT_EQ(text(exec(at(21, 2), kUnitGroup, {.exe = "/usr/bin/aws"})->distributor), "");
}

TEST_F(ActingTest, TwoScriptsOfOneInterpreterAreTwoWorkloads) {
  const auto python = [](const char* script) {
    return ExecEvent{.exe = "/usr/bin/python3.11", .filename = "/usr/bin/python3", .comm = "python3", .script = script};
  };
  const ProcessRef run = exec(at(20), kJobsGroup, python("/srv/run.py")),
                   sync = exec(at(21), kJobsGroup, python("sync.py"));
  EXPECT_EQ(run->workload->id, "cgroup:/jobs:python3 run.py");
  EXPECT_EQ(run->workload->name, "host: python3 run.py in /jobs");
  EXPECT_EQ(sync->workload->name, "host: python3 sync.py in /jobs");
  EXPECT_EQ(exec(at(22), kJobsGroup, python(""))->workload->id, "cgroup:/jobs:python3.11") << "as it was before";
}

TEST_F(ActingTest, AScriptCountsOnlyWhereTheExecutableIsThatInterpreter) {
  EXPECT_EQ(exec(at(20), kJobsGroup, {.exe = "/tmp/evil", .filename = "/tmp/python3", .script = "run.py"})->script, "");
  // A `#!` program of the shell that is called as another interpreter is.
  const ExecEvent shim{.exe = "/bin/bash", .filename = "/opt/shims/python3", .comm = "python3", .script = "/opt/x"};
  EXPECT_EQ(exec(at(21), kJobsGroup, shim)->script, "");
  const ExecEvent applet{.exe = "/bin/busybox", .filename = "/bin/sh", .comm = "sh", .script = "deploy.sh"};
  EXPECT_EQ(exec(at(22), kJobsGroup, applet)->workload->id, "cgroup:/jobs:sh deploy.sh");
}

TEST_F(ActingTest, OfWhoIsOlderThanTheAgentTheScriptIsReadFromItsCommandLine) {
  proc.add(20, 20 * kSecond, "python3");
  proc.write("20/cmdline", "python3\0-u\0/srv/run.py\0--token\0secret\0"s);
  const ExecEvent python{.exe = "/usr/bin/python3.11", .comm = "python3"};
  EXPECT_EQ(sweep(at(20), kJobsGroup, python)->workload->id, "cgroup:/jobs:python3 run.py");
  // A `#!` program: the kernel named its thread by the script.
  proc.add(21, 21 * kSecond, "aws");
  proc.write("21/cmdline", "/usr/bin/python3\0/usr/bin/aws\0s3\0"s);
  EXPECT_EQ(sweep(at(21), kJobsGroup, {.exe = "/usr/bin/python3.11", .comm = "aws"})->workload->id, "cgroup:/jobs:aws");
  proc.add(22, 22 * kSecond, "bash");
  proc.write("22/cmdline", "bash\0-lc\0curl -H secret\0"s);
  EXPECT_EQ(sweep(at(22), kJobsGroup, {.exe = "/bin/bash", .comm = "bash"})->workload->id, "cgroup:/jobs:bash");
}

}  // namespace
}  // namespace keytrail::identify
