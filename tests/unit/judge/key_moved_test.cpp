// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

class KeyMovedTest : public Court {
 protected:
  static Actor pod(const std::string& uid) {
    Actor out;
    out.program = "aws";
    out.workload.kind = WorkloadKind::kPod;
    out.workload.id = "pod:" + uid + "/c";
    out.workload.name = "pod: " + uid;
    out.workload.facts = {{fact::kPodUid, uid, KnownBy::kKernel}};
    return out;
  }
  static Actor unit(const std::string& name) {
    Actor out;
    out.program = "restic";
    out.workload.kind = WorkloadKind::kSystemdUnit;
    out.workload.id = "unit:" + name;
    out.workload.name = name;
    out.workload.facts = {{fact::kUnit, name, KnownBy::kKernel}};
    return out;
  }
  void name(const std::string& uid, const char* space, const char* deployment) {
    look({.workloads = {{"pod:" + uid,
                         {{fact::kNamespace, space, KnownBy::kCluster},
                          {fact::kPodName, std::string(deployment) + "-6d4f", KnownBy::kCluster},
                          {fact::kDeployment, deployment, KnownBy::kCluster}}}}});
  }
  std::string kind;
  /// What is found at once and some seconds later, when names are known.
  std::vector<FindingRow> takes(const Actor& who, std::int64_t at_ns, KeyClass of = KeyClass::kAccessKey) {
    AcquisitionRow row;
    row.actor = who;
    row.key.id = "AKIA1";
    row.key.kind = kind;
    row.key.key_class = of;
    row.slot = {From::kFile, "/etc/key", "prod"};
    clock.now = at_ns;
    EXPECT_TRUE(look({.rows = {row_of(row, at_ns)}}).empty());
    clock.now = at_ns + 11'000'000'000;
    return look();
  }
};

TEST_F(KeyMovedTest, BothWorkloadsAreNamed) {
  name("u1", "payments", "api");
  name("u2", "web", "shop");
  EXPECT_TRUE(takes(pod("u1"), kMinute).empty());
  const auto found = takes(pod("u2"), 90 * kMinute);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "key_moved");
  EXPECT_EQ(found[0].text,
            "web/deploy/shop (aws) took key AKIA1 from /etc/key [prod]; it is a key of payments/deploy/api");
  EXPECT_EQ(found[0].actor.workload.name, "web/deploy/shop");
  EXPECT_TRUE(takes(pod("u2"), 95 * kMinute).empty()) << "it is open";
}

TEST_F(KeyMovedTest, APodOfTheSameDeploymentAndANamelessOneAreNoNews) {
  name("u1", "payments", "api");
  name("u3", "payments", "api");
  EXPECT_TRUE(takes(pod("u1"), kMinute).empty());
  EXPECT_TRUE(takes(pod("u3"), 90 * kMinute).empty());
  EXPECT_TRUE(takes(pod("nameless"), 90 * kMinute).empty());
}

TEST_F(KeyMovedTest, WhatIsTakenTogetherIsShared) {
  EXPECT_TRUE(takes(unit("a.service"), kMinute).empty());
  EXPECT_TRUE(takes(unit("b.service"), 30 * kMinute).empty());
  EXPECT_EQ(takes(unit("c.service"), 90 * kMinute).size(), 1U);
  EXPECT_TRUE(takes(unit("b.service"), 120 * kMinute).empty()) << "it shares the key, whenever it starts again";
}

TEST_F(KeyMovedTest, AFloodOfOthersHidesNoMove) {
  EXPECT_TRUE(takes(unit("a.service"), kMinute).empty());
  AcquisitionRow row;
  row.actor = unit("b.service");
  row.key.id = "AKIA1";
  row.slot = {From::kFile, "/etc/key", "prod"};
  clock.now = 90 * kMinute;
  std::size_t moved = 0;
  for (int i = 0; i <= 1'024; ++i) {
    for (const FindingRow& one : look({.rows = {row_of(row, clock.now)}}))
      moved += one.type == "key_moved" ? 1 : 0;
    row.actor = unit("flood.service");
    row.key.id = "AKIA" + std::to_string(100 + i);
  }
  EXPECT_EQ(moved, 1U);
}

TEST_F(KeyMovedTest, CertificatesPersonsAndBulkReadersAreLeftOut) {
  EXPECT_TRUE(takes(unit("a.service"), kMinute).empty());
  EXPECT_TRUE(takes(unit("b.service"), 90 * kMinute, KeyClass::kCertificate).empty());
  Actor person = unit("b.service");
  person.login_user = "alice";
  EXPECT_TRUE(takes(person, 90 * kMinute).empty());
}

TEST_F(KeyMovedTest, WhatADistributorHadBeforeIsNobodysYet) {
  Actor terraform = unit("deploy.service");
  terraform.exe = "/usr/bin/terraform";
  terraform.program = "terraform";
  terraform.session = "distributor Terraform";
  EXPECT_TRUE(takes(terraform, kMinute).empty());
  EXPECT_TRUE(takes(unit("a.service"), 90 * kMinute).empty()) << "it was made for this one";
  EXPECT_EQ(takes(terraform, 180 * kMinute).size(), 1U) << "a name proves nothing: what is another's is told";
}

TEST_F(KeyMovedTest, AKeyThatADistributorUsesItselfIsItsOwn) {
  Actor terraform = unit("deploy.service");
  terraform.session = "distributor Terraform";
  kind = "aws.access_key";
  EXPECT_TRUE(takes(terraform, kMinute).empty());
  EXPECT_EQ(takes(unit("a.service"), 90 * kMinute).size(), 1U);
}

TEST_F(KeyMovedTest, AScriptIsADistributorWhereItsSessionSaysSo) {
  Actor ansible = unit("deploy.service");
  ansible.exe = "/usr/bin/python3.11";
  ansible.program = "python3 ansible-playbook";
  ansible.session = "as root by sudo, distributor Ansible";
  EXPECT_TRUE(takes(ansible, kMinute).empty());
  EXPECT_TRUE(takes(unit("a.service"), 90 * kMinute).empty());
}

TEST_F(KeyMovedTest, WhatIsNoLongerTrueOfAWorkloadNamesNobody) {
  name("u1", "payments", "api");
  name("u2", "web", "shop");
  Actor started = pod("u2");  // before: it has the name of then
  started.workload.facts = {{fact::kDeployment, "shop", KnownBy::kCluster}, {fact::kPodUid, "u2", KnownBy::kKernel}};
  EXPECT_TRUE(takes(pod("u1"), kMinute).empty());
  look({.workloads = {{"pod:u2",
                       {{fact::kNamespace, "web", KnownBy::kCluster}, {fact::kPodName, "shop-1", KnownBy::kCluster}},
                       WorkloadFacts::Whole{KnownBy::kCluster, 2}}}});
  EXPECT_TRUE(takes(pod("u2"), 90 * kMinute).empty()) << "an orphan now";
  EXPECT_TRUE(takes(started, 91 * kMinute).empty());
}

TEST_F(KeyMovedTest, WhatNothingWasSaidOfStaysAndWhatIsDeniedGoes) {
  name("u1", "payments", "api");
  name("u2", "web", "shop");
  EXPECT_TRUE(takes(pod("u1"), kMinute).empty());
  WorkloadFacts::Whole whole{KnownBy::kCluster, 2};
  whole.unsaid = {std::string(fact::kDeployment)};
  const std::vector<Fact> rest{{fact::kNamespace, "web", KnownBy::kCluster}};
  look({.workloads = {{"pod:u2", rest, whole}}});
  EXPECT_EQ(takes(pod("u2"), 90 * kMinute).size(), 1U) << "the owner is who it was";
  look({.workloads = {
            {"pod:u3",
             {{fact::kNamespace, "payments", KnownBy::kCluster}, {fact::kDeployment, "api", KnownBy::kClaimed}}}}});
  whole.unsaid.clear();
  whole.nor_claimed = {std::string(fact::kDeployment)};
  look({.workloads = {
            {"pod:u3",
             {{fact::kNamespace, "payments", KnownBy::kCluster}, {fact::kReplicaSet, "other", KnownBy::kCluster}},
             whole}}});
  EXPECT_EQ(takes(pod("u3"), 91 * kMinute).size(), 1U) << "none of that deployment";
}

TEST_F(KeyMovedTest, IsResolvedWhenTheSlotGetsAnotherKey) {
  EXPECT_TRUE(takes(unit("a.service"), kMinute).empty());
  EXPECT_EQ(takes(unit("b.service"), 90 * kMinute).size(), 1U);
  SlotChange change;
  change.place = "/etc/key";
  change.old_id = "AKIA1";
  change.new_id = "AKIA2";
  look({.slot_changes = {change}});
  EXPECT_EQ(became(), (Words{"resolved key_moved"}));
}

TEST_F(KeyMovedTest, WhoHadItFirstIsKnownAfterARestart) {
  make();
  Earlier earlier;
  earlier.sightings = {{"AKIA1", {From::kFile, "/etc/key", "prod"}, unit("a.service").workload, kMinute}};
  judge->load(earlier);
  EXPECT_EQ(takes(unit("b.service"), 90 * kMinute).size(), 1U);
}

TEST_F(KeyMovedTest, APersonIsNoFirstOwnerAfterARestartEither) {
  Sighting alice{"AKIA1", {From::kFile, "/etc/key", "prod"}, unit("ssh.service").workload, kMinute};
  alice.login_user = "alice";
  alice.kept = true;
  judge->load({.sightings = {alice}});
  EXPECT_TRUE(takes(unit("app.service"), 90 * kMinute).empty());
}

TEST_F(KeyMovedTest, WhoOnlyHandedItOnIsKnownAfterARestart) {
  Sighting terraform{"AKIA1", {From::kFile, "/etc/key", "prod"}, unit("deploy.service").workload, kMinute};
  terraform.session = "login 17 by ssh on pts/3, distributor Terraform, namespaces of x";
  judge->load({.sightings = {terraform}});
  EXPECT_TRUE(takes(unit("b.service"), 90 * kMinute).empty()) << "it was made for this one";
  make();
  terraform.kept = true;
  judge->load({.sightings = {terraform}});
  EXPECT_EQ(takes(unit("b.service"), 90 * kMinute).size(), 1U) << "something else in that unit took it, too";
  make();
  terraform.kept = false;
  terraform.kind = kind = "aws.access_key";
  judge->load({.sightings = {terraform}});
  EXPECT_EQ(takes(unit("b.service"), 90 * kMinute).size(), 1U) << "of a kind that it uses itself";
}

}  // namespace
}  // namespace keytrail::judge
