// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"
#include "tests/unit/examine/samples.h"

namespace keytrail::examine {
namespace {

std::string two_contexts() {
  return "apiVersion: v1\nkind: Config\ncurrent-context: prod\npreferences: {}\nclusters:\n"
         "- name: a\n  cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: " +
         base64(kTlsCertificate) +
         "}\n"
         "- name: b\n  cluster:\n    server: https://api.prod.example.com\n"
         "contexts:\n- name: dev\n  context: {cluster: a, user: ada}\n- name: prod\n  context: {cluster: b, user: bot, "
         "namespace: x}\n"
         "users:\n- name: ada\n  user:\n    client-certificate-data: " +
         base64(kTlsCertificate) + "\n    client-key-data: " + base64(kTlsKey) +
         "\n- name: bot\n  user:\n    token: 0123456789abcdef0123456789abcdef\n- name: alone\n  user: {username: ada, "
         "password: correct "
         "horse battery}\n"
         "- name: plugin\n  user:\n    exec: {command: aws, args: [eks, get-token]}\n";
}

TEST(KubeConfig, TiesEachContextToItsUserAndServer) {
  Bench bench;
  const Found found = bench.parse("kubeconfig", two_contexts(), "k8s.static_token");
  ASSERT_EQ(found.keys.size(), 3U);
  const KeyFact& dev = found.keys[0];
  EXPECT_EQ(dev.selector, "dev");
  EXPECT_EQ(dev.host, "10.0.0.1:6443");
  EXPECT_FALSE(dev.current);
  EXPECT_EQ(dev.key.kind, "k8s.client_certificate");
  EXPECT_EQ(dev.key.key_class, KeyClass::kCertificate);
  EXPECT_EQ(dev.key.id.substr(0, 5), "spki:");
  EXPECT_FALSE(dev.key.fingerprint.empty()) << "the private half is in the file";
  EXPECT_NE(dev.key.expires_s, 0) << "and so is the certificate";
  const KeyFact& prod = found.keys[1];
  EXPECT_EQ(prod.selector, "prod");
  EXPECT_EQ(prod.host, "api.prod.example.com");
  EXPECT_TRUE(prod.current);
  EXPECT_EQ(prod.key.kind, "k8s.static_token");
  EXPECT_EQ(prod.key.fingerprint, bench.print("0123456789abcdef0123456789abcdef"));
  EXPECT_EQ(found.keys[2].selector, "alone");
  EXPECT_EQ(label_of(found.keys[2].key.id), "http.basic_password:ada");
  EXPECT_TRUE(found.keys[2].key.fingerprint.empty());
  EXPECT_EQ(found.skipped, 0U);
}

TEST(KubeConfig, OneUserOfTwoContextsIsOneKeyInTwoEntries) {
  Bench bench;
  constexpr std::string_view kFile = R"({
      "contexts": [{"name": "x", "context": {"user": "u", "cluster": "c"}}, {"name": "y", "context": {"user": "u"}}],
      "users": [{"name": "u", "user": {"token": "0123456789abcdef0123456789abcdef"}}]})";
  const Found found = bench.parse("kubeconfig", kFile);
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.id, found.keys[1].key.id);
  EXPECT_EQ(found.keys[1].selector, "y");
}

TEST(KubeConfig, KeepsWhatAnAuthProviderCached) {
  Bench bench;
  const Found found = bench.parse("kubeconfig",
                                  "users:\n- name: u\n  user:\n    auth-provider:\n      name: oidc\n      config:\n   "
                                  "     refresh-token: abcdefghijklmnop1\n"
                                  "        client-secret: abcdefghijklmnop2\n        idp-issuer-url: https://x\n");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.kind, "oauth.refresh_token");
  EXPECT_EQ(found.keys[1].key.kind, "oauth.client_secret");
}

TEST(KubeConfig, WithPathsOrPluginsOnlyGivesNoKey) {
  Bench bench;
  const Found found = bench.parse(
      "kubeconfig",
      "contexts:\n- name: x\n  context: {user: u, cluster: c}\nusers:\n- name: u\n  user: {client-certificate: a.crt, "
      "client-key: a.key, tokenFile: /run/token, token: ignored-because-of-the-file}\n");
  for (const KeyFact& fact : found.keys)
    EXPECT_EQ(fact.key.id, "") << fact.path;
  EXPECT_EQ(found.unread, role::Unread::kNone);
}

TEST(KubeConfig, AnEntryWithAPluginTellsItsServer) {
  Bench bench;
  const Found found =
      bench.parse("kubeconfig",
                  "current-context: x\ncontexts:\n- name: x\n  context: {user: u, cluster: c}\nclusters:\n- name: c\n"
                  "  cluster: {server: 'https://api.test:6443'}\nusers:\n- name: u\n  user: {exec: {command: aws}}\n");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "");
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
  EXPECT_EQ(found.keys[0].host, "api.test:6443");
  EXPECT_EQ(found.keys[0].selector, "x");
  EXPECT_TRUE(found.keys[0].current);
}

TEST(KubeConfig, BadEntriesAreCounted) {
  Bench bench;
  EXPECT_EQ(bench.parse("kubeconfig", "contexts: [{name: x, context: {user: nobody}}, 7, {}]\nusers: 5\n").skipped, 3U);
  EXPECT_EQ(
      bench.parse("kubeconfig", "users: [{name: u, user: {client-certificate-data: '%%', client-key-data: '%%'}}]\n")
          .skipped,
      1U);
  EXPECT_EQ(bench.parse("kubeconfig", "{\"users\": [").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("kubeconfig", std::string_view("a: \0", 4)).unread, role::Unread::kUnknownFormat);
}

TEST(KubeConfig, ABareTokenBesideItIsAToken) {
  Bench bench;
  const Found found = bench.parse("kubeconfig", "K10aaaaaaaaaaaaaaaa::server:bbbbbbbbbbbbbbbb\n", "k8s.join_token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "k8s.join_token");
}

}  // namespace
}  // namespace keytrail::examine
