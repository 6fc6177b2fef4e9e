// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/identify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/identify/identify_fixture.h"

namespace keytrail::identify {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(IdentifyTest, ExecMakesAProcessWithItsWorkload) {
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/backup.service"});
  const Identified seen = send(kOne, program("/usr/bin/aws"));
  ASSERT_TRUE(seen.who);
  EXPECT_EQ(seen.who->origin, Origin::kExecSeen);
  EXPECT_EQ(seen.who->exe, "/usr/bin/aws");
  EXPECT_EQ(seen.who->exec_ns, now);
  EXPECT_EQ(seen.who->workload->name, "backup.service");
  EXPECT_EQ(seen.who->account->user, "alice");
  EXPECT_FALSE(seen.child_or_previous);
}

TEST_F(IdentifyTest, ChildSharesItsParentsProgramAndVariables) {
  send(kOne, program("/usr/bin/make"));
  const Identified seen = send(kOne, ForkEvent{.child = kChild});
  EXPECT_EQ(seen.who->id, kOne);
  ASSERT_TRUE(seen.child_or_previous);
  const Process& child = *seen.child_or_previous;
  EXPECT_EQ(child.id, kChild);
  EXPECT_EQ(child.parent, kOne);
  EXPECT_EQ(child.origin, Origin::kForkSeen);
  EXPECT_EQ(child.exe, "/usr/bin/make");
  EXPECT_TRUE(child.env.shares(seen.who->env));
  EXPECT_TRUE(child.args.shares(seen.who->args));
}

TEST_F(IdentifyTest, ExecInPlaceIsANewInstanceAndNamesTheOldOne) {
  send(kOne, program("/bin/bash"));
  const Identified seen = send(kOneAfterExec, program("/usr/bin/aws"));
  EXPECT_EQ(seen.who->id, kOneAfterExec);
  ASSERT_TRUE(seen.child_or_previous);
  EXPECT_EQ(seen.child_or_previous->exe, "/bin/bash");
  EXPECT_EQ(table.latest(10)->exe, "/usr/bin/aws");
  EXPECT_EQ(table.find(kOne)->exe, "/bin/bash");
  EXPECT_EQ(table.stats().live, 1U);
}

TEST_F(IdentifyTest, AProgramThatIsStartedAgainBelongsWhereItIsKnownToBelongNow) {
  std::uint32_t exec = kOne.exec;
  const auto again = [&](const ExecEvent& event) { return send({kOne.tgid, kOne.start_ns, ++exec}, event).who; };
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/a.service"});
  const ProcessRef first = again(program("/bin/true"));
  EXPECT_EQ(again(program("/bin/true"))->workload, first->workload);
  table.learn_facts({.id = first->workload->id, .facts = {{fact::kTeam, "ops", KnownBy::kRuntime}}});
  EXPECT_EQ(again(program("/bin/true"))->workload->value(fact::kTeam), "ops");
  ExecEvent root = program("/bin/true");
  root.uid = 0;
  EXPECT_EQ(again(root)->account->user, "root");
  EXPECT_EQ(again(program("/bin/true"))->account->user, "alice");
  ExecEvent login = program("/bin/true");
  login.login_uid = 1000;
  EXPECT_EQ(again(login)->account->login_user, "alice");
  ExecEvent job = program("/bin/true");
  job.env = {{.name = "GITHUB_REPOSITORY", .value = "acme/shop"}, {.name = "GITHUB_JOB", .value = "build"}};
  EXPECT_GT(again(job)->workload->facts.size(), first->workload->facts.size() + 1) << "its variables are its own";
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/b.service"});
  EXPECT_EQ(again(program("/bin/true"))->workload->name, "b.service");
}

TEST_F(IdentifyTest, ADaemonThatDropsRootIsTheUserThatItActsForNow) {
  ExecEvent daemon = program("/usr/sbin/daemon");
  daemon.uid = 0;
  const Identified began = send(kOne, daemon);
  EXPECT_EQ(began.who->account->user, "root");
  const auto event = [&](InstanceId who, decltype(Event::body) body, Credentials users) {
    return table.on_event(
        {.head = {.time_ns = ++now, .who = who, .cgroup_id = 1, .users = users}, .body = std::move(body)});
  };
  const Identified opened = event(kOne, OpenEvent{.mnt_ns = 40}, {.uid = 1000, .gid = 1001});
  EXPECT_EQ(opened.who->credentials(), (Credentials{.uid = 1000, .gid = 1001}));
  EXPECT_EQ(opened.who->account->user, "alice");
  EXPECT_EQ(opened.who->exe, "/usr/sbin/daemon");
  EXPECT_EQ(opened.who->uid_at(now), 1000U);
  EXPECT_EQ(opened.who->uid_at(now - 1), 0U) << "for rows of before that are made later";
  EXPECT_EQ(opened.who->account_at(now - 1)->user, "root");
  EXPECT_EQ(opened.who->workload, began.who->workload) << "another user makes no other workload of it";
  EXPECT_EQ(began.who->account->user, "root") << "what was told before stays";
  const Identified again = event(kOne, ConnectEvent{}, {.uid = 1000, .gid = 1001});
  EXPECT_EQ(again.who, opened.who) << "nothing has changed: no new object";
  const Identified child = event(kOne, ForkEvent{.child = kChild}, {.uid = 1000, .gid = 1001});
  EXPECT_EQ(child.child_or_previous->account->user, "alice");
  EXPECT_EQ(send(kOne, ConnectEvent{}).who->uid, 1000U) << "an event that tells no users says nothing of them";
}

TEST_F(IdentifyTest, AnEventFromBeforeAnExecKeepsTheUserOfThatTime) {
  ExecEvent first = program("/bin/sh");
  first.uid = 0;
  send(kOne, first);
  send(kOneAfterExec, program("/usr/bin/aws"));
  const Identified late = table.on_event(
      {.head = {.time_ns = ++now, .who = kOne, .cgroup_id = 1, .users = Credentials{.uid = 33}}, .body = OpenEvent{}});
  EXPECT_EQ(late.who->uid, 33U);
  EXPECT_EQ(late.who->exe, "/bin/sh");
  EXPECT_EQ(table.latest(10)->uid, 1000U) << "the program that runs now has its own";
}

TEST_F(IdentifyTest, OfAnUnknownProcessTheEventTellsTheUser) {
  const Identified seen =
      table.on_event({.head = {.time_ns = ++now, .who = kOne, .cgroup_id = 1, .users = Credentials{.uid = 1000}},
                      .body = OpenEvent{}});
  EXPECT_EQ(seen.who->origin, Origin::kInferred);
  EXPECT_EQ(seen.who->account->user, "alice") << "there is nothing in /proc: not root for all that";
}

TEST_F(IdentifyTest, TheNextContainerOfAnIdIsAskedAboutAgain) {
  const auto seen = [&] {
    std::string out;
    for (const WorkloadSeen& one : table.take_first_seen())
      out += one.workload->id + "@" + std::to_string(one.reach.who.tgid) + " ";
    return out;
  };
  const std::string path = "/k8s.io/web-1", inner = "/init.scope";
  const InstanceId next{20, 7 * kSecond, 1}, third{21, 8 * kSecond, 1};
  send({}, CgroupEvent{.cgroup_id = 1, .path = path});
  send(kOne, program("/bin/sh"));
  EXPECT_EQ(seen(), "container:web-1@10 ");
  send({}, CgroupEvent{.cgroup_id = 3, .path = path + inner});
  send(kChild, program("/bin/sh"), 3);
  send(kOneAfterExec, program("/bin/cat"));
  EXPECT_EQ(seen(), "") << "the same container";
  send({}, CgroupEvent{.cgroup_id = 2, .path = path});  // the directory was removed and made again
  send(next, program("/bin/sh"), 2);
  send(third, program("/bin/sh"), 2);
  EXPECT_EQ(seen(), "container:web-1@20 ");
}

TEST_F(IdentifyTest, TheNodesUsersCountBeforeThoseOfTheFileThatIsSeenHere) {
  ExecEvent exec = program("/usr/bin/tool");
  exec.login_uid = 1000;
  (void)send(kOne, exec);
  EXPECT_EQ(table.find(kOne)->account->user, "alice") << "the file's";
  EXPECT_EQ(table.find(kOne)->workload->name, "person: alice");
  table.learn_users({{0, "root"}, {1000, "carol"}, {77, "bob"}});
  const ProcessRef told = table.find(kOne);
  EXPECT_EQ(told->account->user, "carol");
  EXPECT_EQ(told->account->login_user, "carol");
  (void)table.take_facts();
  (void)send(kChild, exec);
  EXPECT_EQ(table.find(kChild)->account->user, "carol");
  EXPECT_EQ(table.find(kChild)->workload->name, "person: carol") << "also of what was named before";
  table.learn_users({{0, "root"}});
  EXPECT_EQ(table.find(kOne)->account->user, "1000");
  EXPECT_EQ(table.find(kOne)->workload->name, "person: carol") << "a number is no better name";
}

TEST(IdentifyUsers, ManyProcessesAreNotAllRenewedInOneTurn) {
  const test::FakeProc proc;
  Identify table{{.proc_root = proc.root(), .passwd_path = proc.passwd()}};
  constexpr std::uint32_t kMany = 2'500;
  const auto send = [&](std::uint32_t n, decltype(Event::body) body) {
    (void)table.on_event({.head = {.time_ns = 1000 * kSecond, .who = {100 + n, kSecond, 1}, .cgroup_id = n % 50},
                          .body = std::move(body)});
  };
  for (std::uint32_t n = 0; n < kMany; ++n)
    send(n, ExecEvent{.exe = "/bin/sh", .uid = 1000});
  send(0, ExitEvent{});
  const auto renewed = [&] {
    std::size_t out = 0;
    for (std::uint32_t n = 0; n < kMany; ++n)
      out += table.find({100 + n, kSecond, 1})->account->user == "carol" ? 1U : 0U;
    return out;
  };
  table.learn_users({{1000, "carol"}});
  EXPECT_EQ(renewed(), 1'000U);
  table.renew_some();
  EXPECT_EQ(renewed(), 2'000U);
  table.renew_some();
  table.renew_some();
  EXPECT_EQ(renewed(), kMany - 1) << "not the one that ended";
}

TEST_F(IdentifyTest, ALoginMakesAProcessThePersons) {
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/"});
  send(kOne, program("/usr/sbin/sshd"));
  const Identified seen = table.on_event(
      {.head = {.time_ns = ++now, .who = kOne, .cgroup_id = 1, .users = Credentials{.uid = 1000, .login_uid = 1000}},
       .body = ConnectEvent{}});
  EXPECT_EQ(seen.who->workload->id, "user:1000");
  EXPECT_EQ(seen.who->account->login_user, "alice");
}

TEST_F(IdentifyTest, AnExecutableIsKnownAsAFile) {
  ExecEvent exec = program("/usr/bin/aws");
  exec.exe_file = {.dev = 8, .inode = 77, .deleted = true};
  EXPECT_EQ(send(kOne, exec).who->exe_file, exec.exe_file);
}

TEST_F(IdentifyTest, APodOfAUsersOwnTreeIsNotThatPod) {
  const std::string pod = "/kubepods/pod0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/" + std::string(64, 'a');
  send({}, CgroupEvent{.cgroup_id = 1, .path = pod});
  send({}, CgroupEvent{.cgroup_id = 2, .path = pod, .claimed = 2, .owner = 1000});
  EXPECT_EQ(send(kOne, program("/bin/sh"), 1).who->workload->kind, WorkloadKind::kPod);
  const Identified claimed = send(kChild, program("/bin/sh"), 2);
  EXPECT_EQ(claimed.who->workload->kind, WorkloadKind::kHost);
  EXPECT_EQ(claimed.who->workload->find(fact::kPodUid), nullptr);
}

TEST_F(IdentifyTest, ExecWithTheSameVariablesSharesThem) {
  send(kOne, program("/bin/bash"));
  Identified seen = send(kOneAfterExec, program("/usr/bin/aws"));
  EXPECT_TRUE(seen.who->env.shares(seen.child_or_previous->env));
  ExecEvent other = program("/usr/bin/aws");
  other.env = {{.name = "A", .value = "c"}};
  seen = send({10, 5 * kSecond, 3}, std::move(other));
  EXPECT_FALSE(seen.who->env.shares(seen.child_or_previous->env));
  EXPECT_EQ(seen.who->find_env("A")->value, "c");
}

TEST_F(IdentifyTest, LateEventBelongsToTheProgramBeforeTheExec) {
  send(kOne, program("/bin/bash"));
  send(kOneAfterExec, program("/usr/bin/aws"));
  EXPECT_EQ(send(kOne, OpenEvent{}).who->exe, "/bin/bash");
  table.expire(now + 11 * kSecond);
  const Identified seen = send(kOne, OpenEvent{});  // too late: who it was is known, what it ran is not
  EXPECT_EQ(seen.who->exe, "");
  EXPECT_EQ(seen.who->origin, Origin::kInferred);
  EXPECT_EQ(table.latest(10)->exe, "/usr/bin/aws");
}

TEST_F(IdentifyTest, ExitedProcessIsKeptForLateEventsThenFreed) {
  send(kOne, program("/bin/a"));
  send(kOne, ExitEvent{});
  EXPECT_EQ(table.stats().live, 0U);
  EXPECT_EQ(send(kOne, OpenEvent{}).who->exe, "/bin/a");
  table.expire(now + 9 * kSecond);
  EXPECT_TRUE(table.find(kOne));
  table.expire(now + 11 * kSecond);
  EXPECT_FALSE(table.find(kOne));
  EXPECT_FALSE(table.latest(10));
  EXPECT_EQ(table.stats().exited, 0U);
}

TEST_F(IdentifyTest, NextOwnerOfAPidIsAnotherProcess) {
  send(kOne, program("/bin/victim"));
  const InstanceId next{10, 900 * kSecond, 1};
  const Identified seen = send(next, ConnectEvent{});
  EXPECT_EQ(seen.who->id, next);
  EXPECT_EQ(seen.who->exe, "");
  EXPECT_EQ(table.find(kOne)->exe, "/bin/victim");
  EXPECT_EQ(table.stats().live, 1U);  // two cannot live at once: the victim's exit was missed
  EXPECT_EQ(table.stats().found_gone, 1U);
}

TEST_F(IdentifyTest, UnknownProcessIsInferredFromProcWhenItsStartAgrees) {
  proc.add(10, kOne.start_ns, "boto", 1000, "0::/system.slice/a.service\n");
  const Identified seen = send(kOne, ConnectEvent{});
  EXPECT_EQ(seen.who->origin, Origin::kInferred);
  EXPECT_EQ(seen.who->comm, "boto");
  EXPECT_EQ(seen.who->uid, 1000U);
  EXPECT_EQ(seen.who->workload->name, "a.service");
  EXPECT_EQ(send(kOne, ConnectEvent{}).who, seen.who);
}

TEST_F(IdentifyTest, ProcOfAnotherStartIsNotTaken) {
  proc.add(10, kOne.start_ns + 3 * kSecond, "thief", 1000);
  const Identified seen = send(kOne, ConnectEvent{});
  EXPECT_EQ(seen.who->comm, "");
  EXPECT_EQ(table.stats().inferred_bare, 1U);
}

TEST_F(IdentifyTest, LostExecIsInferredWithoutTheOldProgram) {
  send(kOne, program("/bin/bash"));
  const Identified seen = send(kOneAfterExec, OpenEvent{.mnt_ns = 40});
  EXPECT_EQ(seen.who->exe, "");
  EXPECT_TRUE(seen.who->env.empty());
  EXPECT_EQ(seen.who->origin, Origin::kInferred);
  EXPECT_EQ(seen.who->parent, (InstanceId{1, 1, 1}));
  EXPECT_EQ(seen.who->mnt_ns, 40U);
}

TEST_F(IdentifyTest, ForkOfAnUnknownParentInfersIt) {
  const Identified seen = send(kOne, ForkEvent{.child = kChild});
  EXPECT_EQ(seen.who->origin, Origin::kInferred);
  EXPECT_EQ(seen.child_or_previous->origin, Origin::kForkSeen);
}

TEST_F(IdentifyTest, ForkAfterTheChildsFirstEventCompletesIt) {
  send(kChild, OpenEvent{});
  send(kOne, program("/bin/bash"));
  send(kOne, ForkEvent{.child = kChild});
  EXPECT_EQ(table.find(kChild)->exe, "/bin/bash");
  EXPECT_EQ(table.stats().live, 2U);
}

TEST_F(IdentifyTest, SweepFillsGapsButNeverReplacesWhatHooksSaw) {
  const Identified seen = send(kOne, TaskEvent{.exec = program("/bin/daemon")});
  EXPECT_EQ(seen.who->origin, Origin::kBaseline);
  EXPECT_EQ(seen.who->exec_ns, kOne.start_ns);
  send(kOneAfterExec, program("/bin/new"));
  EXPECT_EQ(send(kOneAfterExec, TaskEvent{.exec = program("/bin/swept")}).who->exe, "/bin/new");
  send(kChild, OpenEvent{});
  EXPECT_EQ(send(kChild, TaskEvent{.exec = program("/bin/child")}).who->exe, "/bin/child");
}

TEST_F(IdentifyTest, EnvironmentLearntLaterIsPublishedAndLabelsTheJob) {
  send(kOne, TaskEvent{.exec = program("/bin/runner")});
  const ProcessRef learnt = table.learn_environment(kOne, {{.name = "GITHUB_REPOSITORY", .value = "acme/shop"}}, true);
  ASSERT_TRUE(learnt);
  EXPECT_TRUE(learnt->env_truncated);
  EXPECT_EQ(learnt->workload->name, "host: runner");
  EXPECT_EQ(learnt->workload->value(fact::kCiJob), "acme/shop");
  EXPECT_EQ(table.find(kOne), learnt);
  EXPECT_FALSE(table.learn_environment(kChild, {}, false));
}

TEST_F(IdentifyTest, TheFirstThatAServiceCallsItselfIsItsClaim) {
  send({}, CgroupEvent{.cgroup_id = 7, .path = "/system.slice/shop.service"});
  const auto calls_itself = [&](const InstanceId& who, const char* name) {
    ExecEvent exec = program("/bin/shop");
    exec.env = {{.name = "OTEL_SERVICE_NAME", .value = name}};
    return send(who, exec, 7).who->workload;
  };
  EXPECT_EQ(calls_itself(kOne, "unknown_service:java")->find(fact::kServiceName), nullptr);
  const auto shop = calls_itself(kOneAfterExec, "shop");
  ASSERT_NE(shop->find(fact::kServiceName), nullptr);
  EXPECT_EQ(*shop->find(fact::kServiceName),
            (Fact{fact::kServiceName, "shop", KnownBy::kClaimed, shop->find(fact::kServiceName)->since_ns}));
  EXPECT_EQ(shop->name, "shop.service") << "its name stays what the kernel says";
  (void)table.take_facts();
  EXPECT_EQ(calls_itself(kChild, "other")->value(fact::kServiceName), "shop");
  EXPECT_TRUE(table.take_facts().empty()) << "programs of one workload are no news of it";
}

TEST_F(IdentifyTest, CgroupNamedLaterReachesItsProcesses) {
  EXPECT_EQ(send(kOne, program("/bin/a"), 7).who->workload->name, "host: a");
  send({}, CgroupEvent{.cgroup_id = 7, .path = "/system.slice/late.service"});
  EXPECT_EQ(table.find(kOne)->workload->name, "late.service");
}

TEST_F(IdentifyTest, CgroupsThatOneOwnerMovesProcessesBetweenAreTheSameOwners) {
  EXPECT_EQ(send(kOne, program("/bin/a"), 7).who->cgroup_owner, 0U) << "it has no name yet";
  EXPECT_EQ(table.owner_of_cgroup(7), 0U);
  send({}, CgroupEvent{.cgroup_id = 7, .path = "/user.slice/user-1000.slice/user@1000.service/a", .claimed = 1});
  send({}, CgroupEvent{.cgroup_id = 8, .path = "/user.slice/user-1000.slice/user@1000.service/b", .claimed = 1});
  send({}, CgroupEvent{.cgroup_id = 9, .path = "/system.slice/a.service"});
  EXPECT_NE(table.find(kOne)->cgroup_owner, 0U);
  EXPECT_EQ(table.find(kOne)->cgroup_owner, table.owner_of_cgroup(8));
  EXPECT_NE(table.find(kOne)->cgroup_owner, table.owner_of_cgroup(9));
  EXPECT_EQ(send(kChild, program("/bin/b"), 9).who->cgroup_owner, table.owner_of_cgroup(9));
}

TEST_F(IdentifyTest, ACgroupThatIsGivenToSomebodyElseIsThatOnesWord) {
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/a.service"});
  EXPECT_EQ(send(kOne, program("/bin/a")).who->workload->id, "unit:a.service");
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/a.service", .claimed = 1, .owner = 1000});
  EXPECT_EQ(table.find(kOne)->workload->id, "unit:1000/a.service");
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/a.service", .claimed = 1, .owner = 1001});
  EXPECT_EQ(table.find(kOne)->workload->id, "unit:1001/a.service");
}

TEST_F(IdentifyTest, ProcessThatMovesGetsTheWorkloadOfItsNewCgroup) {
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/ssh.service"});
  send({}, CgroupEvent{.cgroup_id = 2, .path = "/user.slice/user-1000.slice/session-1.scope"});
  EXPECT_EQ(send(kOne, program("/bin/bash")).who->workload->name, "ssh.service");
  EXPECT_EQ(send(kOne, OpenEvent{}, 2).who->workload->name, "person: alice");
}

TEST_F(IdentifyTest, AnswerToAnEarlierQuestionDoesNotMoveTheProcessBack) {
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/ssh.service"});
  send({}, CgroupEvent{.cgroup_id = 2, .path = "/user.slice/user-1000.slice/session-1.scope"});
  send(kOne, program("/bin/bash"), 2);
  EXPECT_EQ(send(kOne, DnsEvent{}, 1).who->workload->name, "person: alice");
  EXPECT_EQ(send(kOne, PayloadEvent{}, 1).who->workload->name, "person: alice");
}

TEST_F(IdentifyTest, SocketEventsOfStrangersMakeNoProcess) {
  EXPECT_FALSE(send(kOne, SocketEvent{}).who);
  EXPECT_FALSE(send(kOne, HeartbeatEvent{}).who);
  EXPECT_FALSE(send({}, ConnectEvent{}).who);
  EXPECT_EQ(table.stats().live, 0U);
}

TEST_F(IdentifyTest, MountNamespaceGivesLivePidsOldestFirst) {
  send({12, 9 * kSecond, 1}, program("/bin/c"));
  send(kOne, program("/bin/a"));
  send(kChild, program("/bin/b"));
  EXPECT_THAT(table.same_mount_ns(40, 8), ElementsAre(10, 11, 12));
  EXPECT_THAT(table.same_mount_ns(40, 1), ElementsAre(10));
  send(kOne, ExitEvent{});
  EXPECT_THAT(table.same_mount_ns(40, 8), ElementsAre(11, 12));
  send(kChild, OpenEvent{.mnt_ns = 41});
  EXPECT_THAT(table.same_mount_ns(41, 8), ElementsAre(11));
  EXPECT_THAT(table.same_mount_ns(40, 8), ElementsAre(12));
  EXPECT_THAT(table.same_mount_ns(0, 8), IsEmpty());
}

TEST_F(IdentifyTest, ProcessWhoseExitWasMissedIsFoundGone) {
  proc.add(11, kChild.start_ns, "b");
  send(kOne, program("/bin/a"));
  send(kChild, program("/bin/b"));
  table.expire(now);
  EXPECT_EQ(table.stats().found_gone, 1U);
  std::vector<std::uint32_t> live;
  table.for_each_live([&](const ProcessRef& process) { live.push_back(process->id.tgid); });
  EXPECT_THAT(live, ElementsAre(11));
}

// On a small node all of them, so that a missed exit is found within 2 s.
TEST_F(IdentifyTest, SomeProcessesAreLookedUpEachTime) {
  Identify roomy{{.proc_root = proc.root(), .max_processes = 1000}};
  for (std::uint32_t tgid = 20; tgid < 220; ++tgid)
    roomy.on_event(
        {.head = {.time_ns = ++now, .who = {tgid, 5 * kSecond, 1}, .cgroup_id = 1}, .body = program("/bin/x")});
  roomy.expire(now);
  EXPECT_GE(roomy.stats().found_gone, 64U);
  EXPECT_LT(roomy.stats().found_gone, 80U);
  roomy.expire(now);
  EXPECT_GE(roomy.stats().found_gone, 128U);
  roomy.expire(now);
  roomy.expire(now);
  EXPECT_EQ(roomy.stats().found_gone, 200U);
}

}  // namespace
}  // namespace keytrail::identify
