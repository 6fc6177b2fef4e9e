// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

const std::string kKey = "AKIAIOSFODNN7EXAMPLE";
const Slot kService{From::kFile, "/etc/api/credentials", ""};

class PersonTest : public Court {
 protected:
  static Actor unit(const std::string& name = "api.service", const std::string& login = "") {
    Actor out;
    out.login_user = login;
    out.workload.kind = WorkloadKind::kSystemdUnit;
    out.workload.id = "unit:" + name;
    out.workload.name = name;
    out.workload.facts = {Fact{.name = fact::kUnit, .value = name}};
    return out;
  }
  static Actor person(const std::string& login = "alice", const std::string& user = "root") {
    Actor out;
    out.user = user;
    out.login_user = login;
    out.workload.kind = WorkloadKind::kLoginSession;
    out.workload.id = "user:" + login;
    out.workload.name = "person: " + login;
    out.workload.facts = {Fact{.name = fact::kPerson, .value = login}};
    return out;
  }
  std::vector<FindingRow> acquires(const Actor& who, const Slot& slot = kService, const std::string& key = kKey) {
    AcquisitionRow acquisition;
    acquisition.actor = who;
    acquisition.key.id = key;
    acquisition.slot = slot;
    return look({.rows = {row_of(acquisition, 1'000)}});
  }
  std::vector<FindingRow> uses(const Actor& who, const Slot& slot = kService, Evidence evidence = Evidence::kInferred) {
    UseRow use = use_of(kKey, 2'000, evidence);
    use.actor = who;
    use.actor.program = "rclone";
    use.keys[0].slot = slot;
    use.destination.host = "s3.eu-west-1.amazonaws.com";
    return look({.uses = {use}});
  }
};

TEST_F(PersonTest, IsFoundWhenAWorkloadHadTheKeyAndAPersonUsesIt) {
  EXPECT_TRUE(acquires(unit()).empty());
  EXPECT_TRUE(uses(unit()).empty());
  EXPECT_TRUE(acquires(person()).empty()) << "having it is no use";
  const auto found = uses(person());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "person_used_workload_key");
  EXPECT_EQ(found[0].severity, Severity::kHigh);
  EXPECT_EQ(found[0].attack, (Words{"T1552.001", "T1078.004"}));
  EXPECT_EQ(found[0].key.id, kKey);
  EXPECT_EQ(
      found[0].text,
      "alice (as root) read key AKIAIOSFODNN7EXAMPLE and used it (inferred) (rclone, s3.eu-west-1.amazonaws.com); "
      "no person used it before, it is a key of api.service");
  EXPECT_TRUE(uses(person()).empty()) << "told once";
}

TEST_F(PersonTest, TheVerbFollowsTheEvidence) {
  (void)acquires(unit());
  EXPECT_TRUE(uses(person("a"), kService, Evidence::kUnattributed).empty());
  EXPECT_TRUE(uses(person("a"), kService, Evidence::kPossible).at(0).text.contains(" and may have used it (rclone"));
  EXPECT_TRUE(uses(person("b"), kService, Evidence::kConfirmed).at(0).text.contains(" and used it (rclone"));
  EXPECT_TRUE(uses(person("c"), {From::kEnvironment, "AWS_SECRET_ACCESS_KEY", ""})
                  .at(0)
                  .text.starts_with("c (as root) had key "));
}

TEST_F(PersonTest, AnotherPersonIsAnotherFinding) {
  (void)acquires(unit());
  EXPECT_EQ(uses(person("alice")).size(), 1U);
  const auto second = uses(person("bob", "bob"));
  ASSERT_EQ(second.size(), 1U);
  EXPECT_TRUE(second[0].text.starts_with("bob read key ")) << second[0].text;
  EXPECT_TRUE(second[0].text.ends_with("; it is a key of api.service")) << second[0].text;
}

TEST_F(PersonTest, AKeyThatNoWorkloadHadIsNone) {
  EXPECT_TRUE(acquires(person()).empty());
  EXPECT_TRUE(uses(person()).empty());
  Actor program;
  program.workload.name = "host: cron";
  (void)acquires(program, kService, "OTHER");
  EXPECT_TRUE(uses(person()).empty());
}

TEST_F(PersonTest, AKeyThatAPersonHadFirstIsNotTheWorkloads) {
  (void)acquires(person());
  (void)acquires(unit());
  EXPECT_TRUE(uses(person()).empty());
}

TEST_F(PersonTest, TheirOwnKeyThatAUnitTakesFromTheirHomeIsTheirs) {
  const Slot home{From::kFile, "/home/alice/.aws/credentials", ""};
  (void)acquires(unit("backup.service"), home);
  EXPECT_TRUE(uses(person("alice", "alice"), home).empty());
  EXPECT_EQ(uses(person("bob"), home).size(), 1U) << "not bob's";
}

TEST_F(PersonTest, ACopyInTheirHomeDoesNotMakeItTheirs) {
  (void)acquires(unit());
  EXPECT_EQ(uses(person("alice"), {From::kFile, "/home/alice/.aws/credentials", ""}).size(), 1U);
}

TEST_F(PersonTest, ALoginWithoutASessionIsAPersonAndAScheduledJobIsNone) {
  (void)acquires(unit());
  Actor shell = unit("ssh.service", "alice");  // sshd without a session of its own
  EXPECT_EQ(uses(shell).size(), 1U);
  EXPECT_TRUE(uses(unit("cron.service", "root")).empty());
  Actor pod = person("carol");
  pod.workload.kind = WorkloadKind::kPod;
  EXPECT_TRUE(uses(pod).empty());
}

TEST_F(PersonTest, EveryCandidateOfAPossibleUseIsLookedAt) {
  (void)acquires(unit());
  UseRow use = use_of("OWN", 2'000, Evidence::kPossible);
  use.actor = person();
  use.keys.push_back({{.id = kKey}, kService});
  const auto found = look({.uses = {use}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key.id, kKey);
}

TEST_F(PersonTest, StaysOpenUntilTheKeyIsReplaced) {
  (void)acquires(unit());
  ASSERT_EQ(uses(person()).size(), 1U);
  clock.now += 24 * 60 * kMinute;
  (void)look();
  EXPECT_EQ(became(), Words{});
  (void)look({.slot_changes = {{"", kService.place, "", 9'000, kKey, "NEW"}}});
  EXPECT_EQ(became(), Words{"resolved person_used_workload_key"});
}

TEST_F(PersonTest, ARestartForgetsNeitherWhoseKeyItIsNorWhatWasTold) {
  judge->load({.sightings = {{kKey, kService, unit().workload, 1'000}}});
  const auto found = uses(person());
  ASSERT_EQ(found.size(), 1U);
  make();
  judge->load({.findings = {{found[0].type, found[0].subject, FindingState::kOpen, 2'000}},
               .sightings = {{kKey, kService, unit().workload, 1'000}}});
  EXPECT_TRUE(uses(person()).empty());
}

TEST_F(PersonTest, AsWhomAndForWhomIsSaid) {
  acquires(unit());
  Actor who = person("alice", "postgres");
  who.session = "login 17 by ssh from 192.0.2.7 on pts/3, as root by sudo, postgres by su, agent claude code";
  const auto found = uses(who);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].text.starts_with("alice (by claude code, as root by sudo, postgres by su) read key "))
      << found[0].text;
  EXPECT_EQ(found[0].actor.session, who.session);
  EXPECT_EQ(found[0].actor.workload.name, "person: alice");
}

TEST_F(PersonTest, TheAgentOfAnotherProcessOfTheUnitIsNotTheirs) {
  acquires(unit());
  Actor bob = unit("ssh.service", "bob");  // no session of his own: all logins are in this unit
  bob.workload.facts = {{fact::kAgent, "claude code", KnownBy::kClaimed}, {fact::kUnit, "ssh.service"}};
  bob.session = "login 18 by ssh on pts/4";
  const auto found = uses(bob);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].text.starts_with("bob read key ")) << found[0].text;
}

TEST_F(PersonTest, WhoCameIntoAContainerFromALoginIsThatPerson) {
  Actor api;
  api.workload.kind = WorkloadKind::kContainer;
  api.workload.id = "container:c1";
  api.workload.name = "container: api";
  acquires(api);
  api.login_user = "alice";  // as podman's containers have it of their starter
  EXPECT_TRUE(uses(api).empty()) << "what it runs itself is nobody's";
  api.session = "exec, login 17 by ssh from 192.0.2.7";
  EXPECT_TRUE(uses(api).empty()) << "without a terminal";
  api.session = "exec, login 17 by ssh from 192.0.2.7 on pts/0, as root by sudo, namespaces of me on top";
  const auto found = uses(api);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].text.starts_with("alice (as root by sudo) read key ")) << found[0].text;
}

TEST_F(PersonTest, WhoCameInBeforeAnyWorkloadHadItIsKnownAfterARestart) {
  Sighting inside{kKey, kService, unit().workload, 1'000};
  inside.workload.kind = WorkloadKind::kPod;
  inside.session = "exec on pts/0";
  judge->load({.sightings = {inside}});
  EXPECT_TRUE(uses(person()).empty()) << "it is no key of the pod";
  make();
  inside.session.clear();
  judge->load({.sightings = {inside}});
  EXPECT_EQ(uses(person()).size(), 1U);
}

TEST_F(PersonTest, WhoCameIntoAContainerAtATerminalIsAPersonWithoutAName) {
  Actor api;
  api.workload.kind = WorkloadKind::kPod;
  api.workload.id = "pod:u1/c1";
  api.workload.name = "payments/deploy/api";
  acquires(api);
  Actor probe = api;
  probe.session = "exec";
  EXPECT_TRUE(uses(probe).empty()) << "a probe enters without a terminal";
  Actor inside = api;
  inside.session = "exec on pts/0";
  const auto found = uses(inside);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].text.starts_with("somebody who came into payments/deploy/api at a terminal (kubectl exec"));
  EXPECT_EQ(found[0].actor.workload.id, "pod:u1/c1");
  EXPECT_TRUE(uses(inside).empty()) << "told once";
}

}  // namespace
}  // namespace keytrail::judge
