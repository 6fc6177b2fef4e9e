// SPDX-License-Identifier: Apache-2.0
// Attributes of rows that have every field: what schema 1.0 sent is sent as it was (attributes_1.0.txt, made before
// there were descriptions), each name once, no name that nobody described.
#include "exporters/otlp/attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "tests/unit/filled.h"

namespace keytrail::otlp {
namespace {

using keytrail::test::filled_row;
using Pairs = google::protobuf::RepeatedPtrField<common::KeyValue>;

std::string words(const common::AnyValue& value) {
  if (value.has_string_value()) return "text " + value.string_value();
  if (value.has_int_value()) return "number " + std::to_string(value.int_value());
  if (value.has_bool_value()) return value.bool_value() ? "true" : "false";
  std::string out = "list";
  for (const common::AnyValue& item : value.array_value().values())
    out += " [" + words(item) + "]";
  return out;
}

using Named = std::map<std::string, std::string>;

Named named(const Pairs& pairs) {
  Named out;
  for (const common::KeyValue& pair : pairs)
    EXPECT_TRUE(out.emplace(pair.key(), words(pair.value())).second) << pair.key() << " twice";
  return out;
}

Named attributes(const Row& row) {
  Pairs pairs;
  Attributes put(&pairs);
  put_row(put, row);
  return named(pairs);
}

/// Rows by the names that attributes_1.0.txt has.
std::map<std::string, Row> rows() {
  Row file = filled_row<AcquisitionRow>();
  std::get<AcquisitionRow>(file.body).slot.from = From::kFile;
  Row one = filled_row<UseRow>();
  auto& use = std::get<UseRow>(one.body);
  use.keys.pop_back();
  use.requests.reset();
  use.outcome = Outcome::kRefused;
  use.destination.host.clear();
  Row revision = filled_row<RevisionRow>();
  std::get<RevisionRow>(revision.body).workload = {};  // schema 1.0 had those of rows only
  return {{"acquisition", filled_row<AcquisitionRow>()},
          {"from_file", file},
          {"several_keys", filled_row<UseRow>()},
          {"one_key", one},
          {"finding", filled_row<FindingRow>()},
          {"gap", filled_row<GapRow>()},
          {"revision", revision},
          {"empty_acquisition", Row{0, 0, 0, AcquisitionRow{}}},
          {"empty_use", Row{0, 0, 0, UseRow{}}},
          {"empty_gap", Row{0, 0, 0, GapRow{}}}};
}

TEST(Attributes, WhatSchema1SentIsSentAsItWas) {
  std::map<std::string, Named> now;
  for (const auto& [name, row] : rows()) {
    resource::Resource resource;
    fill_resource(resource, row, Sender{"node-1"});
    now[name] = attributes(row);
    now[name + ".resource"] = named(resource.attributes());
  }
  std::ifstream file(KEYTRAIL_ATTRIBUTES);
  std::set<std::string> compared;
  std::string name, attribute, value;
  while (std::getline(file, name, '\t') && std::getline(file, attribute, '\t') && std::getline(file, value)) {
    ASSERT_TRUE(now.contains(name)) << name;
    EXPECT_EQ(now[name][attribute], value) << name << " " << attribute;
    compared.insert(name);
  }
  EXPECT_EQ(compared.size(), now.size());
}

TEST(Attributes, AKeysTimesAndTheLoginUserAreSent) {
  Row row = filled_row<AcquisitionRow>();
  auto& body = std::get<AcquisitionRow>(row.body);
  body.actor.login_user = "alice";
  body.key.issued_s = 1;
  body.key.expires_s = 253'402'300'799;
  EXPECT_EQ(attributes(row)["keytrail.login_user"], "text alice");
  EXPECT_EQ(attributes(row)["keytrail.key.issued"], "text 1970-01-01T00:00:01.000000000Z");
  EXPECT_EQ(attributes(row)["keytrail.key.expires"], "text 9999-12-31T23:59:59.000000000Z");
  body.key.expires_s = 0;
  EXPECT_FALSE(attributes(row).contains("keytrail.key.expires"));
}

TEST(Attributes, WhichFileAProgramWasIsSentWhereItIsKnown) {
  Row row = filled_row<UseRow>();
  Actor& actor = std::get<UseRow>(row.body).actor;
  actor.file = {.dev = 8U << 20U | 1U, .inode = 77, .deleted = true};
  Named sent = attributes(row);
  EXPECT_EQ(sent["keytrail.executable.device"], "text 8:1");
  EXPECT_EQ(sent["keytrail.executable.inode"], "number 77");
  EXPECT_EQ(sent["keytrail.executable.deleted"], "true");
  actor.file = {};
  sent = attributes(row);
  for (const char* name : {"keytrail.executable.device", "keytrail.executable.inode", "keytrail.executable.deleted"})
    EXPECT_FALSE(sent.contains(name)) << name;
}

Named resource_of(const Row& row, bool other = false) {
  resource::Resource resource;
  fill_resource(resource, row, Sender{"node-1"}, other);
  return named(resource.attributes());
}

Row of_pod(std::vector<Fact> facts) {
  Row row = filled_row<UseRow>();
  Workload& workload = std::get<UseRow>(row.body).actor.workload;
  workload = {.id = "pod:u/c", .kind = WorkloadKind::kPod, .name = "payments/deploy/api"};
  workload.facts = std::move(facts);
  return row;
}

TEST(Attributes, APodsResourceFollowsTheConventions) {
  const Row row = of_pod({{fact::kContainerId, "c"},
                          {fact::kImageDigest, "sha256:aa", KnownBy::kRuntime},
                          {fact::kImageName, "reg:5000/acme/api:1.2", KnownBy::kRuntime},
                          {fact::kDeployment, "api", KnownBy::kCluster},
                          {fact::kNamespace, "payments", KnownBy::kCluster},
                          {fact::kPodName, "api-1", KnownBy::kCluster},
                          {fact::kPodName, "forged", KnownBy::kClaimed}});
  Named sent = resource_of(row);
  EXPECT_EQ(sent["service.name"], "text api");
  EXPECT_EQ(sent["service.namespace"], "text payments");
  EXPECT_EQ(sent["service.version"], "text 1.2@sha256:aa");
  EXPECT_EQ(sent["k8s.namespace.name"], "text payments");
  EXPECT_EQ(sent["k8s.pod.name"], "text api-1");
  EXPECT_EQ(sent["k8s.deployment.name"], "text api");
  EXPECT_EQ(sent["container.id"], "text c");
  EXPECT_EQ(sent["container.image.name"], "text reg:5000/acme/api");
  EXPECT_EQ(sent["container.image.tags"], "list [text 1.2]");
  EXPECT_EQ(sent["container.image.repo_digests"], "list [text reg:5000/acme/api@sha256:aa]");
  EXPECT_EQ(sent["keytrail.workload.name"], "text payments/deploy/api");
  EXPECT_EQ(sent["keytrail.workload.id"], "text pod:u/c");
  EXPECT_EQ(sent["host.name"], "text node-1");
  sent = resource_of(row, true);
  EXPECT_EQ(sent["service.name"], "text _OTHER");
  EXPECT_EQ(sent["keytrail.workload.name"], "text payments/deploy/api");
}

TEST(Attributes, AServicesOwnNameIsSentOnceAndADigestWithItsNameAsItIs) {
  Named sent = resource_of(of_pod({{fact::kImageDigest, "reg/api@sha256:aa", KnownBy::kRuntime},
                                   {fact::kServiceName, "checkout", KnownBy::kCluster}}));
  EXPECT_EQ(sent["service.name"], "text checkout");
  EXPECT_EQ(sent["container.image.repo_digests"], "list [text reg/api@sha256:aa]");
}

TEST(Attributes, TheMachineIsInEachResourceBelowWhatAPersonSays) {
  const std::vector<Fact> facts{{fact::kCloudProvider, "aws", KnownBy::kClaimed},
                                {fact::kCloudRegion, "eu-west-1", KnownBy::kClaimed},
                                {fact::kHostId, "i-1", KnownBy::kClaimed}};
  const Sender sender{.host_name = "node-1",
                      .attributes = {{fact::kCloudRegion, "ours"}, {fact::kEnvironment, "prod"}},
                      .machine = [&] { return std::make_shared<const std::vector<Fact>>(facts); }};
  for (const Row& row : {of_pod({{fact::kEnvironment, "claimed", KnownBy::kClaimed}}), filled_row<GapRow>()}) {
    resource::Resource resource;
    fill_resource(resource, row, sender);
    Named sent = named(resource.attributes());
    EXPECT_EQ(sent["cloud.provider"], "text aws");
    EXPECT_EQ(sent["host.id"], "text i-1");
    EXPECT_EQ(sent["cloud.region"], "text ours");
    EXPECT_EQ(sent["deployment.environment.name"], "text prod");
  }
}

TEST(Attributes, FactsOfAWorkloadAreARecordOfThatWorkload) {
  Row row{7, 1, 1, RevisionRow{.what = Revised::kWorkload, .value = "k8s.pod.name=api-1 (cluster)"}};
  std::get<RevisionRow>(row.body).workload = std::get<UseRow>(of_pod({{fact::kPodName, "api-1"}}).body).actor.workload;
  Named sent = attributes(row);
  EXPECT_EQ(sent["keytrail.revision.what"], "text workload");
  EXPECT_EQ(sent["keytrail.revision.value"], "text k8s.pod.name=api-1 (cluster)");
  EXPECT_FALSE(sent.contains("keytrail.revision.of_seq"));
  sent = resource_of(row);
  EXPECT_EQ(sent["keytrail.workload.id"], "text pod:u/c");
  EXPECT_EQ(sent["k8s.pod.name"], "text api-1");
  EXPECT_EQ(resource_key(row), resource_key(of_pod({}))) << "one resource with the rows of that workload";
}

}  // namespace
}  // namespace keytrail::otlp
