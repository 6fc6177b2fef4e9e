// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

const std::string kKey = "AKIAIOSFODNN7EXAMPLE";

class DepartureTest : public Court {
 protected:
  static Actor program(const std::string& name, std::uint32_t pid, const std::string& unit = "api.service") {
    Actor out;
    out.id = {pid, 1, 1};
    out.exe = "/usr/bin/" + name;
    out.program = name;
    out.workload.kind = WorkloadKind::kSystemdUnit;
    out.workload.id = "unit:" + unit;
    out.workload.name = unit;
    return out;
  }
  static KeyReader reader(const Actor& who, std::int64_t minute, const std::string& place = "/etc/api/key") {
    KeyReader out;
    out.actor = who;
    out.key.id = kKey;
    out.slot = {From::kFile, place, "default"};
    out.first_ns = out.last_ns = minute * kMinute;
    out.count = 1;
    out.instances = {who.id};
    return out;
  }
  void reads(const Actor& who, std::int64_t minute, const std::string& place = "/etc/api/key") {
    EXPECT_TRUE(look({.readers = {reader(who, minute, place)}}).empty());
  }
  /// A call to a place that nobody knows, with the key among what is held.
  static UseRow call(const Actor& who, std::int64_t minute, Reason reason = Reason::kUnknownDestination) {
    UseRow use = use_of(kKey, minute * kMinute, Evidence::kPossible);
    use.actor = who;
    use.reason = reason;
    use.destination.host = "drop.example";
    use.destination.port = 443;
    return use;
  }
  /// The same to a place that does not take the key.
  static UseRow elsewhere(const Actor& who, const std::string& provider, Evidence evidence) {
    UseRow use = call(who, 10, Reason::kOnlyKeyHeld);
    use.keys[0].key.id = "another";
    use.destination.provider = provider;
    use.evidence = evidence;
    return use;
  }
  std::size_t told(const UseRow& use) { return look({.uses = {use}}).size(); }

  const Actor service = program("api", 7), thief = program("curl", 8);
};

TEST_F(DepartureTest, IsFoundWhenANewReaderCallsAPlaceThatNobodyKnows) {
  reads(service, 1);
  EXPECT_EQ(told(call(service, 2)), 0U) << "who always reads it";
  reads(thief, 10);
  const auto found = look({.uses = {call(thief, 10)}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "departure");
  EXPECT_EQ(found[0].severity, Severity::kMedium);
  EXPECT_EQ(found[0].key.id, kKey);
  EXPECT_EQ(found[0].slot.place, "/etc/api/key");
  EXPECT_EQ(
      found[0].text,
      "api.service: curl read key AKIAIOSFODNN7EXAMPLE from /etc/api/key [default], which it had not read before, "
      "and then curl called drop.example:443; a copy may have left");
  EXPECT_EQ(told(call(thief, 11)), 0U) << "told once";
}

TEST_F(DepartureTest, ReadAndCallMayComeInOneBatch) {
  reads(service, 1);
  EXPECT_EQ(look({.uses = {call(thief, 10)}, .readers = {reader(thief, 10)}}).size(), 1U);
}

TEST_F(DepartureTest, TheKeysOwnPlaceIsNone) {
  reads(service, 1);
  reads(thief, 10);
  EXPECT_EQ(told(call(thief, 10, Reason::kOnlyKeyHeld)), 0U);
  EXPECT_EQ(told(call(thief, 10, Reason::kSeveralKeys)), 0U);
  EXPECT_EQ(told(call(thief, 10)), 1U);
}

TEST_F(DepartureTest, APlaceThatDoesNotTakeTheKeyIsOneUnlessAnotherKeyWasUsedThere) {
  reads(service, 1);
  reads(thief, 10);
  EXPECT_EQ(told(elsewhere(thief, "github", Evidence::kInferred)), 0U);
  EXPECT_EQ(told(elsewhere(program("other", 9), "github", Evidence::kPossible)), 0U) << "somebody else's call";
  EXPECT_EQ(told(elsewhere(thief, "github", Evidence::kPossible)), 1U);
}

TEST_F(DepartureTest, TheSshThatACopyingProgramStartedIsOneWhateverItLogsInWith) {
  reads(service, 1);
  const Actor scp = program("scp", 20);
  reads(scp, 10);
  UseRow use = elsewhere(program("ssh", 21), "ssh", Evidence::kInferred);
  EXPECT_EQ(told(use), 0U) << "nobody's child";
  const auto found = look({.uses = {use}, .children = {{use.actor.id, scp.id}}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].text.contains(": scp read key ") && found[0].text.contains("then ssh called "));
}

TEST_F(DepartureTest, WhatWasHandedOnInTheWorkloadIsOne) {
  reads(service, 1);
  reads(program("cat", 20), 10);
  EXPECT_EQ(told(call(program("curl", 21, "other.service"), 10)), 0U);
  EXPECT_EQ(told(call(service, 10)), 0U) << "it reads the key itself, and always did";
  EXPECT_EQ(told(call(program("curl", 21), 10)), 1U);
}

TEST_F(DepartureTest, WhatPeopleLookAtFilesWithIsNoneItselfAndWhatItHandedOnIs) {
  const std::string home = "/root/.aws/credentials";
  reads(service, 1, home);
  const Actor editor = program("code", 20), cat = program("cat", 21), curl = program("curl", 22);
  reads(editor, 10, home);
  EXPECT_EQ(told(call(editor, 10)), 0U);
  reads(cat, 10, home);
  EXPECT_EQ(told(call(curl, 10)), 1U) << "a place that nobody knows, with the key among what it was handed";
}

TEST_F(DepartureTest, WhatWasHandedOverPipesIsFollowedToAnyPlaceThatDoesNotTakeTheKey) {
  const std::string home = "/root/.aws/credentials";
  reads(service, 1, home);
  const Actor cat = program("cat", 21), base64 = program("base64", 22), curl = program("curl", 23);
  reads(cat, 10, home);
  UseRow use = elsewhere(curl, "github", Evidence::kUnattributed);
  use.keys.clear();
  EXPECT_EQ(told(use), 0U) << "nothing ties them";
  const std::vector<Child> pipes{{base64.id, cat.id, true}, {curl.id, base64.id, true}};
  const auto found = look({.uses = {use}, .children = pipes});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].text.contains(": cat read key ") && found[0].text.contains("then curl called "));
}

TEST_F(DepartureTest, AnEditorThatLogsInSomewhereIsNone) {
  const std::string home = "/root/.aws/credentials";
  reads(service, 1, home);
  const Actor editor = program("code", 20);
  reads(editor, 10, home);
  const UseRow use = elsewhere(program("ssh", 21), "ssh", Evidence::kInferred);
  EXPECT_TRUE(look({.uses = {use}, .children = {{use.actor.id, editor.id}}}).empty());
}

TEST_F(DepartureTest, InAPlaceThatNobodyNamedEachProgramIsAWorkloadAndHandsOnAllTheSame) {
  const auto of_host = [](Actor who) {
    who.workload.kind = WorkloadKind::kHost;
    who.workload.id = "cgroup:/x:" + who.program;
    who.workload.facts = {Fact{.name = fact::kCgroup, .value = "/x"}};
    return who;
  };
  reads(of_host(service), 1);
  reads(of_host(program("cat", 20)), 10);
  EXPECT_EQ(told(call(of_host(program("curl", 21)), 10)), 1U);
}

TEST_F(DepartureTest, NewReadersOfANewKeyAndThoseOfTheCatalogAreUsual) {
  reads(service, 1);
  reads(thief, 1);
  EXPECT_EQ(told(call(thief, 2)), 0U) << "both at its beginning";
  const Actor aws = program("aws", 9), backup = program("restic", 10);
  for (const Actor& who : {aws, backup}) {
    reads(who, 10, "/root/.aws/credentials");
    EXPECT_EQ(told(call(who, 10)), 0U);
  }
  reads(thief, 10, "/root/.aws/credentials");
  EXPECT_EQ(told(call(thief, 10)), 0U) << "it read the key at its beginning";
  const Actor tool = program("wget", 12);
  reads(tool, 10, "/root/.aws/credentials");
  EXPECT_EQ(told(call(tool, 10)), 1U) << "a tool that may read anything";
}

TEST_F(DepartureTest, AReaderIsAUsualOneAfterAWhile) {
  make({{"departure", {.numbers = {{"within_minutes", 30}}}}});
  reads(service, 1);
  reads(thief, 10);
  EXPECT_EQ(told(call(thief, 41)), 0U);
}

TEST_F(DepartureTest, AnEarlierRunsWorkloadsAreUsualAndItsKeysAreNotNew) {
  Earlier earlier;
  earlier.sightings.push_back({kKey, {From::kFile, "/etc/api/key", "default"}, service.workload, kMinute});
  judge->load(earlier);
  const Actor other = program("curl", 30, "other.service");
  reads(thief, 10);
  reads(other, 10);
  EXPECT_EQ(told(call(thief, 10)), 0U);
  EXPECT_EQ(told(call(other, 10)), 1U);
}

TEST_F(DepartureTest, IsResolvedWhenTheSlotGetsAnotherKey) {
  reads(service, 1);
  reads(thief, 10);
  EXPECT_EQ(told(call(thief, 10)), 1U);
  (void)look({.slot_changes = {{"", "/etc/api/key", "default", 11 * kMinute, kKey, "AKIANEW"}}});
  EXPECT_EQ(became(), (Words{"resolved departure"}));
}

TEST_F(DepartureTest, ManyReadersDoNotMakeAnyoneUsual) {
  reads(service, 1);
  for (std::uint32_t i = 0; i < 40; ++i)
    reads(program("p" + std::to_string(i), 100 + i), 10);
  reads(thief, 11);
  EXPECT_EQ(told(call(thief, 11)), 1U);
}

}  // namespace
}  // namespace keytrail::judge
