// SPDX-License-Identifier: Apache-2.0
// What weakens a claim outlives a fork and a restart, every member of it; and its bounds.
#include "agent/link/doubts.h"

#include <gtest/gtest.h>

#include "agent/link/life.h"
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2";

// Something that no member is at first. A member of a type that is not here does not compile.
void fill(bool& value) { value = !value; }
void fill(std::uint64_t& value) { value = 1'234'567'890'123'456'789U; }
void fill(std::vector<LocalTalk>& value) { value = {{loopback(8200), 9}, {ip(4), 10}}; }
void fill(std::vector<Unidentified>& value) {
  value = {{.time_ns = 5, .kind = "aws.access_key", .last_ns = 8},
           {.time_ns = 6, .host = "cluster.test:6443", .selector_rule = "sel.k8s.context"}};
}
void fill(std::vector<Lead>& value) { value = {{"sel.aws.profile", "app", fingerprint_of("app"), "base", true}}; }
void fill(std::vector<ToldPlace>& value) {
  value = {{"/root/token", "aws.irsa_token", "sel.aws.profile", "app", fingerprint_of("app"), "host.test", true}};
}
void fill(std::vector<MaybeIssued>& value) { value = {{7, "aws.session", kA, "sts.amazonaws.com", true, true, true}}; }
void fill(std::vector<KeyFileOpened>& value) { value = {{77, 8}}; }
void fill(SharedList<OwnName>& value) {
  SocketAddress six;
  six.v6 = true;
  six.address = {0x20, 0x01, 0x0d, 0xb8, 7};
  value = {{ip(1, 0), kS3}, {six, "six.example"}};
}

bool equal(const auto& a, const auto& b) {
  if constexpr (requires { a == b; }) {
    return a == b;
  } else {
    return std::ranges::equal(a, b);
  }
}

Doubts filled() {
  Doubts doubts;
  std::apply([](const auto&... member) { (fill(member.value), ...); }, doubt_members(doubts));
  return doubts;
}

/// Names of the members in which the two differ.
std::vector<std::string> difference(const Doubts& a, const Doubts& b) {
  std::vector<std::string> out;
  const auto one = doubt_members(a), other = doubt_members(b);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto compare = [&](const auto& x, const auto& y) {
      if (!equal(x.value, y.value)) out.emplace_back(x.name);
    };
    (compare(std::get<I>(one), std::get<I>(other)), ...);
  }(std::make_index_sequence<std::tuple_size_v<decltype(one)>>());
  return out;
}

TEST(Doubts, TheNamesUnderWhichTheyAreStoredDoNotChange) {
  EXPECT_EQ(
      difference(filled(), Doubts{}),
      (std::vector<std::string>{"exec_seen", "seen_whole", "bulk", "life_from", "gap", "cut", "broker", "local_talks",
                                "unidentified", "leads", "told_places", "maybe_issued", "opened", "names"}));
}

TEST(Doubts, AForkInheritsEveryMember) {
  EXPECT_EQ(difference(filled().inherit(), filled()), std::vector<std::string>{});
}

TEST(Doubts, EveryMemberComesBackFromItsText) {
  Instance instance, again;
  instance.doubts = filled();
  apply_life(again, encode_life(instance));
  EXPECT_EQ(difference(again.doubts, instance.doubts), std::vector<std::string>{});
}

TEST(Doubts, WhatIsKnownOfAKeyBesideItComesBackFromTheText) {
  const catalog::Catalog& known = catalog::Catalog::builtin();
  HeldKey what;
  what.key.id = kA;
  what.slot = {From::kMemory, "environment of x", "V"};
  HeldKey again = what;
  what.scope = "0123456789abcdef";
  what.dev = 7;
  what.selector_rule = "sel.aws.profile";
  what.selector_hash = fingerprint_of("app");
  what.entry = "app";
  what.host = "host.test:8200";
  what.current = what.issued = what.issue_told = what.broker = true;
  what.kinds = {"aws.access_key", "npm.token"};
  Instance instance;
  instance.stdin_pipe = 11;
  instance.stdout_pipe = 12;
  instance.channel = true;
  instance.holdings.change().push_back({std::make_shared<const HeldKey>(what)});
  const std::string text = encode_life(instance);
  apply_entry(again, text, known);
  EXPECT_EQ(again.scope, "0123456789abcdef");
  EXPECT_EQ(again.dev, 7U);
  EXPECT_EQ(again.selector_rule, "sel.aws.profile");
  EXPECT_EQ(again.selector_hash, what.selector_hash);
  EXPECT_EQ(again.entry, "app");
  EXPECT_EQ(again.host, "host.test:8200");
  EXPECT_TRUE(again.current && again.issued && again.issue_told && again.broker);
  EXPECT_EQ(again.kinds, what.kinds);
  Instance next;
  apply_life(next, text);
  EXPECT_EQ(next.stdin_pipe, 11U);
  EXPECT_EQ(next.stdout_pipe, 12U);
  EXPECT_TRUE(next.channel);
  HeldKey other{.key = {.id = kA}, .slot = {From::kFile, "/elsewhere", {}}};
  apply_entry(other, text, known);
  EXPECT_EQ(other.host, "") << "another slot of the same key";
  for (const char* bad : {"", "[]", R"({"entries":7})", R"({"entries":[7,{"key":1},{"kinds":{}}],"stdin":"x"})"}) {
    HeldKey none{.key = {.id = kA}};
    apply_entry(none, bad, known);
    apply_life(next, bad);
    EXPECT_EQ(none.host, "") << bad;
  }
}

TEST(Doubts, TheScopeOfAFileComesBackAlsoWhereItIsTheMachines) {
  HeldKey what{.key = {.id = kA}, .slot = {From::kFile, kCredentials, "default"}};
  Instance instance;
  instance.holdings.change().push_back({std::make_shared<const HeldKey>(what)});
  const std::string text = encode_life(instance);
  EXPECT_EQ(scope_in_entry(text, kA, what.slot).value_or("none"), "");
  what.scope = "guessed";
  apply_entry(what, text, catalog::Catalog::builtin());
  EXPECT_EQ(what.scope, "");
  EXPECT_FALSE(scope_in_entry(text, "another", what.slot).has_value());
  const std::string before =
      R"({"entries":[{"key":")" + kA + R"(","place":")" + kCredentials + R"(","selector":"default","dev":8}]})";
  what.scope = "guessed";
  apply_entry(what, before, catalog::Catalog::builtin());
  EXPECT_EQ(what.scope, "guessed") << "an earlier build did not store it";
  EXPECT_EQ(what.dev, 8U);
}

TEST(Doubts, ANewProgramBeginsWithNoneButItsOwnStart) {
  const Doubts doubts = Doubts::of_new_program(7, true, true);
  EXPECT_EQ(difference(doubts, Doubts{}), (std::vector<std::string>{"exec_seen", "seen_whole", "life_from"}));
  EXPECT_FALSE(Doubts::of_new_program(7, false, true).seen_whole) << "whose start was not seen was not seen whole";
}

TEST(Doubts, ALifeOfAnEarlierBuildIsRead) {
  Instance instance;
  apply_life(instance, R"({"exec_seen":true,"life_from":7,"broker":9,"bulk":true,)"
                       R"("unidentified":{"aws.access_key":5,"@cluster.test:6443":6}})");
  EXPECT_TRUE(instance.doubts.exec_seen);
  EXPECT_TRUE(instance.doubts.bulk);
  EXPECT_EQ(instance.doubts.life_from_ns, 7U);
  EXPECT_EQ(instance.doubts.broker_ns, 9U);
  EXPECT_EQ(instance.doubts.unidentified, (std::vector<Unidentified>{{.time_ns = 5, .kind = "aws.access_key"},
                                                                     {.time_ns = 6, .host = "cluster.test:6443"}}));
}

TEST(Doubts, TextThatCannotBeReadIsALifeWhoseStartWasNotSeen) {
  for (const char* bad :
       {"", "{", "[]", "7", R"({"exec_seen":1,"unidentified":[],"broker":"x"})",
        R"({"names":[7,{"address":["x",1]}],"leads":{},"opened":7,"local_talks":[{"remote":[1,2,3]}]})"}) {
    Instance instance;
    apply_life(instance, bad);
    EXPECT_FALSE(instance.doubts.exec_seen) << bad;
  }
}

TEST(Doubts, MarksAreBounded) {
  Doubts doubts;
  for (int i = 0; i < 1000; ++i)
    doubts.mark_unidentified({.time_ns = 5, .kind = "kind" + std::to_string(i)});
  EXPECT_LE(doubts.unidentified.size(), 33U);
  EXPECT_EQ(doubts.unidentified.back().kind, "") << "what does not fit concerns every kind";
}

TEST(Doubts, AMarkKeepsItsFirstAndItsLastTime) {
  Doubts doubts;
  doubts.mark_unidentified({.time_ns = 7});
  EXPECT_EQ(doubts.unidentified.back().latest_ns(), 7U);
  doubts.mark_unidentified({.time_ns = 9});
  doubts.mark_unidentified({.time_ns = 5});
  ASSERT_EQ(doubts.unidentified.size(), 1U);
  EXPECT_EQ(doubts.unidentified.back().time_ns, 5U);
  EXPECT_EQ(doubts.unidentified.back().latest_ns(), 9U);
  Doubts full;
  for (int i = 0; i < 40; ++i)
    full.mark_unidentified({.time_ns = 5, .kind = "kind" + std::to_string(i)});
  full.mark_unidentified({.time_ns = 9, .kind = "another"});
  EXPECT_EQ(full.unidentified.back().time_ns, 5U);
  EXPECT_EQ(full.unidentified.back().latest_ns(), 9U) << "also of what does not fit";
}

TEST(Doubts, NamesAndTalksAreBounded) {
  Doubts doubts;
  for (std::uint16_t i = 0; i < 200; ++i) {
    EXPECT_TRUE(doubts.note_name(ip(1, 0), "n" + std::to_string(i)));
    doubts.note_local_talk(loopback(static_cast<std::uint16_t>(1000 + i)), i);
  }
  EXPECT_FALSE(doubts.note_name(ip(1, 0), "n199")) << "no news";
  EXPECT_EQ(doubts.names.size(), 64U);
  EXPECT_EQ(doubts.names.back().name, "n199");
  EXPECT_EQ(doubts.local_talks.size(), 16U);
  EXPECT_EQ(doubts.broker_ns, 16U) << "what does not fit is a broker";
}

// The same through link: by the fork and the restart of a process.
class DoubtsOfAProcess : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
    start(10);
    open(10);
  }
};

TEST_F(DoubtsOfAProcess, ItsOwnNamesContradictInItsForkedChild) {
  dns(10, "elsewhere.test", ip(1));
  fork(10, 11);
  call(11);
  EXPECT_EQ(told(), Lines{"possible names_contradict: " + kA});
}

TEST_F(DoubtsOfAProcess, ItsOwnNamesContradictAfterARestart) {
  collect();
  dns(10, "elsewhere.test", ip(1));
  restart(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible names_contradict: " + kA});
}

TEST_F(DoubtsOfAProcess, AFileThatWasNotIdentifiedCountsAfterARestart) {
  collect();
  FileAnswer unread;
  unread.unread = "too large";
  examiner.files["/home/u/.aws/credentials"] = unread;
  open(10, "/home/u/.aws/credentials");
  restart(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible unidentified_file: " + kA});
}

TEST_F(DoubtsOfAProcess, ADestinationOnLoopbackIsNoBrokerAfterARestartEither) {
  connect(10, 900, loopback(443));
  payload(10, 900, "");
  restart(10);
  call(10, kS3, loopback(443));
  EXPECT_EQ(told().back(), "possible name_at_local_address: " + kA);
}

TEST_F(DoubtsOfAProcess, AGapInItsLifeCountsAfterARestart) {
  collect();  // its life is stored before the gap
  link->gap(clock.now, clock.now + 1, "ring_full", 2, "open");
  restart(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible gap_in_life: " + kA});
}

TEST_F(DoubtsOfAProcess, AGapBeforeItsLifeDoesNotCountAfterARestart) {
  link->gap(0, 2, "ring_full", 2, "open");
  restart(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(DoubtsOfAProcess, WhatItsFeederTookMayBeHandedOverAfterARestartToo) {
  const std::string other = "AKIAAAAAAAAAAAAAAAA3";
  examiner.files["/home/u/.aws/credentials"] = file_of({aws_fact(other)});
  start(20);
  fork(20, 21);
  exec(21, {.channel = true});
  open(21);
  open(20, "/home/u/.aws/credentials");
  collect();
  const Earlier stored = earlier();
  const auto held = holders;
  make();
  link->load(stored);
  for (const std::uint32_t pid : {21U, 20U}) {  // in whatever order the history has them
    for (const auto& [id, holding] : held.at(pid))
      link->adopt(holding, process(pid));
  }
  call(21);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kA + " " + other});
}

TEST_F(DoubtsOfAProcess, ProgramsThatAProcessBecomesBeginAnew) {
  dns(10, "elsewhere.test", ip(1));
  exec(10, {});
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

}  // namespace
}  // namespace keytrail::link
