// SPDX-License-Identifier: Apache-2.0
// What is called through a tunnel, behind plain text or by QUIC, and what is said where it has no name.
#include "tests/unit/link/scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2";
using Protocol = PayloadEvent::Protocol;
using Unread = PayloadEvent::Unread;

class Tunnels : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
    start(10);
    open(10);
  }
  void first(std::uint64_t cookie, Protocol protocol, const std::string& name, Unread unread = Unread::kNot,
             bool truncated = false) {
    PayloadEvent event;
    event.cookie = cookie;
    event.protocol = protocol;
    event.name = name;
    event.port = protocol == Protocol::kHttpConnect || protocol == Protocol::kSocks ? 443 : 0;
    event.length = 100;
    event.unread = unread;
    event.truncated = truncated;
    send(process(10)->id, event, process(10));
  }
  void through(Protocol protocol, const std::string& target, const std::string& sni) {
    connect(10, 1, ip(9, 1080));
    first(1, protocol, target);
    if (!sni.empty()) hello(10, 1, sni);
    tls_data(10, 1);
  }
  void expect_tunnel(const std::string& evidence) {
    ASSERT_EQ(told(), Lines{evidence});
    EXPECT_EQ(uses[0].destination.host, kS3);
    EXPECT_EQ(uses[0].destination.name_source, NameSource::kConnectProxy);
    EXPECT_TRUE(uses[0].destination.claimed);
    EXPECT_EQ(uses[0].destination.port, 443);
    EXPECT_EQ(uses[0].via, "proxy 198.51.100.9:1080");
  }
};

TEST_F(Tunnels, ItsTargetIsCalledOnceSomethingGoesThrough) {
  connect(10, 1, ip(9, 1080));
  first(1, Protocol::kSocks, kS3);
  hello(10, 1, kS3);
  EXPECT_TRUE(told().empty());
  tls_data(10, 1);
  expect_tunnel("inferred only_key_held: " + kA);
}

TEST_F(Tunnels, ARefusedOneIsNoUse) {
  connect(10, 1, ip(9, 3128));
  first(1, Protocol::kHttpConnect, kS3);
  first(1, Protocol::kHttpConnect, kS3);
  socket(1, SocketState::kClosed, 200);
  EXPECT_TRUE(told().empty());
}

TEST_F(Tunnels, OneThatOnlyItsBytesShowIsAUse) {
  connect(10, 1, ip(9, 1080));
  first(1, Protocol::kSocks, kS3);
  socket(1, SocketState::kClosed, 400);
  expect_tunnel("inferred only_key_held: " + kA);
}

TEST_F(Tunnels, AnotherNameInTheHelloContradicts) {
  through(Protocol::kHttpConnect, kS3, "elsewhere.test");
  expect_tunnel("possible names_contradict: " + kA);
}

TEST_F(Tunnels, ToAnAddressTheHelloNamesIt) {
  through(Protocol::kSocks, "198.51.100.77", kS3);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(uses[0].destination.host, kS3);
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kSni);
  EXPECT_EQ(uses[0].destination.address, "198.51.100.77");
  EXPECT_EQ(uses[0].via, "proxy 198.51.100.9:1080");
}

TEST_F(Tunnels, ToAnAddressThatWasAskedForUnderAName) {
  dns(10, kS3, ip(77));
  through(Protocol::kSocks, "198.51.100.77", "");
  ASSERT_EQ(told().size(), 1U);
  EXPECT_EQ(uses[0].destination.host, kS3);
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kDns);
}

TEST_F(Tunnels, TlsBehindPlainTextIsAUseOfItsOwn) {
  connect(10, 1, ip(5, 4711));
  first(1, Protocol::kOther, "");
  hello(10, 1, kS3);
  EXPECT_EQ(told().size(), 1U);
  tls_data(10, 1);
  tls_data(10, 1);
  ASSERT_EQ(told().size(), 2U);
  EXPECT_EQ(uses[1].destination.host, kS3);
}

TEST_F(Tunnels, QuicIsNamedByItsHello) {
  connect(10, 1, ip(1), true);
  EXPECT_TRUE(told().empty()) << "nothing was sent";
  first(1, Protocol::kQuic, "", Unread::kCut, true);
  EXPECT_TRUE(told().empty()) << "the rest of its hello is to come";
  first(1, Protocol::kQuic, kS3);
  ASSERT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kSni);
}

TEST_F(Tunnels, QuicWhoseHelloStaysInPartsIsNotSilent) {
  connect(10, 1, ip(1), true);
  first(1, Protocol::kQuic, "", Unread::kCut, true);
  tick(2'000);
  ASSERT_EQ(told(), Lines{"possible unknown_destination: " + kA});
  EXPECT_TRUE(uses[0].reason_detail.ends_with("; not named, because its ClientHello is not whole or not valid"))
      << uses[0].reason_detail;
}

TEST_F(Tunnels, ADatagramToAnyPortIsAnExit) {
  connect(10, 1, ip(1, 9999), true);
  EXPECT_TRUE(told().empty()) << "nothing was sent";
  first(1, Protocol::kOther, "");
  ASSERT_EQ(told(), Lines{"possible unknown_destination: " + kA});
  EXPECT_EQ(uses[0].destination.port, 9999);
  EXPECT_TRUE(uses[0].reason_detail.ends_with("of a protocol without names")) << uses[0].reason_detail;
  connect(10, 2, ip(1, 53), true);
  first(2, Protocol::kOther, "");
  EXPECT_TRUE(told().size() == 1U) << "a question to a name server";
}

TEST_F(Tunnels, ADatagramThatLeavesWhileTheKeyFileIsLookedAt) {
  const std::string other = "/home/me/.aws/credentials";
  examiner.files[other] = file_of({aws_fact("AKIABBBBBBBBBBBBBBB2")});
  examiner.hold = true;
  start(11);
  open(11, other);
  connect(11, 1, ip(1), true);
  PayloadEvent event;
  event.cookie = 1;
  send(process(11)->id, event, process(11));
  EXPECT_TRUE(told().empty());
  examiner.hold = false;
  tick();
  tick();
  EXPECT_EQ(told(), Lines{"possible unknown_destination: AKIABBBBBBBBBBBBBBB2"});
}

TEST_F(Tunnels, WhatHasNoNameSaysWhy) {
  const struct {
    Protocol protocol;
    Unread unread;
    const char* why;
  } rows[] = {{Protocol::kTls, Unread::kTooLong, "what it sent first is longer than is put together"},
              {Protocol::kOther, Unread::kTooMany, "too many connections sent theirs in pieces at that time"},
              {Protocol::kTls, Unread::kNoName, "its ClientHello has no name"},
              {Protocol::kOther, Unread::kNot, "what it sent first is of a protocol without names"},
              {Protocol::kQuic, Unread::kUnreadable, "its QUIC handshake could not be read"}};
  std::uint64_t cookie = 1;
  for (const auto& row : rows) {
    connect(10, cookie, ip(static_cast<std::uint8_t>(cookie)), row.protocol == Protocol::kQuic);
    first(cookie, row.protocol, "", row.unread);
    if (row.protocol == Protocol::kTls) tls_data(10, cookie);
    (void)told();
    ASSERT_EQ(uses.size(), cookie) << row.why;
    EXPECT_EQ(uses.back().reason_detail.substr(uses.back().reason_detail.find("; ")),
              std::string("; not named, because ") + row.why);
    ++cookie;
  }
}

}  // namespace
}  // namespace keytrail::link
