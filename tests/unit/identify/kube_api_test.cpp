// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "tests/unit/identify/scripted_server.h"

namespace keytrail::identify {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = KubeFailure::Kind;

struct KubeApiTest : testing::Test {
  std::filesystem::path folder = testing::TempDir() + "/kube_api." + std::to_string(::getpid());
  std::string token_file = folder / "token";

  void SetUp() override {
    std::filesystem::create_directories(folder);
    write_token("first");
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  // As the kubelet does: another file takes its place.
  void write_token(const std::string& token) const {
    std::ofstream(token_file + ".tmp") << token << "\n";
    std::filesystem::rename(token_file + ".tmp", token_file);
  }
  [[nodiscard]] KubeApi api_of(const ScriptedServer& server) const {
    return KubeApi({.url = server.url(), .token_file = token_file, .ca_file = {}});
  }
};

std::string token_in(const std::string& request) {
  const std::size_t at = request.find("Authorization: Bearer ");
  return at == std::string::npos ? "" : request.substr(at + 22, request.find('\r', at) - at - 22);
}

TEST_F(KubeApiTest, AListGoesOnPageByPage) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    const bool second = request.contains("&continue=a%2Fb%3D");
    peer.answer(200, second ? R"({"metadata": {"resourceVersion": "7"}, "items": [{"n": 3}]})"
                            : R"({"metadata": {"resourceVersion": "7", "continue": "a/b="},
                                  "items": [{"n": 1}, 5, {"n": 2}]})");
    return true;
  });
  KubeApi api = api_of(server);
  std::vector<std::int64_t> seen;
  const auto version = api.list("/api/v1/pods", "fieldSelector=spec.nodeName%3Dnode-1",
                                [&](const boost::json::object& one) { seen.push_back(one.at("n").as_int64()); });
  ASSERT_TRUE(version) << version.error().text;
  EXPECT_EQ(*version, "7");
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
  EXPECT_EQ(server.requests().at(0), "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&limit=50 HTTP/1.1");
}

TEST_F(KubeApiTest, AListThatNeverEndsAndOneThatIsNoneAreErrors) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    peer.answer(200, request.contains("/endless") ? R"({"metadata": {"continue": "x"}, "items": []})"
                     : request.contains("/html")  ? "<html>"
                                                  : R"({"items": {"a": 1}})");
    return true;
  });
  KubeApi api = api_of(server);
  for (const char* path : {"/endless", "/html", "/object"}) {
    const auto version = api.list(path, "", [](const boost::json::object&) {});
    ASSERT_FALSE(version) << path;
    EXPECT_EQ(version.error().kind, Kind::kMalformed) << path;
  }
}

TEST_F(KubeApiTest, PagesThatAreTooLargeAreAskedForInHalves) {
  const std::string much(20U << 20U, ' ');
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    const bool few = request.contains("limit=12 ");
    peer.answer(200, few ? R"({"metadata": {"resourceVersion": "1"}, "items": []})" : much + much);
    return few;
  });
  KubeApi api = api_of(server);
  const auto version = api.list("/pods", "", [](const boost::json::object&) {});
  ASSERT_TRUE(version) << version.error().text;
  EXPECT_EQ(server.requests().size(), 3U);
}

TEST_F(KubeApiTest, TheTokenIsReadAgainWhenItsFileHasChanged) {
  std::vector<std::string> tokens;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    tokens.push_back(token_in(request));
    peer.answer(200, "{}");
    return true;
  });
  KubeApi api = api_of(server);
  ASSERT_TRUE(api.get("/a"));
  write_token("second");
  ASSERT_TRUE(api.get("/b"));
  EXPECT_THAT(tokens, ElementsAre("first", "second"));
}

TEST_F(KubeApiTest, AfterA401TheTokenIsReadAtOnceAndOnlyANewOneIsTried) {
  std::vector<std::string> tokens;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    tokens.push_back(token_in(request));
    // Renewed while the request was out, and the file looks as before.
    if (tokens.size() == 1) {
      const auto time = std::filesystem::last_write_time(token_file);
      std::ofstream(token_file, std::ios::in) << "other";
      std::filesystem::last_write_time(token_file, time);
    }
    tokens.back() == "other" && !request.contains("/never") ? peer.answer(200, "{}")
                                                            : peer.answer(401, R"({"message": "Unauthorized"})");
    return true;
  });
  KubeApi api = api_of(server);
  EXPECT_TRUE(api.get("/a"));
  const auto refused = api.get("/never");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::kUnauthorized);
  EXPECT_THAT(tokens, ElementsAre("first", "other", "other"));
}

TEST_F(KubeApiTest, ATokenThatIsNoneIsNotSent) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.answer(200, "{}");
    return true;
  });
  for (const std::string text : {"", "two words", "a\r\nX-Evil: 1"}) {
    write_token(text);
    KubeApi api = api_of(server);
    const auto answer = api.get("/a");
    ASSERT_FALSE(answer) << text;
    EXPECT_EQ(answer.error().kind, Kind::kUnauthorized);
    EXPECT_THAT(answer.error().text, HasSubstr("holds no token"));
  }
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(KubeApiTest, AuthoritiesAreReadAgainWhenTheirFileHasChanged) {
  const std::filesystem::path file = folder / "ca.crt";
  KubeApi api({.url = "https://127.0.0.1:1", .token_file = {}, .ca_file = file});
  const auto said = [&] { return api.get("/a").error(); };
  EXPECT_EQ(said().kind, Kind::kUnreachable);
  EXPECT_THAT(said().text, HasSubstr("ca.crt"));
  const std::filesystem::path some = "/etc/ssl/certs/ca-certificates.crt";
  if (!std::filesystem::exists(some)) GTEST_SKIP() << "no " << some;
  std::filesystem::copy_file(some, file);
  EXPECT_THAT(said().text, Not(HasSubstr("ca.crt")));  // nobody listens there
  std::ofstream(file) << "no certificate";
  EXPECT_THAT(said().text, HasSubstr("ca.crt"));
}

std::string event(const std::string& type, const std::string& version, const std::string& more = "") {
  return R"({"type":")" + type + R"(","object":{"metadata":{"resourceVersion":")" + version + R"(")" + more + "}}}\n";
}

struct Seen {
  std::vector<std::string> events;
  bool take(const KubeEvent& one) {
    constexpr std::string_view kWords[] = {"added", "modified", "deleted", "bookmark"};
    events.push_back(std::string(kWords[static_cast<std::size_t>(one.type)]) + " " + one.version +
                     (one.initial_ends ? " whole" : ""));
    return !one.version.ends_with("stop");
  }
};

KubeResult<void> watch(KubeApi& api, Seen& seen, milliseconds silence = milliseconds(5'000)) {
  return api.watch("/pods", "a=b", silence, [&](const KubeEvent& one) { return seen.take(one); });
}

TEST_F(KubeApiTest, EventsComeInAnyPieces) {
  const std::string all = event("ADDED", "1") + "\n" +
                          event("BOOKMARK", "2", R"(,"annotations":{"k8s.io/initial-events-end":"true"})") +
                          event("MODIFIED", "3") + event("DELETED", "4");
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{50}, all.size()}) {
    ScriptedServer server([&](const Peer& peer, const std::string&) {
      peer.begin_stream();
      for (std::size_t at = 0; at < all.size(); at += size)
        peer.piece(std::string_view(all).substr(at, size));
      peer.end_stream();
      return true;
    });
    KubeApi api = api_of(server);
    Seen seen;
    EXPECT_TRUE(watch(api, seen));
    EXPECT_THAT(seen.events, ElementsAre("added 1", "bookmark 2 whole", "modified 3", "deleted 4"));
    EXPECT_EQ(server.requests().at(0), "GET /pods?watch=true&a=b HTTP/1.1");
  }
}

TEST_F(KubeApiTest, LinesThatAreTooLongOrNoEventsAreCountedAndTheOthersTaken) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.begin_stream();
    const std::string block(1U << 20U, 'x');
    for (int i = 0; i < 5; ++i)
      peer.piece(block);
    peer.piece("\n" + event("ADDED", "1"));
    peer.piece("{\"type\":\"ADDED\"}\n[]\nnonsense\n" + event("SOMETHING", "9") + std::string(200, '[') + "\n");
    peer.piece(event("ADDED", "2"));
    peer.end_stream();
    return true;
  });
  KubeApi api = api_of(server);
  Seen seen;
  EXPECT_TRUE(watch(api, seen));
  EXPECT_THAT(seen.events, ElementsAre("added 1", "added 2"));
  EXPECT_EQ(api.losses().events_too_large, 1U);
  EXPECT_EQ(api.losses().events_malformed, 5U);
}

TEST_F(KubeApiTest, AnErrorEventEndsTheWatchWithItsCode) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.begin_stream();
    peer.piece(event("ADDED", "1") + R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410,)" +
               R"x("message":"too old resource version: 100 (259)"}})x" + "\n");
    peer.wait_for_end();
    return false;
  });
  KubeApi api = api_of(server);
  Seen seen;
  const auto done = watch(api, seen);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, Kind::kExpired);
  EXPECT_THAT(done.error().text, HasSubstr("too old resource version"));
  EXPECT_THAT(seen.events, ElementsAre("added 1"));
}

TEST_F(KubeApiTest, ACutASilenceAndAReceiverThatHasEnough) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    peer.begin_stream();
    peer.piece(event("ADDED", request.contains("/pods") ? "stop" : "1"));
    return false;  // without the last chunk
  });
  KubeApi api = api_of(server);
  Seen seen;
  EXPECT_TRUE(watch(api, seen));  // it wanted no more
  const auto cut = api.watch("/x", "", seconds(5), [&](const KubeEvent& one) { return seen.take(one); });
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().kind, Kind::kUnreachable);

  ScriptedServer silent([](const Peer& peer, const std::string&) {
    peer.begin_stream();
    peer.wait_for_end();
    return false;
  });
  KubeApi other = api_of(silent);
  const auto begin = std::chrono::steady_clock::now();
  const auto timed_out = watch(other, seen, milliseconds(100));
  ASSERT_FALSE(timed_out);
  EXPECT_EQ(timed_out.error().kind, Kind::kUnreachable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));
}

TEST_F(KubeApiTest, CancelEndsAWatch) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.begin_stream();
    peer.wait_for_end();
    return false;
  });
  KubeApi api = api_of(server);
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(50));
    api.cancel();
  });
  Seen seen;
  const auto done = watch(api, seen, seconds(60));
  later.join();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, Kind::kCancelled);
  EXPECT_EQ(api.get("/a").error().kind, Kind::kCancelled);
}

TEST(KubeFailure, WhatAStatusMeans) {
  const std::pair<unsigned, Kind> kinds[] = {
      {401, Kind::kUnauthorized}, {403, Kind::kForbidden}, {404, Kind::kNotFound},
      {410, Kind::kExpired},      {429, Kind::kBusy},      {422, Kind::kInvalid},
      {500, Kind::kBusy},         {503, Kind::kBusy},      {302, Kind::kMalformed}};
  for (const auto& [status, kind] : kinds)
    EXPECT_EQ(kube_failure(status, "", "").kind, kind) << status;
  EXPECT_EQ(kube_failure(429, "", "2").retry_after, seconds(2));
  EXPECT_EQ(kube_failure(429, "Too many requests, please try again later.\n", "").text,
            "429 Too many requests, please try again later.");
  EXPECT_EQ(kube_failure(504, R"({"details": {"retryAfterSeconds": 1}})", "").retry_after, seconds(1));
  for (const char* wrong : {"-5", "Wed, 21 Oct 2026 07:28:00 GMT", "x"})
    EXPECT_EQ(kube_failure(429, "", wrong).retry_after, seconds(0)) << wrong;
  EXPECT_EQ(kube_failure(429, "", "999999999999").retry_after, kRetryAfterMax);
  const auto shown =
      kube_failure(403, R"({"message": "pods is forbidden\u001b[31m: )" + std::string(9'000, 'x') + R"("})", "");
  EXPECT_THAT(shown.text, HasSubstr("403 pods is forbidden\\x1b[31m"));
  EXPECT_LT(shown.text.size(), 400U);
}

TEST(KubeBackoff, GrowsToHalfAMinuteAndObeysTheServer) {
  double drawn = 1;
  KubeBackoff backoff([&] { return drawn; });
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 7; ++i)
    waits.push_back(backoff.next(seconds(0)).count());
  EXPECT_THAT(waits, ElementsAre(1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000));
  drawn = 0;
  EXPECT_EQ(backoff.next(seconds(0)).count(), 15'000);
  backoff.reset();
  EXPECT_EQ(backoff.next(seconds(0)).count(), 500);
  EXPECT_GE(backoff.next(seconds(7)), seconds(7));
}

TEST(KubeUrl, Encoded) { EXPECT_EQ(url_encoded("spec.nodeName=a b&c\xc3\xa9"), "spec.nodeName%3Da%20b%26c%C3%A9"); }

}  // namespace
}  // namespace keytrail::identify
