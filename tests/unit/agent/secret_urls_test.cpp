// SPDX-License-Identifier: Apache-2.0
// Keys in the environment that only the examiner can tell: a URL's password is its login's, tied to its host and port;
// a password has a tag. The examiner's own parser answers.
#include <gtest/gtest.h>

#include <string>

#include "agent/examine/formats.h"
#include "tests/unit/link/scene.h"

namespace keytrail::link {
namespace {

constexpr std::uint32_t kPid = 20;
const std::string kUrl = "redis://:hunter2@198.51.100.7:7000/0";

class SecretUrls : public Scene {
 protected:
  /// What the exec hook and the examiner say of these variables.
  Program program(std::uint32_t pid, const std::vector<std::pair<std::string, std::string>>& variables) {
    Program out;
    std::string bytes;
    for (const auto& [name, value] : variables) {
      bytes += name + "=" + value + '\0';
      const catalog::EnvName* rule = examine::find_variable(state.env, name);
      const bool is_shown = rule != nullptr && rule->action != catalog::EnvAction::kSecret;
      const bool hashed = rule != nullptr && !rule->unhashed && value.size() >= 16;
      if (rule != nullptr)
        out.env.push_back({name, is_shown ? value : "", is_shown || !hashed ? Fingerprint() : fingerprint_of(value),
                           static_cast<std::uint32_t>(value.size()), false});
    }
    examine::Found found;
    examine::parse_environment(bytes, state, scratch, found);
    EnvironmentAnswer& answer = examiner.environments[pid] = {};
    answer.keys = std::move(found.keys);
    answer.env = std::move(found.env);
    return out;
  }
  [[nodiscard]] std::string tag(std::string_view secret) const { return " #" + examine::tag_of(state.key, secret); }
  void connects_to(SocketAddress remote, std::uint32_t pid = kPid) {
    connect(pid, ++cookies, remote);
    payload(pid, cookies, "");
  }

  examine::ExaminerState state{
      .key = {7}, .env = catalog::kernel_tables().env, .formats = catalog::kernel_tables().formats};
  examine::Arena scratch{1U << 20U};
};

TEST_F(SecretUrls, AUseAtItsHostAndPortIsTied) {
  start(kPid, program(kPid, {{"REDIS_URL", kUrl}}));
  connects_to(ip(7, 7000));
  EXPECT_EQ(acquired(),
            Lines{"environment REDIS_URL [] redis.password:@198.51.100.7:7000" + tag("hunter2") + " by 20"});
  EXPECT_EQ(told(), Lines{"inferred only_key_held: redis.password:@198.51.100.7:7000" + tag("hunter2")});
  EXPECT_EQ(uses.front().destination.provider, "redis");
  EXPECT_EQ(uses.front().destination.service, "redis");
}

TEST_F(SecretUrls, ElsewhereItIsNot) {
  start(kPid, program(kPid, {{"DATABASE_URL", "postgres://robot:hunter2@198.51.100.7/app"}}));
  connects_to(ip(8, 5432));
  connects_to(ip(7, 5432));
  const std::string key = "postgres.password:robot@198.51.100.7" + tag("hunter2");
  EXPECT_EQ(told(), (Lines{"possible not_tied: " + key, "inferred only_key_held: " + key}));
}

TEST_F(SecretUrls, AUseThatComesBeforeTheAnswerWaitsForIt) {
  examiner.hold = true;
  start(kPid, program(kPid, {{"REDIS_URL", kUrl}}));
  connects_to(ip(7, 7000));
  EXPECT_EQ(told(), Lines{});
  examiner.hold = false;
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: redis.password:@198.51.100.7:7000" + tag("hunter2")});
  EXPECT_EQ(uses.front().destination.service, "redis");
}

TEST_F(SecretUrls, AnAddressWithoutAPasswordIsNoKey) {
  start(kPid, program(kPid, {{"REDIS_URL", "redis://198.51.100.7:7000/0"}}));
  EXPECT_EQ(acquired(), Lines{});
  connects_to(ip(7, 7000));
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"}) << "what it is, is known all the same";
}

TEST_F(SecretUrls, OfAProcessThatEndedOnlyThePlaceIsKnown) {
  const Program one = program(kPid, {{"REDIS_URL", kUrl}});
  examiner.environments[kPid] = {.unread = "gone"};
  start(kPid, one);
  EXPECT_EQ(acquired(), Lines{"environment REDIS_URL [] redis.password:REDIS_URL@host #? by 20"});
  connects_to(ip(7, 7000));
  EXPECT_EQ(told(), Lines{"possible unknown_destination: redis.password:REDIS_URL@host #?"})
      << "nothing says what is at that address";
}

TEST_F(SecretUrls, WhatIsWrittenOverTheEnvironmentDoesNotCount) {
  const Program started = program(kPid, {{"REDIS_URL", kUrl}, {"REDIS_HOST", "198.51.100.7"}});
  (void)program(kPid, {{"REDIS_URL", "redis://:other@203.0.113.1:1/0"}, {"REDIS_HOST", "203.0.113.1"}});
  start(kPid, started);
  connects_to(ip(7, 7000));
  EXPECT_EQ(told(), Lines{"inferred only_key_held: redis.password:REDIS_URL@host #?"});
  connects_to({.address = {203, 0, 113, 1}, .port = 1});
  EXPECT_EQ(told().back(), "possible unknown_destination: redis.password:REDIS_URL@host #?")
      << "what the program claims later binds nothing";
}

TEST_F(SecretUrls, TwoPasswordsOfAVariableAreTwoKeysAndEqualOnesOne) {
  start(20, program(20, {{"PGUSER", "robot"}, {"PGPASSWORD", "first password"}}));
  start(21, program(21, {{"PGUSER", "robot"}, {"PGPASSWORD", "other password"}}));
  start(22, program(22, {{"PGUSER", "robot"}, {"PGPASSWORD", "first password"}}));
  EXPECT_EQ(acquired(),
            (Lines{"environment PGPASSWORD [] postgres.password:PGPASSWORD" + tag("first password") + " by 20",
                   "environment PGPASSWORD [] postgres.password:PGPASSWORD" + tag("other password") + " by 21"}));
  EXPECT_EQ(acquisitions.front().key.principal, "robot");
  EXPECT_TRUE(holders[22].contains("postgres.password:PGPASSWORD" + tag("first password")));
}

TEST_F(SecretUrls, AProxyIsKnownWhenItsCallerConnects) {
  start(kPid, program(kPid, {{"HTTPS_PROXY", "http://bob:hunter2@198.51.100.7:3128"}}));
  EXPECT_EQ(acquired(), Lines{}) << "most programs that have the variable connect nowhere";
  connects_to(ip(7, 3128));
  EXPECT_EQ(told(), Lines{"inferred only_key_held: http.basic_password:bob@198.51.100.7:3128" + tag("hunter2")});
  EXPECT_EQ(uses.front().destination.service, "proxy");
}

TEST_F(SecretUrls, ADsnOfAnotherServiceStaysTiedByItsHost) {
  start(kPid, program(kPid, {{"SENTRY_DSN", "https://0123456789abcdef0123456789abcdef@sentry.corp.test:9000/4"}}));
  dns(kPid, "sentry.corp.test", ip(7));
  connects_to(ip(7, 9000));
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(to_string(uses.front().evidence), std::string("inferred"));
  EXPECT_EQ(uses.front().destination.provider, "sentry");
}

}  // namespace
}  // namespace keytrail::link
