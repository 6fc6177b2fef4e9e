// SPDX-License-Identifier: Apache-2.0
// Destinations that nobody knows: a row for who holds a key, none for who does not, and how many are told apart.
#include "agent/link/places.h"

#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";
const std::string kMayHave = "possible unknown_destination:";

KeyFact fact_of(const std::string& id, const std::string& kind, KeyClass key_class) {
  KeyFact fact;
  fact.key.id = id;
  fact.key.kind = kind;
  fact.key.key_class = key_class;
  return fact;
}

class UnknownDestinations : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
  void holder(std::uint32_t pid, const Program& program = {}) {
    start(pid, program);
    open(pid);
  }
};

TEST_F(UnknownDestinations, AHoldersCallIsARowWithNameAddressAndKey) {
  holder(10);
  call(10, "nobody.test", ip(7));
  call(10, "", ip(8, 8443));
  ASSERT_EQ(told(), (Lines{kMayHave + " " + kA, kMayHave + " " + kA}));
  EXPECT_EQ(uses[0].destination.host, "nobody.test");
  EXPECT_EQ(uses[0].destination.address, "198.51.100.7");
  EXPECT_TRUE(uses[0].destination.claimed);
  EXPECT_EQ(uses[1].destination.host, "");
  EXPECT_EQ(uses[1].destination.address, "198.51.100.8");
  EXPECT_EQ(uses[1].destination.port, 8443);
  EXPECT_EQ(uses[1].keys.at(0).reason, Reason::kUnknownDestination);
}

TEST_F(UnknownDestinations, WhoHoldsNothingHasNone) {
  start(10);
  call(10, "nobody.test");
  EXPECT_TRUE(told().empty());
}

TEST_F(UnknownDestinations, AKeyThatIsReadLaterCountsFromThenOn) {
  start(10);
  call(10, "nobody.test");
  EXPECT_TRUE(told().empty());
  open(10);
  socket(cookies, SocketState::kSample, 900);
  EXPECT_EQ(told(), Lines{kMayHave + " " + kA}) << "the connection stays open and sends more";
}

TEST_F(UnknownDestinations, AKeyThatIsStillBeingExaminedIsWaitedFor) {
  examiner.hold = true;
  holder(10);
  call(10, "nobody.test");
  EXPECT_TRUE(told().empty());
  examiner.answer_all();
  tick(1);
  EXPECT_EQ(told(), Lines{kMayHave + " " + kA});
}

TEST_F(UnknownDestinations, AConnectionWithoutBytesIsNoUse) {
  holder(10);
  connect(10, 1, ip(7));
  socket(1, SocketState::kClosed);
  connect(10, 2, ip(7));
  hello(10, 2, "nobody.test");
  socket(2, SocketState::kClosed, 517);
  EXPECT_TRUE(told().empty());
}

TEST_F(UnknownDestinations, NameServersAndMetadataServicesAreNone) {
  holder(10);
  call(10, "", ip(7, 53));
  connect(10, 1, metadata_service());
  socket(1, SocketState::kClosed, 300, 10);
  EXPECT_TRUE(told().empty());
  call(10, "nobody.test", ip(7, 53));
  EXPECT_EQ(told(), Lines{kMayHave + " " + kA}) << "with a name it is no question to a name server";
}

TEST_F(UnknownDestinations, AnUnknownPortOfThisMachineIsOne) {
  holder(10);
  call(10, "", loopback(5432));
  EXPECT_EQ(told().back(), "unattributed no_key_of_this_kind:") << "a database is known";
  call(10, "", loopback(1080));
  EXPECT_EQ(told().back(), kMayHave + " " + kA) << "who listens there may send it on";
}

TEST_F(UnknownDestinations, SomebodysOwnServiceOnAProvidersHostIsOne) {
  holder(10);
  call(10, "drop-1234.eu-west-1.elb.amazonaws.com");
  call(10, "drop.workers.dev");
  EXPECT_EQ(told(), (Lines{kMayHave + " " + kA, kMayHave + " " + kA}));
  EXPECT_EQ(uses[0].destination.provider, "aws");
  start(11);
  call(11, "drop.workers.dev");
  EXPECT_EQ(told().size(), 2U) << "who holds nothing";
}

TEST_F(UnknownDestinations, AllAccessKeysAreListedInAnOrderThatStays) {
  const std::string second = "/home/u/.aws/credentials";
  examiner.files[second] = file_of({aws_fact(kB), aws_fact(kA, "other")});
  examiner.files["/tls.key"] = file_of({fact_of("fp:tls", "tls.private_key", KeyClass::kEncryptionKey)});
  start(10);
  open(10, second);
  open(10, "/tls.key");
  call(10, "nobody.test");
  open(10);
  call(10, "nobody.test");
  EXPECT_EQ(told(), (Lines{kMayHave + " " + kA + " " + kB, kMayHave + " " + kA + " " + kB}));
}

TEST_F(UnknownDestinations, AnEncryptionKeyCountsWhereNoOtherIsHeld) {
  examiner.files["/tls.key"] = file_of({fact_of("fp:tls", "tls.private_key", KeyClass::kEncryptionKey)});
  start(10);
  open(10, "/tls.key");
  call(10, "nobody.test");
  EXPECT_EQ(told(), Lines{kMayHave + " fp:tls"});
}

TEST_F(UnknownDestinations, TheyAreNoLastUseOfAKey) {
  holder(10);
  call(10, "nobody.test");
  collect();
  EXPECT_EQ(holders[10].at(kA).last_use_ns, 0);
  call(10);
  collect();
  EXPECT_NE(holders[10].at(kA).last_use_ns, 0);
}

TEST_F(UnknownDestinations, AProgramsPlacesBeyondTheBoundAreOnePlace) {
  make({.max_places = 3, .places_s = 60});
  holder(10);
  for (std::uint8_t last = 1; last <= 5; ++last)
    call(10, "", ip(last));
  call(10, "", ip(2));
  ASSERT_EQ(told().size(), 6U) << "each is a call";
  EXPECT_EQ(uses[2].destination.address, "198.51.100.3");
  for (const std::size_t i : {3U, 4U}) {
    EXPECT_EQ(uses[i].destination.address, "");
    EXPECT_EQ(uses[i].reason, Reason::kUnknownDestination);
  }
  EXPECT_EQ(uses[5].destination.address, "198.51.100.2") << "it was among the first";
  EXPECT_EQ(link->counters().at("places_over_bound"), 2U);
  holder(11, {"/usr/bin/other", "/usr/bin/other", {}, {}, false});
  call(11, "", ip(9));
  (void)told();
  EXPECT_EQ(uses.back().destination.address, "198.51.100.9") << "another program has its own";
  clock.now += 61'000 * kMs;
  call(10, "", ip(5));
  (void)told();
  EXPECT_EQ(uses.back().destination.address, "198.51.100.5") << "a new period";
}

TEST(PlacesBound, RemembersAsManyOwnersAsItMay) {
  Places places(2, 1, 60);
  Destination one, other;
  one.host = "a.test";
  other.host = "b.test";
  EXPECT_TRUE(places.admit("first", one, 1));
  EXPECT_FALSE(places.admit("first", other, 1));
  EXPECT_TRUE(places.admit("second", other, 1));
  other.port = 8443;
  EXPECT_FALSE(places.admit("second", other, 1)) << "another port is another place";
  EXPECT_TRUE(places.admit("third", one, 1));
  EXPECT_TRUE(places.admit("first", other, 1)) << "forgotten, and begins again";
}

}  // namespace
}  // namespace keytrail::link
