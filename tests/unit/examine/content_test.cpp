// SPDX-License-Identifier: Apache-2.0
// What a file is that lies anywhere, by its content alone: which format it is read as, may it be a secret, or neither.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/unit/examine/fixture.h"
#include "tests/unit/examine/samples.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kGithub = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
constexpr std::string_view kAws =
    "[work]\naws_access_key_id = AKIAQ3EGTV5ZW7KDM2XA\naws_secret_access_key = "
    "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\n";

std::string form(std::string_view bytes) {
  Bench bench;
  const Found found = bench.parse(kContentFormat, bytes);
  EXPECT_TRUE(found.keys.empty()) << "it says only what the file is";
  EXPECT_EQ(found.unread, role::Unread::kNone);
  return std::string(found.format);
}

/// And what it is then read as gives a key of this kind.
void expect_key(std::string_view bytes, std::string_view kind) {
  const std::string as = form(bytes);
  Bench bench;
  const Found found = bench.parse(as, bytes);
  ASSERT_FALSE(found.keys.empty()) << as << ": " << bytes.substr(0, 40);
  EXPECT_EQ(found.keys[0].key.kind, kind) << as;
}

TEST(Content, AFormatWithAStructureIsKnownByIt) {
  EXPECT_EQ(form(kAws), "aws_credentials");
  EXPECT_EQ(form("apiVersion: v1\nkind: Config\nclusters: []\nusers:\n- name: a\n  user: {token: abc}\ncontexts: []\n"),
            "kubeconfig");
  EXPECT_EQ(form(R"({"apiVersion":"v1","clusters":[],"users":[],"contexts":[]})"), "kubeconfig");
  EXPECT_EQ(form(R"({"type":"authorized_user","client_id":"i","refresh_token":"1//abcdefghijklmnopqrstuvwxyz"})"),
            "google_credentials");
  EXPECT_EQ(form(R"({"auths":{"registry.example":{"auth":"YWRhOnNlY3JldHNlY3JldA=="}}})"), "docker_config");
  EXPECT_EQ(form("machine api.example login ada password hunter2hunter2\n"), "netrc");
  EXPECT_EQ(form("https://ada:hunter2hunter2@git.example\n"), "git_credentials");
  EXPECT_EQ(form("//registry.example/:_authToken=abcdefabcdef\n"), "npmrc");
  EXPECT_EQ(form("db.example:5432:*:ada:hunter2hunter2\n"), "pgpass");
  EXPECT_EQ(form("# made by hand\nAGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ\n"),
            "age_identity");
  EXPECT_EQ(form("(11:private-key(3:rsa(1:n1:a)))"), "gpg_private_key");
  EXPECT_EQ(form("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), "ssh_private_key");
  EXPECT_EQ(form("subject=/CN=a\n-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"), "pem");
}

TEST(Content, TheNamesInAProgramsSourceAreNoKeysAndThoseInAShellScriptAre) {
  constexpr std::string_view kNames = "REQUEST_TYPE_ID_TOKEN = \"auth-request-type/it\"\nSA_JWT = \"cred-type/jwt\"\n";
  EXPECT_EQ(form("#!/usr/bin/env python\n# Copyright\nimport platform\n\n" + std::string(kNames)), "");
  EXPECT_EQ(form("import platform\n" + std::string(kNames)), "");
  expect_key("#!/bin/bash\nexport GITHUB_TOKEN=" + std::string(kGithub) + "\n", "github.token");
  expect_key("#!/bin/sh -e\nexport GITHUB_TOKEN=" + std::string(kGithub) + "\n", "github.token");
}

TEST(Content, ATokenWithAKnownBeginningIsAKeyOfItsKind) {
  expect_key(std::string(kGithub) + "\n", "github.token");
  expect_key("export GH=1\nGITHUB_TOKEN=" + std::string(kGithub) + "\n", "github.token");
  expect_key("api:\n  token: " + std::string(kGithub) + "\n", "github.token");
  expect_key(R"({"note":"mine","token":")" + std::string(kGithub) + "\"}", "github.token");
  expect_key(kAws, "aws.access_key");
}

TEST(Content, WhatIsNotRecognisedButMayBeASecretIsSaid) {
  std::mt19937 random(7);
  std::string key(32, '\0');
  for (char& c : key)
    c = static_cast<char>(random());
  EXPECT_EQ(form(key), kSecretShaped);
  EXPECT_EQ(form("correct-horse-battery\n"), kSecretShaped);
  EXPECT_EQ(form("user: ada\npassword: hunter2hunter2\n"), kSecretShaped);
  EXPECT_EQ(form("# backup\n0123456789abcdef0123456789abcdef\n"), kSecretShaped);
  EXPECT_EQ(form("a note\nZm9vYmFyYmF6cXV4MTIzNDU2Nzg5MEFCQ0Q=\n"), kSecretShaped);
}

TEST(Content, WhatHoldsNoSecretIsNone) {
  EXPECT_EQ(form(""), "");
  EXPECT_EQ(form("12345678\n"), "");
  EXPECT_EQ(form("db.internal.example.com:5432\n"), "");
  EXPECT_EQ(form("/run/user/1000/bus/socket\n"), "");
  EXPECT_EQ(form("user: ada\npassword: changeme\n"), "");
  EXPECT_EQ(form("# a stub\nnameserver 127.0.0.53\nsearch eu-west-1.compute.internal\noptions edns0 trust-ad\n"), "");
  EXPECT_EQ(form("Host build\n  HostName build.example.com\n  IdentityFile ~/.ssh/id_build\n"), "");
  EXPECT_EQ(form("host.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0123456789abcdefghijklmnopqrstuvwxyzABCDE\n"), "");
  EXPECT_EQ(form("-----BEGIN CERTIFICATE-----\nMIIB0123456789abcdefghijklmnopqrstuv\n-----END CERTIFICATE-----\n"), "");
  EXPECT_EQ(form(std::string("\1\0\0\0\x2a\0\0\0\xff\x17\0\0", 12)), "") << "records";
  EXPECT_EQ(form(std::string("SQLite format 3\0xyz", 19)), "");
  EXPECT_EQ(form("root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"), "");
  EXPECT_EQ(form("int main(void)\n{\n\treturn compute(first_argument, second_argument);\n}\n"), "");
}

constexpr std::string_view kProgram =
    "'use strict';\nconst options = {\n  access_token: answer.token,\n  refresh_token: 'refreshTokenOfTheGrant1',\n"
    "  client_secret: this.clientSecretOfTheClient1,\n};\n";

TEST(Content, TheSourceOfAProgramIsNoneForItsNames) {
  EXPECT_EQ(form(kProgram), "");
  EXPECT_EQ(form("package tls\n\nconst key = `" + std::string(kTlsKey) + "`\n"), "") << "a key that is built in code";
  EXPECT_EQ(form("import os\npassword = os.environ_of_somebody1['PASSWORD']\n"), "");
}

/// As python3.11 writes it: number, flags, time and size of the source, then the code.
std::string byte_code(std::string_view constants) {
  return std::string("\xa7\r\r\n\0\0\0\0\x9b\x1c\x2a\x69\x10\x27\0\0\xe3", 17) + std::string(24, '\0') +
         std::string(constants) + std::string("\0\0\xe9\0", 4);
}

TEST(Content, TheByteCodeOfAProgramIsNoneForTheMarksInIt) {
  const std::string msal =
      "-----BEGIN CERTIFICATE-----(?P<cert_value>[^-]+)-----END CERTIFICATE-----z"
      "  \"private_key\": \"...-----BEGIN PRIVATE KEY-----... in PEM format\",\n"
      "  \"public_certificate\": \"...-----BEGIN CERTIFICATE-----...\"";
  EXPECT_EQ(form(byte_code(msal)), "");
  EXPECT_EQ(form(byte_code("-----BEGIN OPENSSH PRIVATE KEY-----s!-----END OPENSSH PRIVATE KEY-----")), "");
  EXPECT_EQ(form(byte_code(std::string(kTlsKey))), "") << "a key that is built in code";
}

TEST(Content, InBytesThatAreNoTextAKeyIsThereWholeOrNotAtAll) {
  const std::string records(
      "\x7f"
      "ELF\0\0\1\0",
      8);
  EXPECT_EQ(form(records + "...-----BEGIN PRIVATE KEY-----... in PEM format"), "");
  EXPECT_EQ(form(records + "-----BEGIN OPENSSH PRIVATE KEY-----s-----END OPENSSH PRIVATE KEY-----"), "");
  EXPECT_EQ(form(records + std::string(kTlsKey)), "pem");
}

TEST(Content, AFieldsNameAloneTellsNoKey) {
  EXPECT_EQ(form("access_token: aaaabbbbccccddddeeee1\nrefresh_token: aaaabbbbccccddddeeee2\n"), kSecretShaped);
}

TEST(Content, AVariableOfTheEnvironmentTellsItsKey) {
  expect_key("GITHUB_TOKEN=" + std::string(kGithub) + "\n", "github.token");
  expect_key("DATABASE_URL=postgres://ada:hunter2hunter2@db.internal/app\n", "postgres.password");
}

TEST(Content, CertificatesAloneArePublic) {
  const std::string one(kTlsCertificate);
  EXPECT_EQ(form(one), "");
  EXPECT_EQ(form("# Issuer: CN=An Authority\n" + one + "\n# Subject: CN=Another\n" + one), "");
  EXPECT_EQ(form(one + "\nAGE-SECRET-KEY-1QQQ\n"), "age_identity") << "but not what stands beside them";
}

TEST(Content, WhatWasTriedTakesNoNumberOfAGuessableKey) {
  Bench bench;
  const std::string_view file = "db.example:5432:*:ada:hunter2hunter2\n";
  for (int i = 0; i < 3; ++i)
    (void)bench.parse(kContentFormat, "db.example:5432:*:ada:another" + std::to_string(i) + "password\n");
  EXPECT_EQ(label_of(bench.parse("pgpass", file, "postgres.password", true, KeyClass::kPassword).keys.at(0).key.id),
            "postgres.password:ada@db.example:5432");
}

}  // namespace
}  // namespace keytrail::examine
