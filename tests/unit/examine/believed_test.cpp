// SPDX-License-Identifier: Apache-2.0
// What of the worker's words the examiner believes: nothing where the place says it, ids elsewhere.
#include "agent/examine/believed.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

struct Asked {
  std::string_view format, place;
  bool named = false;
  std::string_view kind = "aws.access_key";
};

struct Told {
  Belief belief;
  Found found;
  /// Everything but ids and kinds.
  std::string texts() const {
    std::string out;
    for (const KeyFact& fact : found.keys) {
      for (const std::string* text :
           {&fact.key.principal, &fact.key.parent, &fact.selector, &fact.variable, &fact.host, &fact.path})
        out += *text;
      for (const Claim& claim : fact.claims)
        out += claim.value;
    }
    return out;
  }
};

class BelievedTest : public testing::Test {
 protected:
  void read(const Asked& what, std::string_view bytes, Told& out) {
    asked_ = role::make<role::Examine>(role::Type::kExamine);
    asked_.hints.format.assign(what.format);
    asked_.hints.key_kind.assign(what.kind);
    asked_.place.assign(what.place);
    asked_.named = what.named ? 1 : 0;
    believe(asked_, bytes, catalog::Catalog::builtin(), bench_.state, bench_.scratch, out.belief);
    out.found.bare = out.belief.bare;
    parse(out.belief.hints, bytes, bench_.state, bench_.scratch, out.found);
    bench_.scratch.wipe();
  }
  Bench bench_;
  role::Examine asked_;
};

constexpr std::string_view kShadow =
    "root:$6$saltsalt$abcdefghijklmnop:19000:0:99999:7:::\nanna:!:19000:0:99999:7:::\n";

TEST_F(BelievedTest, ATokenUnderAFreeNameShowsWhatItIs) {
  static constexpr std::string_view kToken =
      "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMuY2x1c3Rlci5s"
      "b2NhbCIsInN1YiI6InN5c3RlbTpzZXJ2aWNlYWNjb3VudDphOmIiLCJhdWQiOlsic3RzLmFtYXpvbmF3cy5jb20iXSwianRpIjoi"
      "ajEiLCJleHAiOjE5MDAwMDAwMDAsImt1YmVybmV0ZXMuaW8iOnsibmFtZXNwYWNlIjoiYSIsInNlcnZpY2VhY2NvdW50Ijp7Im5h"
      "bWUiOiJiIiwidWlkIjoidSJ9fX0.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl";
  Told told;
  read({.format = "jwt", .place = "/root/tok", .kind = "k8s.service_account_token"}, kToken, told);
  EXPECT_FALSE(told.belief.bare);
  ASSERT_EQ(told.found.keys.size(), 1U);
  EXPECT_EQ(told.found.keys[0].key.id, "k1/j1") << "its id is the same, whoever vouches for the file";
}

TEST_F(BelievedTest, AShadowFileGivesOneIdWhateverItIsCalled) {
  for (const std::string_view format : format_names()) {
    for (const bool named : {false, true}) {
      Told told;
      read({format, "/etc/shadow", named}, kShadow, told);
      EXPECT_EQ(told.texts(), "") << format;
      if (format == kContentFormat || format == "hosts_file") continue;
      EXPECT_EQ(told.belief.hints.format, "opaque") << format;
      EXPECT_EQ(told.belief.hints.key_kind, "host.password_hash") << format;
      EXPECT_LE(told.found.keys.size(), 1U) << format;
    }
  }
}

TEST_F(BelievedTest, AKnownPlaceIsReadAsItsEntrySays) {
  Told told;
  read({"netrc", "/home/anna/.aws/credentials"},
       "[prod]\naws_access_key_id = AKIAQ7ZT2WM3XR6LK5VB\naws_secret_access_key = "
       "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\n",
       told);
  EXPECT_EQ(told.belief.hints.format, "aws_credentials");
  ASSERT_EQ(told.found.keys.size(), 1U);
  EXPECT_EQ(told.found.keys[0].selector, "prod");
  EXPECT_EQ(told.found.keys[0].key.id, "AKIAQ7ZT2WM3XR6LK5VB");
}

TEST_F(BelievedTest, AFreeFileGivesIdsForWhatOnlyTheWorkerSays) {
  constexpr std::string_view kText =
      "10.9.8.7 alpha beta\nmachine gamma login delta password epsilon0123456789\n"
      "https://zeta:eta@theta.example/iota\n[kappa]\npassword = lambda0123456789abcdef\nuser=mu\nHost nu\n";
  for (const std::string_view format : format_names()) {
    Told told;
    read({format, "/home/anna/notes.txt"}, kText, told);
    EXPECT_EQ(told.texts(), "") << format;
    for (const KeyFact& fact : told.found.keys) {
      for (const char* word : {"alpha", "gamma", "delta", "zeta", "theta", "kappa", "lambda", "mu", "nu"})
        EXPECT_EQ(fact.key.id.find(word), std::string::npos) << format << " " << fact.key.id;
    }
  }
}

TEST_F(BelievedTest, AFileThatTheProgramWasToldToReadIsReadAsItWasTold) {
  constexpr std::string_view kText = "user = \"anna:q7Zt0Wm3Xr9Lk5Vb\"\nurl = \"https://api.example/x\"\n";
  Told named, free;
  read({"curlrc", "/srv/job/conf", true}, kText, named);
  read({"curlrc", "/srv/job/conf", false}, kText, free);
  ASSERT_FALSE(named.found.keys.empty());
  ASSERT_FALSE(free.found.keys.empty());
  EXPECT_EQ(named.found.keys[0].host, "api.example");
  EXPECT_EQ(free.texts(), "");
  EXPECT_NE(free.found.keys[0].key.id, "");
}

TEST_F(BelievedTest, WhatTheContentShowsNeedsNobodysWord) {
  Told told;
  read({"netrc", "/srv/job/net"}, "machine api.example login anna password q7Zt0Wm3Xr9Lk5Vb\n", told);
  EXPECT_FALSE(told.belief.bare);
  ASSERT_EQ(told.found.keys.size(), 1U);
  EXPECT_EQ(told.found.keys[0].host, "api.example");
  for (const auto& [format, text] :
       {std::pair<std::string_view, std::string_view>{"ssh_config", "Host a\n  IdentityFile /k\n"},
        {"gitconfig", "[include]\n\tpath = other\n"},
        {"aws_config", "[profile a]\nrole_arn = x\nsource_profile = b\n"}}) {
    Told config;
    read({format, "/srv/job/free"}, text, config);
    EXPECT_FALSE(config.belief.bare) << format;
    Told other;
    read({format, "/srv/job/free"}, "a text\nof a person's\n", other);
    EXPECT_TRUE(other.belief.bare) << format;
  }
}

TEST_F(BelievedTest, NamesOfHostsComeFromTheMachinesOwnListAlone) {
  Told own, other;
  read({"hosts_file", "/etc/hosts"}, "10.9.8.7 alpha\n", own);
  read({"hosts_file", "/home/anna/notes.txt", true}, "10.9.8.7 alpha\n", other);
  EXPECT_NE(own.texts(), "");
  EXPECT_EQ(other.texts(), "");
}

TEST_F(BelievedTest, AKindIsWhatTheCatalogSaysOfIt) {
  role::Hints said{};
  said.key_kind.assign("host.password_hash");
  said.key_class = static_cast<std::uint8_t>(KeyClass::kAccessKey);
  said.guessable = 0;
  Hints out;
  believe_kind(said, catalog::Catalog::builtin(), out);
  const catalog::Kind* const kind = catalog::Catalog::builtin().kind("host.password_hash");
  ASSERT_NE(kind, nullptr);
  EXPECT_EQ(out.key_class, kind->key_class);
  EXPECT_EQ(out.guessable, kind->guessable);
}

}  // namespace
}  // namespace keytrail::examine
