// SPDX-License-Identifier: Apache-2.0
// First requests in pieces, behind a tunnel, behind plain text: what is put together, and what never leaves.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <random>

#include "tests/bpf/sockets.h"

namespace keytrail::tests {
namespace {

using Pieces = std::vector<std::string>;

/// What is reported of a client that writes these pieces, each a segment of its own.
std::vector<Record> reported(const Pieces& pieces) {
  const std::uint32_t client = in_namespaces([&] {
    const auto [writer, peer] = connected();
    const int on = 1;
    if (peer < 0) return 2;
    setsockopt(writer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (const std::string& piece : pieces)
      if (!send_all(writer, piece) || !receive_all(peer, piece.size())) return 3;
    return 0;
  });
  return kernel_side().events(KT_EV_PAYLOAD, client);
}

/// Each event as "PROTOCOL:data"; of a ClientHello only whether it is whole.
std::vector<std::string> told(const Pieces& pieces, const std::string& hello = {}) {
  std::vector<std::string> out;
  for (const Record& record : reported(pieces)) {
    const auto& event = record.as<ev_payload>();
    const std::string data(record.rest<ev_payload>());
    EXPECT_FALSE(data.contains("CANARY")) << data;
    out.push_back(std::to_string(event.protocol) + ":" +
                  (event.protocol == KT_PAYLOAD_TLS ? (data == hello ? "whole" : "not whole") : data));
  }
  return out;
}

Pieces cut(const std::string& text, std::size_t size) {
  Pieces out;
  for (std::size_t at = 0; at < text.size(); at += size)
    out.push_back(text.substr(at, size));
  return out;
}

Pieces joined(Pieces a, const Pieces& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::string kHello = as_records(handshake(400), 400);
const std::vector<std::string> kWhole{"1:whole"};

TEST(Pieces, AHelloIsPutTogetherHoweverItIsCut) {
  const std::string large = as_records(handshake(9000), 9000), records = as_records(handshake(400), 100),
                    tiny = as_records(handshake(300), 1);
  EXPECT_EQ(told(cut(kHello, 100), kHello), kWhole);
  EXPECT_EQ(told(cut(kHello, 1), kHello), kWhole) << "a byte a segment";
  EXPECT_EQ(told({kHello.substr(0, 3), kHello.substr(3)}, kHello), kWhole);
  EXPECT_EQ(told(cut(large, 2000), large), kWhole);
  EXPECT_EQ(told({records}, records), kWhole) << "records in one segment";
  EXPECT_EQ(told({tiny}, tiny), kWhole) << "a byte a record";
  EXPECT_EQ(told(cut(records, 70), records), kWhole);
}

TEST(Pieces, WhatFollowsAHelloInPiecesStaysBehind) {
  const std::string more = std::string("\x17\x03\x03\x01\x00", 5) + std::string(256, 'C') + "CANARY";
  EXPECT_EQ(told({kHello.substr(0, 50), kHello.substr(50) + more, more}, kHello), kWhole);
  EXPECT_EQ(told({kHello.substr(0, 50), kHello.substr(50), more}, kHello), (Pieces{"1:whole", "4:"}));
}

TEST(Pieces, WhatIsNotWholeIsNotReported) {
  EXPECT_EQ(told({kHello.substr(0, 300)}), Pieces{});
  EXPECT_EQ(told({"GET /without/an/end/CANARY"}), Pieces{});
  EXPECT_EQ(told({"X"}), Pieces{});
}

TEST(Pieces, AnHttpHeadIsReducedFromItsPieces) {
  const std::string head = "GET /x?CANARY HTTP/1.1\r\nCookie: CANARY\r\nHost: a.test\r\n\r\n";
  EXPECT_EQ(told(cut(head, 1)), Pieces{"2:GET /x HTTP/1.1\na.test"});
  EXPECT_EQ(told({head.substr(0, 30), head.substr(30)}), Pieces{"2:GET /x HTTP/1.1\na.test"});
}

TEST(Tunnels, AConnectIsReadToItsEndAndThenWhatGoesThrough) {
  const std::string head =
      "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic CANARY\r\n\r\n";
  const Pieces both{"2:CONNECT a.test:443 HTTP/1.1\na.test:443", "1:whole"};
  EXPECT_EQ(told({head, kHello}, kHello), both);
  EXPECT_EQ(told(joined(cut(head, 1), cut(kHello, 100)), kHello), both);
  EXPECT_EQ(told({head.substr(0, 48), head.substr(48), kHello}, kHello), both) << "cut behind the Host header";
  EXPECT_EQ(told({head, head, kHello}, kHello), (Pieces{both[0], both[0], "1:whole"})) << "asked again";
  EXPECT_EQ(told({head + kHello, std::string("\x14\x03\x03\x00\x01\x01", 6)}, kHello), both)
      << "without waiting for the answer";
}

TEST(Tunnels, ASocksRequestIsReadWithoutItsPassword) {
  const std::string name = std::string("\x05\x01\x00\x03\x06", 5) + "a.test" + std::string("\x01\xbb", 2);
  const Pieces both{std::string("6:\x03\x01\xbb", 5) + "a.test", "1:whole"};
  const std::string greeting("\x05\x01\x00", 3), both_ways("\x05\x02\x00\x02", 4);
  EXPECT_EQ(told({greeting, name, kHello}, kHello), both);
  EXPECT_EQ(told({both_ways,
                  "\x01\x02me\x06"
                  "CANARY",
                  name, kHello},
                 kHello),
            both);
  EXPECT_EQ(told(joined(cut(greeting + name, 1), {kHello}), kHello), both);
  const std::string v4("\x04\x01\x01\xbb\xc0\x00\x02\x07me\x00", 11);
  EXPECT_EQ(told({v4, kHello}, kHello), (Pieces{std::string("6:\x01\x01\xbb\xc0\x00\x02\x07", 9), "1:whole"}));
  const std::string v4a = std::string(
                              "\x04\x01\x01\xbb\x00\x00\x00\x01"
                              "CANARY\x00",
                              15) +
                          std::string("a.test\x00", 7);
  EXPECT_EQ(told({v4a, kHello}, kHello), both);
}

/// What is reported of a client that sends these datagrams to port 443.
std::vector<std::string> told_of_datagrams(const Pieces& datagrams, bool connected) {
  const std::uint32_t client = in_namespaces([&] {
    const int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address = loopback4(443);
    auto* to = reinterpret_cast<sockaddr*>(&address);
    if (bind(server, to, sizeof(address)) != 0) return 1;
    if (connected && connect(client, to, sizeof(address)) != 0) return 2;
    for (const std::string& one : datagrams)
      if (sendto(client, one.data(), one.size(), 0, connected ? nullptr : to, connected ? 0 : sizeof(address)) < 0)
        return 3;
    return 0;
  });
  std::vector<std::string> out;
  for (const Record& record : kernel_side().events(KT_EV_PAYLOAD, client))
    out.push_back(std::to_string(record.as<ev_payload>().protocol) + ":" + std::string(record.rest<ev_payload>()));
  return out;
}

TEST(Datagrams, InitialPacketsLeaveWholeAndOfOthersThatTheyWereSent) {
  const std::string initial = std::string("\xc3\x00\x00\x00\x01", 5) + std::string(1195, 'i'),
                    short_one = "\x41 CANARY";
  for (const bool connected : {true, false}) {
    EXPECT_EQ(told_of_datagrams({initial, initial, short_one, short_one}, connected),
              (Pieces{"7:" + initial, "7:" + initial}));
    EXPECT_EQ(told_of_datagrams({"CANARY", short_one}, connected), Pieces{"0:"});
    EXPECT_EQ(told_of_datagrams(Pieces(20, initial), connected).size(), 8U) << "bounded";
  }
}

TEST(Pieces, AnyCutOfAnyLengthAndNonsense) {
  std::minstd_rand random(7);  // NOLINT: the same each time
  for (int round = 0; round < 40; ++round) {
    const std::string hello = as_records(handshake(40 + random() % 3000), 1 + random() % 1500);
    Pieces pieces;
    for (std::size_t at = 0; at < hello.size();) {
      pieces.push_back(hello.substr(at, 1 + random() % 700));
      at += pieces.back().size();
    }
    EXPECT_EQ(told(pieces, hello), kWhole) << "round " << round;
    for (std::string& piece : pieces)
      for (char& c : piece)
        if (random() % 16 == 0) c = static_cast<char>(random());
    EXPECT_LE(told(pieces).size(), pieces.size() + 1) << "round " << round;
  }
}

TEST(Plain, AHelloIsFoundBehindARequestForTls) {
  const std::string postgres("\x00\x00\x00\x08\x04\xd2\x16\x2f", 8);
  const std::string mysql = std::string("\x20\x00\x00\x01\x85\xae\x3f\x20", 8) + std::string(28, '\0');
  const std::string ldap = std::string("\x30\x1d\x02\x01\x01\x77\x18\x80\x16", 9) + "1.3.6.1.4.1.1466.20037";
  EXPECT_EQ(told({"EHLO me\r\n", "STARTTLS\r\n", kHello}, kHello), kWhole);
  EXPECT_EQ(told({"a1 CAPABILITY\r\n", "a2 STARTTLS\r\n", kHello}, kHello), kWhole);
  EXPECT_EQ(told({"CAPA\r\n", "STLS\r\n", kHello}, kHello), kWhole);
  EXPECT_EQ(told({"AUTH TLS\r\n", kHello}, kHello), kWhole);
  EXPECT_EQ(told({postgres, kHello}, kHello), kWhole);
  EXPECT_EQ(told({mysql, kHello}, kHello), kWhole);
  EXPECT_EQ(told({ldap, cut(kHello, 200)[0], kHello.substr(200)}, kHello), kWhole);
}

TEST(Plain, WhoDoesNotGoOnToTlsIsReported) {
  const std::string postgres("\x00\x00\x00\x08\x04\xd2\x16\x2f", 8);
  EXPECT_EQ(told({"EHLO me\r\n", "AUTH PLAIN CANARY\r\n"}), Pieces{"0:"});
  EXPECT_EQ(told({postgres, std::string("\x00\x00\x00\x10\x00\x03\x00\x00user\x00CANARY", 20)}), Pieces{"0:"});
  EXPECT_EQ(told({"some protocol", kHello}, kHello), (Pieces{"0:", "1:whole"})) << "nobody knows how it asks for TLS";
}

}  // namespace
}  // namespace keytrail::tests
