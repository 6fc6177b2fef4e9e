// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/examine/credential.h"
#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kSecret = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA";
constexpr std::string_view kOther = "b3RoZXItb3RoZXItb3RoZXItMTIzNA";

std::string with(std::string text) {
  for (const auto& [mark, value] : {std::pair("@1@", kSecret), std::pair("@2@", kOther)}) {
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark))
      text.replace(at, 3, value);
  }
  return text;
}

TEST(Meaning, OfNames) {
  for (const char* name : {"token", "oauth_token", "apiKey", "api_key", "AWS_SECRET_ACCESS_KEY", "client-secret",
                           "privateKey", "_authToken", "secret"})
    EXPECT_EQ(meaning_of(name), Meaning::kToken) << name;
  for (const char* name :
       {"password", "dbPassword", "_password", "bindpw", "requirepass", "MYSQL_PWD", "ssl-passphrase"})
    EXPECT_EQ(meaning_of(name), Meaning::kPassword) << name;
  for (const char* name :
       {"password_command", "secret_name", "token_type", "expires", "colour", "", "monkey", "log_file"})
    EXPECT_EQ(meaning_of(name), Meaning::kNone) << name;
  for (const char* name : {"token_file", "tokenFile", "key_path", "db_password_file"})
    EXPECT_EQ(meaning_of(name), Meaning::kFile) << name;
  EXPECT_EQ(meaning_of("npmAuthIdent"), Meaning::kLoginAndSecret);
  EXPECT_EQ(meaning_of("aws_access_key_id"), Meaning::kIdentifier);
  EXPECT_EQ(meaning_of("token_url"), Meaning::kHost);
  EXPECT_EQ(meaning_of("extraHeader"), Meaning::kHeader);
}

TEST(Configuration, WithoutAKeyGivesNone) {
  Bench bench;
  for (const std::string_view text :
       {"[core]\neditor = vi\n", "{\"theme\": \"dark\", \"tokens\": 5}", "a: 1\nb: [x, y]\n",
        "<settings><offline>true</offline></settings>",
        "x = 1\ntoken = $(token)\npassword = %(pw)s\nlog_file = /etc/x\n", "# nothing at all\n", "token: ''\n",
        "token = \"\"\n", "url = https://example.com/a:b@c\n", "private_key = /etc/ssl/private/key.pem\n",
        "password: !vault abc\n"}) {
    const Found found = bench.parse("configuration", text, "generic.secret");
    EXPECT_TRUE(found.keys.empty()) << text;
    EXPECT_EQ(found.unread, role::Unread::kNone) << text;
  }
}

TEST(Configuration, FindsTheSameKeyInEveryForm) {
  Bench bench;
  for (const char* form :
       {"[dev]\nhost = api.example.com\ntoken = @1@\n", "[dev]\nhost: api.example.com\ntoken: @1@ # mine\n",
        "[[dev]]\nhost = \"api.example.com\"\ntoken = \"@1@\" # mine\n",
        "x \"dev\" {\n  host = \"api.example.com\"\n  token = \"@1@\"\n}\n",
        R"({"dev": {"host": "api.example.com", "token": "@1@"}})", "dev:\n  host: api.example.com\n  token: '@1@'\n",
        R"([{"name": "dev", "host": "api.example.com", "token": "@1@"}])",
        "<c><server><id>dev</id><host>api.example.com</host><token>@1@</token></server></c>",
        "<?xml version=\"1.0\"?><c><dev><add key=\"host\" value=\"api.example.com\"/><token>@1@</token></dev></c>"}) {
    const Found found = bench.parse("configuration", with(form), "sonar.token");
    ASSERT_EQ(found.keys.size(), 1U) << form;
    EXPECT_EQ(found.keys[0].key.kind, "sonar.token") << form;
    EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(kSecret)) << form;
    EXPECT_EQ(found.keys[0].selector, "dev") << form;
    if (!std::string_view(form).starts_with("<?xml")) EXPECT_EQ(found.keys[0].host, "api.example.com") << form;
    EXPECT_TRUE(found.keys[0].untold) << form;
  }
}

TEST(Configuration, PairsAPublicIdWithItsSecret) {
  Bench bench;
  const Found found =
      bench.parse("configuration",
                  with("[Credentials]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = @1@\n"
                       "gs_access_key_id = GOOG1EAAAAAAAAAAAAAAAAAAAAAA\ngs_secret_access_key = @2@\n"),
                  "aws.access_key");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.id, "AKIAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(kSecret));
  EXPECT_EQ(found.keys[1].key.id, "GOOG1EAAAAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(found.keys[1].key.kind, "gcp.hmac_key");
  EXPECT_EQ(found.keys[1].key.fingerprint, bench.print(kOther));
}

TEST(Configuration, PairsTheCachedSessionOfTheAwsCommand) {
  Bench bench;
  const Found found = bench.parse(
      "configuration", with(R"({"Credentials": {"AccessKeyId": "ASIAAAAAAAAAAAAAAAAA", "SecretAccessKey": "@1@",
      "SessionToken": "IQoJb3JpZ2luX2VjEXAMPLEEXAMPLE", "Expiration": "2026-11-21T10:00:00Z"}})"),
      "aws.session");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "ASIAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(found.keys[0].key.kind, "aws.session");
}

TEST(Configuration, APasswordIsNumberedByLoginAndHost) {
  Bench bench;
  bench.other_kind = "registry.password";
  const Found found =
      bench.parse("configuration", "[server]\nhost = db.example\nuser = ada\npassword = correct horse battery staple\n",
                  "docker.hub_token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(label_of(found.keys[0].key.id), "registry.password:ada@db.example");
  EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kPassword);
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
}

TEST(Configuration, APasswordIsNeverFingerprintedWhateverTheHint) {
  Bench bench;
  const Found found = bench.parse("configuration", "password = a-password-of-more-than-sixteen\n", "generic.secret");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
  EXPECT_EQ(label_of(found.keys[0].key.id), "generic.password");
}

TEST(Configuration, TellsDatabaseUrls) {
  Bench bench;
  struct Case {
    std::string_view url, kind, id;
  };
  for (const Case& one :
       {Case{"postgresql://ada:pa%40ss@db.example:5432/x", "postgres.password",
             "postgres.password:ada@db.example:5432"},
        Case{"mongodb+srv://ada:secret@cluster0.mongodb.net/x", "mongodb.password",
             "mongodb.password:ada@cluster0.mongodb.net"},
        Case{"redis://:secret@cache:6379/0", "redis.password", "redis.password:@cache:6379"},
        Case{"jdbc:mysql://db:3306/x?user=ada&password=secret", "mysql.password", "mysql.password:ada@db:3306"}}) {
    const Found found =
        bench.parse("configuration", "[main]\nsqlalchemy_conn = " + std::string(one.url) + "\n", "generic.secret");
    ASSERT_EQ(found.keys.size(), 1U) << one.url;
    EXPECT_EQ(found.keys[0].key.kind, one.kind);
    EXPECT_EQ(label_of(found.keys[0].key.id), one.id);
  }
}

TEST(Configuration, AHostNamesTheEntryAndAnInnerCopyIsTheSame) {
  Bench bench;
  const Found found = bench.parse(
      "configuration",
      "github.com:\n    user: ada\n    oauth_token: gho_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789\n    users:\n"
      "        ada:\n            oauth_token: gho_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789\n    git_protocol: https\n",
      "github.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].selector, "github.com");
  EXPECT_EQ(found.keys[0].host, "github.com");
  EXPECT_EQ(found.keys[0].key.principal, "ada");
  EXPECT_EQ(found.keys[0].key.kind, "github.token");
}

TEST(Configuration, TerraformsTokensAreOfTheirHosts) {
  Bench bench;
  for (const char* form : {R"({"credentials": {"app.terraform.io": {"token": "@1@"}}})",
                           "credentials \"app.terraform.io\" {\n  token = \"@1@\"\n}\n"}) {
    const Found found = bench.parse("configuration", with(form), "terraform.token");
    ASSERT_EQ(found.keys.size(), 1U) << form;
    EXPECT_EQ(found.keys[0].selector, "app.terraform.io") << form;
    EXPECT_EQ(found.keys[0].host, "app.terraform.io") << form;
  }
}

TEST(Configuration, CargosTokensAreOfTheirRegistries) {
  Bench bench;
  const Found found = bench.parse(
      "configuration", with("[registry]\ntoken = \"@1@\"\n[registries.corp]\ntoken = \"@2@\"\n"), "crates.token");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].selector, "registry");
  EXPECT_EQ(found.keys[1].selector, "corp");
}

TEST(Configuration, MavensPasswordsAreOfTheirServers) {
  Bench bench;
  const Found found =
      bench.parse("configuration",
                  "<settings xmlns=\"http://maven.apache.org/SETTINGS/1.0.0\"><!-- mine --><servers>"
                  "<server><id>corp</id><username>ada</username><password>correct horse battery</password></server>"
                  "<server><id>ci</id><username>bot</username><password>${env.CI_TOKEN}</password></server>"
                  "</servers></settings>",
                  "maven.password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].selector, "corp");
  EXPECT_EQ(label_of(found.keys[0].key.id), "maven.password:ada");
  EXPECT_EQ(found.keys[1].key.id, "") << "its key is in a variable";
}

TEST(Configuration, MysqlsOptionFileHasGroups) {
  Bench bench;
  const Found found =
      bench.parse("configuration", "[client]\nuser=ada\nhost=db.example\npassword=\"pa#ss word\"\n[mysqldump]\nquick\n",
                  "mysql.password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].selector, "client");
  EXPECT_EQ(label_of(found.keys[0].key.id), "mysql.password:ada@db.example");
}

TEST(Configuration, TheFileNamesItsCurrentEntry) {
  Bench bench;
  const std::string file = with(R"({"current": "b", "profiles": [
      {"name": "a", "access_key_id": "LTAIaaaaaaaaaaaaaaaa", "access_key_secret": "@1@"},
      {"name": "b", "access_key_id": "LTAIbbbbbbbbbbbbbbbb", "access_key_secret": "@2@"}]})");
  const Found found = bench.parse("configuration", file, "alibaba.access_key");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_FALSE(found.keys[0].current);
  EXPECT_TRUE(found.keys[1].current);
  EXPECT_EQ(found.keys[1].key.id, "LTAIbbbbbbbbbbbbbbbb");
}

TEST(Configuration, SeveralKeysOfNoSectionAreToldApartByTheirNames) {
  Bench bench;
  const Found found = bench.parse("configuration", with("api_key: @1@\napp_key: @2@\n"), "datadog.api_key");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].selector, "api_key");
  EXPECT_EQ(found.keys[1].selector, "app_key");
}

TEST(Configuration, ASecretInASectionsNameStaysHere) {
  Bench bench;
  const Found found =
      bench.parse("configuration", with("[https://ada:@2@@host.example/]\ntoken = @1@\n"), "generic.secret");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].selector, "https://host.example/");
}

TEST(Configuration, BadInputIsSaid) {
  Bench bench;
  EXPECT_EQ(bench.parse("configuration", std::string_view("token = x\0y", 11)).unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("configuration", "{\"token\": \"abc").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("configuration", "<a><b></a>").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("configuration", "").unread, role::Unread::kNone);
  std::string deep;
  for (int i = 0; i < 100; ++i)
    deep += "{\"a\":";
  EXPECT_EQ(bench.parse("configuration", deep).unread, role::Unread::kUnknownFormat);
}

}  // namespace
}  // namespace keytrail::examine
