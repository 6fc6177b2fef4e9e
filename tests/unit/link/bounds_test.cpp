// SPDX-License-Identifier: Apache-2.0
// Floods: nothing grows with what a hostile process does, what is turned away is counted, and the surest claims are
// given up first.
#include "agent/base/lru_map.h"
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2";

LinkOptions small() {
  LinkOptions options;
  options.max_processes = 8;
  options.max_connections = 8;
  options.max_datagrams = 4;
  options.max_holdings = 4;
  options.max_held_uses = 16;  // one process alone has a quarter of what is shared
  options.max_examinations = 4;
  options.max_questions = 16;
  options.max_environments = 2;
  options.max_environment_queue = 16;
  options.max_names = 8;
  options.max_news = 8;
  options.max_files = 8;
  options.max_gaps = 4;
  return options;
}

class Bounds : public Scene {
 protected:
  void SetUp() override { make(small()); }
};

TEST_F(Bounds, LruMapForgetsTheOldest) {
  base::LruMap<int, int> map(2);
  *map.get(1).first = 1;
  *map.get(2).first = 2;
  EXPECT_NE(map.find(1), nullptr);
  *map.get(3).first = 3;
  EXPECT_EQ(map.find(2), nullptr);
  EXPECT_NE(map.find(1), nullptr);
  EXPECT_EQ(map.evicted(), 1U);
}

TEST_F(Bounds, ManyProcesses) {
  for (std::uint32_t pid = 10; pid < 60; ++pid)
    start(pid);
  const auto counters = link->counters();
  EXPECT_LE(counters.at("processes"), 8U);
  EXPECT_GT(counters.at("processes_over_bound"), 0U);
}

TEST_F(Bounds, DatagramsAreFewAndPushNoConnectionOut) {
  start(10);
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  open(10);
  connect(10, 1);
  for (std::uint64_t cookie = 100; cookie < 200; ++cookie) {
    connect(10, cookie, ip(2, 53), true);
    connect(10, cookie + 1000, ip(2, 443), true);
  }
  const auto counters = link->counters();
  EXPECT_EQ(counters.at("connections"), 1U);
  EXPECT_EQ(counters.at("datagrams"), 4U);
  EXPECT_EQ(counters.at("datagrams_forgotten"), 96U);
  payload(10, 1);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Bounds, DatagramsOfOneWorkloadPushThoseOfAnotherNotOut) {
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  start(10);
  open(10);
  start(20);
  unshare(20, 1, "app.service");
  connect(10, 1, ip(1), true);
  for (std::uint64_t cookie = 100; cookie < 200; ++cookie)
    connect(20, cookie, ip(2), true);
  EXPECT_EQ(link->counters().at("datagrams"), 4U);
  payload(10, 1);
  EXPECT_FALSE(told().empty());
}

TEST_F(Bounds, ConnectionsOfOneWorkloadPushThoseOfAnotherNotOut) {
  start(10, {.env = aws_env(kA)});
  start(20);
  unshare(20, 1, "app.service");
  connect(10, 1);
  for (std::uint64_t cookie = 100; cookie < 200; ++cookie)
    connect(20, cookie, ip(2));
  payload(10, 1);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  tick();
  collect();
  ASSERT_EQ(gaps.size(), 1U) << "those that were forgotten are said";
  EXPECT_EQ(gaps[0].scope, "app.service");
  EXPECT_EQ(gaps[0].lost, 93U);
}

TEST_F(Bounds, AProcessThatWasNotKeptIsNotInferred) {
  for (std::uint32_t pid = 10; pid < 30; ++pid)
    start(pid);
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  open(29);
  call(29);
  EXPECT_EQ(told(), Lines{"unattributed exec_not_seen:"});
}

TEST_F(Bounds, WhatAParserSkippedIsCounted) {
  start(10);
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  examiner.files[kCredentials].skipped = 3;
  open(10);
  EXPECT_EQ(link->counters().at("entries_unparsed"), 3U);
}

TEST_F(Bounds, ManyConnections) {
  start(10, {.env = aws_env(kA)});
  for (std::uint64_t cookie = 1; cookie < 200; ++cookie)
    connect(10, cookie);
  EXPECT_EQ(link->counters().at("connections"), 8U);
  payload(10, 1);
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(link->counters().at("payloads_without_connection"), 1U);
}

TEST_F(Bounds, ManyKeysInOneProcess) {
  std::vector<KeyFact> facts;
  for (int i = 0; i < 50; ++i)
    facts.push_back(aws_fact("AKIAAAAAAAAAAAAAAA" + std::to_string(20 + i), "p" + std::to_string(i)));
  examiner.files[kCredentials] = file_of(facts);
  start(10);
  open(10);
  EXPECT_EQ(link->counters().at("holdings_over_bound"), 46U);
  call(10);
  EXPECT_EQ(told().at(0).substr(0, 8), "possible");
  EXPECT_EQ(acquisitions.size(), 50U) << "a take behind many others is told";
}

TEST_F(Bounds, ManyOpensAreDroppedWithAReason) {
  examiner.hold = true;
  start(10);
  for (int i = 0; i < 20; ++i)
    open(10, "/home/u" + std::to_string(i) + "/.aws/credentials");
  EXPECT_EQ(fates.dropped["examine_overflow"], 16U);
  call(10);
  tick(600);
  EXPECT_EQ(told(), Lines{"unattributed unidentified_file:"});
}

TEST_F(Bounds, AnOpenThatWasDroppedMayHaveBroughtAKey) {
  examiner.hold = true;
  start(11, {.env = aws_env(kA)});
  for (int i = 0; i < 4; ++i)
    open(11, "/home/u" + std::to_string(i) + "/.ssh/id_rsa");
  open(11, "/app/.env");
  EXPECT_EQ(fates.dropped["examine_overflow"], 1U);
  call(11);
  tick(600);
  EXPECT_EQ(told().back(), "possible unidentified_file: " + kA);
}

TEST_F(Bounds, AKeyBeyondWhatAProcessMayHoldMayHaveBeenTheOne) {
  std::vector<KeyFact> facts;
  for (int i = 0; i < 50; ++i) {
    KeyFact other = aws_fact("other" + std::to_string(i));
    other.key.kind = "github.token";
    facts.push_back(other);
  }
  examiner.files["/root/.config/gh/hosts.yml"] = file_of(facts);
  start(10, {.env = aws_env(kA)});
  open(10, "/root/.config/gh/hosts.yml");
  call(10);
  EXPECT_EQ(told(), Lines{"possible not_seen_whole: " + kA});
}

TEST_F(Bounds, ManyHeldUsesAreWeighedEarly) {
  examiner.hold = true;
  start(10, {.env = aws_env(kA)});
  open(10);
  for (int i = 0; i < 10; ++i)
    call(10);
  EXPECT_EQ(told().size(), 6U);
  EXPECT_EQ(told()[0], "possible unidentified_file: " + kA);
}

TEST_F(Bounds, EnvironmentsArePaced) {
  examiner.hold = true;
  for (std::uint32_t pid = 20; pid < 26; ++pid) {
    make_process({pid, 5, 3}, {}, {}, Origin::kBaseline);
    send(process(pid)->id, TaskEvent{}, process(pid), {}, true);
  }
  EXPECT_EQ(examiner.waiting.size(), 2U);
  examiner.answer_all();
  EXPECT_EQ(examiner.asked.size(), 6U);
}

TEST_F(Bounds, ManyNamesAndFiles) {
  start(10);
  for (int i = 0; i < 500; ++i) {
    SocketAddress address = ip(static_cast<std::uint8_t>(i));
    address.address[2] = static_cast<std::uint8_t>(i >> 8);
    dns(10, "n" + std::to_string(i) + ".example", address);
    const std::string path = "/home/v" + std::to_string(i) + "/.aws/credentials";
    examiner.files[path] = file_of({aws_fact("AKIAAAAAAAAAAAAAAA" + std::to_string(100 + i))});
    open(10, path);
    collect();
  }
  std::ptrdiff_t slots = 0;
  for (const SlotChange& change : slot_changes)
    slots += change.new_id.empty() ? -1 : 1;
  EXPECT_LE(slots, 8) << "what is forgotten is said, too";
  EXPECT_GT(link->counters().at("files_forgotten"), 0U);
}

TEST_F(Bounds, TheExaminerMayOutliveTheLink) {
  examiner.hold = true;
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  start(10);
  open(10);
  make(small());
  examiner.answer_all();
  --sent;  // its event went down with the link that had taken it
  EXPECT_TRUE(acquired().empty());
}

TEST_F(Bounds, EventsWithoutAProcessAreAbsorbed) {
  send({}, OpenEvent{}, {});
  send({}, ConnectEvent{1, ip(1), 1, false}, {});
  send({}, PayloadEvent{.cookie = 1}, {});
  send({}, SocketEvent{.cookie = 1, .state = SocketState::kClosed, .bytes_sent = 5}, {});
  send({}, ForkEvent{}, {});
  send({}, ExitEvent{}, {});
  send({}, DnsEvent{}, {});
  send({}, UnixConnectEvent{"/x"}, {});
  send({}, CgroupEvent{}, {});
  send({}, HeartbeatEvent{}, {});
  send({}, TaskEvent{}, {});
  EXPECT_EQ(fates.absorbed, sent);
}

}  // namespace
}  // namespace keytrail::link
