// SPDX-License-Identifier: Apache-2.0
// How evidence is weighed, as a table: what a process holds, what it calls and what was seen in the request →
// evidence, reason, keys.
#include "agent/link/candidates.h"

#include <gtest/gtest.h>

#include "small_world.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2", kSts = "sts.eu-west-1.amazonaws.com";

struct Row {
  std::string what;
  std::vector<Held> holdings;
  std::string expected;  ///< "evidence reason: KEY, KEY"; "silent" where it is no use
  Program program = {};
  std::string host = kS3;
  std::optional<RequestSeen> request = std::nullopt;
};

KeyFact key(const std::string& id, const std::string& kind, const std::string& selector = {}) {
  KeyFact fact;
  fact.key.id = id;
  fact.key.kind = kind;
  fact.selector = selector;
  return fact;
}
RequestSeen carries(const std::string& key_id) {
  return {.method = "GET", .host = kS3, .path = "/", .key_sent = RequestSeen::KeySent::kSeen, .key_id = key_id};
}
RequestSeen carries_none() {
  return {.method = "GET", .host = kS3, .path = "/", .key_sent = RequestSeen::KeySent::kNone};
}

std::string told(const Row& row) {
  Instance caller = instance_of(row.program);
  caller.holdings = row.holdings;
  caller.id.start_ns = kUsed;  // all was there when it was forked
  const Resolved where = resolved(caller, hello(row.host));
  WorldFacts world;
  world.use_ns = kUsed;
  world.connected_ns = kConnected;
  world.armed.fill(true);
  KeyIndex index(8);
  for (const Held& one : row.holdings)
    index.learn(one.what->key);
  Question question{caller, where, world, ip(1)};
  question.request = row.request ? &*row.request : nullptr;
  const Verdict verdict = weigh(question, index, catalog::Catalog::builtin());
  EXPECT_EQ(verdict.keys.size(), verdict.held.size()) << row.what;
  for (const Candidate& one : verdict.keys) {
    EXPECT_TRUE(verdict.keys.size() > 1 || one.reason == verdict.reason)
        << row.what << ": one key has the reason of its use";
  }
  std::string out = verdict.silent ? "silent " : "";
  out += std::string(to_string(verdict.evidence)) + " " + to_string(verdict.reason) + ":";
  for (const Candidate& one : verdict.keys)
    out += " " + one.key.id;
  return out;
}

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows)
    EXPECT_EQ(told(row), row.expected) << row.what;
}

TEST(Weighing, ByWhatTheProcessHolds) {
  check({
      {"nothing", {}, "unattributed no_key_seen:"},
      {"a key of another kind", {from_file(key("SHA256:x", "ssh.private_key"))}, "unattributed no_key_of_this_kind:"},
      {"one key", {from_file(aws_fact(kA))}, "inferred only_key_held: " + kA},
      {"one key, lost at an exec", {from_file(aws_fact(kA), How::kLostAtExec)}, "possible lost_at_exec: " + kA},
      {"one key, read by a helper for another", {from_file(aws_fact(kA), How::kHelper)}, "possible from_helper: " + kA},
      {"a key from the metadata service",
       {held(key("aws.session@role/web", "aws.session"), From::kMetadata, "169.254.169.254 /x")},
       "inferred issued_by_role: aws.session@role/web"},
      {"two keys, the variable first",
       {from_file(aws_fact(kB)), from_variable(aws_fact(kA))},
       "possible several_keys: " + kA + " " + kB,
       {.env = aws_env(kA)}},
      {"one key in two places",
       {from_file(aws_fact(kA)), from_variable(aws_fact(kA))},
       "inferred only_key_held: " + kA},
      {"what was lost counts only alone",
       {from_file(aws_fact(kB), How::kLostAtExec), from_variable(aws_fact(kA))},
       "inferred only_key_held: " + kA},
  });
}

// Four situations that were one reason, "several keys".
TEST(Weighing, WhyAKeyThatFitsIsNotSure) {
  KeyFact registry =
      key("registry.password:robot@index.docker.io #1", "registry.password", "https://index.docker.io/v1/");
  check({
      {"several fit",
       {from_file(aws_fact(kA)), from_variable(aws_fact(kB))},
       "possible several_keys: " + kB + " " + kA,
       {.env = aws_env(kB)}},
      {"told to take another entry",
       {from_file(aws_fact(kA))},
       "possible another_entry_meant: " + kA,
       aws_program({shown("AWS_PROFILE", "app")})},
      {"told to take another by an argument",
       {from_file(aws_fact(kA))},
       "possible another_entry_meant: " + kA,
       aws_program({}, {flag("--profile", "app")})},
      {"told to sign with none",
       {from_file(aws_fact(kA))},
       "possible another_entry_meant: " + kA,
       aws_program({}, {flag("--no-sign-request", "")})},
      {"the entry of another host",
       {held(registry, From::kFile, "/root/.docker/config.json")},
       "possible entry_of_another_host: " + registry.key.id,
       {},
       "quay.io"},
  });
}

// What is accepted somewhere may still be another service's: the only key that happens to be known is not named for it.
TEST(Weighing, AKeyThatNothingTiesToTheDestinationIsNeverInferred) {
  const Program with_vault{.env = {shown("VAULT_ADDR", "https://vault.corp.test")}};
  const auto in_file = [](const std::string& kind, const std::string& path) {
    return std::vector<Held>{held(key("id", kind), From::kFile, path)};
  };
  const auto in_variable = [](const std::string& kind, const std::string& name) {
    return std::vector<Held>{held(key("id", kind), From::kEnvironment, name)};
  };
  check({
      {"a pod's token at a service of its own", in_file("k8s.projected_token", "/run/secrets/tokens/free"),
       "possible not_tied: id", with_vault, "vault.corp.test"},
      {"the service's own key", in_variable("vault.token", "VAULT_TOKEN"), "inferred only_key_held: id", with_vault,
       "vault.corp.test"},
      {"a pod's token in the cloud's own volume",
       in_file("k8s.projected_token", "/run/secrets/eks.amazonaws.com/serviceaccount/token"),
       "inferred only_key_held: id",
       {},
       kSts},
      {"a pod's token in the cluster's volume",
       in_file("k8s.projected_token", "/run/secrets/kubernetes.io/serviceaccount/token"),
       "possible not_tied: id",
       {},
       kSts},
      {"a file that a variable of the service names",
       in_file("k8s.projected_token", "/opt/free"),
       "inferred only_key_held: id",
       {.env = {shown("AWS_WEB_IDENTITY_TOKEN_FILE", "/opt/free")}},
       kSts},
      {"a key of another service that is taken there", in_variable("github.token", "GITHUB_TOKEN"),
       "possible not_tied: id", with_vault, "vault.corp.test"},
      {"a password of nothing in particular", in_variable("generic.password", "APP_PASSWORD"), "possible not_tied: id",
       with_vault, "vault.corp.test"},
      {"a generic secret in the service's own variable",
       in_variable("oauth.client_secret", "OKTA_OAUTH2_CLIENT_SECRET"),
       "inferred only_key_held: id",
       {},
       "dev-1.okta.com"},
  });
}

TEST(Weighing, ADestinationWhoseOwnerDecidesIsNeverInferred) {
  Instance caller = instance_of({});
  caller.holdings = std::vector{from_file(aws_fact(kA))};
  Resolved where = resolved(caller, hello(kS3));
  where.endpoint.open = true;
  WorldFacts world;
  world.use_ns = kUsed;
  world.connected_ns = kConnected;
  world.armed.fill(true);
  KeyIndex index(8);
  const Verdict verdict = weigh({caller, where, world, ip(1)}, index, catalog::Catalog::builtin());
  EXPECT_EQ(verdict.evidence, Evidence::kPossible);
  EXPECT_EQ(verdict.reason, Reason::kOwnerDecides);
  ASSERT_EQ(verdict.keys.size(), 1U);
  EXPECT_EQ(verdict.keys[0].reason, Reason::kOwnerDecides);
}

TEST(Weighing, ByWhatTheRequestCarries) {
  const std::string print = aws_fact(kA).key.fingerprint.text();
  const std::vector<Held> both{from_file(aws_fact(kA)), from_variable(aws_fact(kB))};
  check({
      {"nothing was looked for",
       both,
       "possible several_keys: " + kB + " " + kA,
       {.env = aws_env(kB)},
       kS3,
       RequestSeen{.method = "GET"}},
      {"the id of one of several", both, "confirmed key_id_in_request: " + kA, {}, kS3, carries(kA)},
      {"its fingerprint", both, "confirmed key_id_in_request: " + kA, {}, kS3, carries(print)},
      {"a key that was lost at an exec is in the request all the same",
       {from_file(aws_fact(kA), How::kLostAtExec)},
       "confirmed key_id_in_request: " + kA,
       {},
       kS3,
       carries(kA)},
      {"a request outranks a program's selector",
       {from_file(aws_fact(kA)), from_file(aws_fact(kB, "prod"))},
       "confirmed key_id_in_request: " + kB,
       aws_program(),
       kS3,
       carries(kB)},
      {"a key that it is not known to hold",
       {from_file(aws_fact(kA))},
       "possible another_key_in_request: " + kA,
       {},
       kS3,
       carries(kB)},
      {"the same, and it holds none", {}, "unattributed another_key_in_request:", {}, kS3, carries(kB)},
      {"no key", both, "silent unattributed no_key_in_request:", {}, kS3, carries_none()},
  });
}

TEST(Weighing, AKeyThatSignsWhatTheDestinationTakes) {
  const Held signer = held(key("sa", "gcp.service_account_key"), From::kFile, "/root/sa.json");
  check({{"nothing else fits", {signer}, "inferred only_key_held: sa", {}, "bigquery.googleapis.com"},
         {"a token is at hand",
          {signer, held(key("fp:token", "gcp.access_token"), From::kEnvironment, "CLOUDSDK_AUTH_ACCESS_TOKEN")},
          "inferred only_key_held: fp:token",
          {},
          "bigquery.googleapis.com"},
         {"what it signs is not taken there", {signer}, "unattributed no_key_of_this_kind:", {}, kS3}});
}

TEST(Weighing, WhatAnIssuerMayHaveGiven) {
  KeyFact issued = key("aws.session@" + kA, "aws.session");
  issued.key.parent = kA;
  Held child = held(issued, From::kIssued, kSts);
  auto what = std::make_shared<HeldKey>(*child.what);
  what->issued = true;
  child.what = what;
  check({{"parent and child",
          {from_file(aws_fact(kA)), child},
          "possible parent_or_issued: " + kA + " aws.session@" + kA},
         {"the child is seen in the request",
          {from_file(aws_fact(kA)), child},
          "possible another_key_in_request: " + kA + " aws.session@" + kA,
          {},
          kS3,
          carries("ASIAAAAAAAAAAAAAAAA2")}});
}

}  // namespace
}  // namespace keytrail::link
