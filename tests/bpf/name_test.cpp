// SPDX-License-Identifier: Apache-2.0
// First payloads and DNS answers: what leaves, and what must not.
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/sockets.h"

namespace keytrail::tests {
namespace {

/// A client that writes `bytes` (and then `more`) to a server in the same process.
std::uint32_t send_first(std::string_view bytes, std::string_view more = {}) {
  return in_namespaces([&] {
    const auto [client, peer] = connected();
    if (peer < 0) return 2;
    if (send(client, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
        !receive_all(peer, bytes.size()))
      return 3;
    if (!more.empty() && (!send_all(client, more) || !receive_all(peer, more.size()))) return 4;
    return send_all(peer, "HTTP/1.1 200 OK\r\n\r\n") ? 0 : 5;
  });
}

struct Payload {
  ev_payload head{};
  std::string data;
};

Payload payload_of(std::uint32_t tgid) {
  const std::vector<Record> connects = kernel_side().events(KT_EV_CONNECT, tgid);
  const std::vector<Record> events = kernel_side().events(KT_EV_PAYLOAD, tgid);
  EXPECT_EQ(events.size(), 1U);
  if (events.size() != 1 || connects.size() != 1) return {};
  const auto& event = events[0].as<ev_payload>();
  EXPECT_EQ(event.cookie, connects[0].as<ev_connect>().cookie);
  EXPECT_EQ(events[0].bytes.size(), sizeof(ev_payload) + event.data_len);
  return {event, std::string(events[0].rest<ev_payload>())};
}

std::string client_hello(std::size_t size) { return as_records(handshake(size), size); }

TEST(Name, AClientHelloLeavesWholeAndNothingBehindIt) {
  const std::string hello = client_hello(1800);
  const Payload payload = payload_of(send_first(hello + "CANARYquery0123456789", "more"));
  EXPECT_EQ(payload.head.protocol, KT_PAYLOAD_TLS);
  EXPECT_EQ(payload.data, hello);
  EXPECT_EQ(payload.head.seen_len, hello.size() + 21);
  EXPECT_EQ(payload.head.head.flags & KT_F_TRUNCATED, 0);
}

std::string tls_record(char type, std::size_t size) {
  std::string out{type, '\x03', '\x03', static_cast<char>(size >> 8U), static_cast<char>(size & 0xffU)};
  return out + std::string(size, 'r');
}

/// What is reported of a client that sends a ClientHello and then `more`: its protocols, in order.
std::vector<int> protocols_of(std::string_view more) {
  std::vector<int> out;
  for (const Record& record : kernel_side().events(KT_EV_PAYLOAD, send_first(client_hello(300), more)))
    out.push_back(record.as<ev_payload>().protocol);
  return out;
}

TEST(Name, BytesBeyondAHandshakeAreReportedOnce) {
  const std::string change = tls_record('\x14', 1), finished = tls_record('\x17', 53), alert = tls_record('\x17', 19);
  const std::string request = tls_record('\x17', 400), older = tls_record('\x16', 262);
  const std::vector<int> hello{KT_PAYLOAD_TLS}, both{KT_PAYLOAD_TLS, KT_PAYLOAD_TLS_DATA};
  EXPECT_EQ(protocols_of(change + finished), hello);
  EXPECT_EQ(protocols_of(change + finished + alert), hello);
  EXPECT_EQ(protocols_of(older + change + tls_record('\x16', 40)), hello) << "TLS 1.2";
  EXPECT_EQ(protocols_of(change + finished + request + request), both);
  EXPECT_EQ(protocols_of("no record"), both) << "what is none counts";
}

TEST(Name, SegmentsWithoutDataAreNoRun) {
  constexpr int kConnections = 300;  // others' traffic is counted too: far less than the three segments of each
  const Totals before = kernel_side().totals(KT_FAMILY_NAME);
  in_namespaces([] {
    for (int i = 0; i < kConnections; ++i) {
      const auto [client, peer] = connected();
      if (peer < 0) return 2;
      close(client);
      close(peer);
    }
    return 0;
  });
  EXPECT_LT(kernel_side().totals(KT_FAMILY_NAME)[KT_C_HITS] - before[KT_C_HITS], std::uint64_t{kConnections});
}

TEST(Name, AHugeClientHelloIsCutAndSaysSo) {
  EXPECT_EQ(payload_of(send_first(client_hello(6000))).data, client_hello(6000));
  const std::string hello = as_records(handshake(20'000), 16'000);
  const Payload payload = payload_of(send_first(hello));
  EXPECT_EQ(payload.data, hello.substr(0, KT_PAYLOAD_MAX));
  EXPECT_TRUE(payload.head.head.flags & KT_F_TRUNCATED);
  EXPECT_EQ(payload.head.unread, KT_UNREAD_LONG);
}

struct HttpCase {
  const char* request;
  const char* leaves;
};

class Http : public testing::TestWithParam<HttpCase> {};

TEST_P(Http, LeavesWithoutItsSecrets) {
  const Payload payload = payload_of(send_first(GetParam().request));
  const std::string leaves = GetParam().leaves;
  EXPECT_EQ(payload.data, leaves);
  EXPECT_EQ(payload.head.protocol, leaves.empty() ? KT_PAYLOAD_OTHER : KT_PAYLOAD_HTTP);
  EXPECT_EQ(payload.head.seen_len, strlen(GetParam().request));
}

INSTANTIATE_TEST_SUITE_P(
    Name, Http,
    testing::Values(
        HttpCase{"GET /latest/meta-data/iam?x=CANARYquery0123456789 HTTP/1.1\r\nAuthorization: Bearer "
                 "CANARYheader0123456789\r\nHost: "
                 "169.254.169.254\r\n\r\n",
                 "GET /latest/meta-data/iam HTTP/1.1\n169.254.169.254"},
        HttpCase{"PUT /latest/api/token HTTP/1.1\r\nhOsT:metadata:8080 \r\nX-Secret: "
                 "CANARYheader0123456789\r\n\r\nCANARYheader0123456789",
                 "PUT /latest/api/token HTTP/1.1\nmetadata:8080"},
        HttpCase{"CONNECT s3.amazonaws.com:443 HTTP/1.1\r\nProxy-Authorization: Basic CANARYheader0123456789\r\nHost: "
                 "s3.amazonaws.com:443\r\n\r\n",
                 "CONNECT s3.amazonaws.com:443 HTTP/1.1\ns3.amazonaws.com:443"},
        HttpCase{"GET http://me:CANARYuserinfo0123456789@host/p@q HTTP/1.1\r\nHost: host\r\n\r\n",
                 "GET http://host/p@q HTTP/1.1\nhost"},
        HttpCase{"CONNECT me:CANARYuserinfo0123456789@host:443 HTTP/1.1\r\n\r\n", "CONNECT host:443 HTTP/1.1"},
        HttpCase{"GET /a/http://u:CANARYuserinfo0123456789@b/c HTTP/1.0\r\n\r\n", "GET /a/http://b/c HTTP/1.0"},
        HttpCase{"GET /p;session=CANARYquery0123456789 HTTP/1.1\nHost: x\n\n", "GET /p HTTP/1.1\nx"},
        HttpCase{"GET /p#CANARYquery0123456789 HTTP/1.1\r\nX-Host: y\r\nHostess: z\r\n\r\n", "GET /p HTTP/1.1"},
        HttpCase{"CONNECT {\"user\":\"a\",\"pass\":\"CANARYnats0123456789\"}\r\nPING\r\n", ""},
        HttpCase{"CONNECT CANARYnats0123456789 1234567\r\nHost: x\r\n", ""},
        HttpCase{"AUTH CANARYnats0123456789\r\nPING\r\n\r\n", ""},
        HttpCase{"LOGIN me CANARYnats0123456789\r\n\r\n\r\n", ""}, HttpCase{"\x05\x01\x02 CANARYnats0123456789", ""}));

TEST(Name, AnSshBannerLeavesWithoutWhatFollows) {
  const Payload payload = payload_of(send_first("SSH-2.0-OpenSSH_9.2p1 Debian\r\nCANARYheader0123456789"));
  EXPECT_EQ(payload.head.protocol, KT_PAYLOAD_SSH);
  EXPECT_EQ(payload.data, "SSH-2.0-OpenSSH_9.2p1 Debian");
}

TEST(Name, ALongHeaderBlockStillGivesTheHost) {
  const std::string request = "GET /x HTTP/1.1\r\nCookie: " + std::string(3000, 'c') + "\r\nHost: far.example\r\n\r\n";
  EXPECT_EQ(payload_of(send_first(request)).data, "GET /x HTTP/1.1\nfar.example");
}

TEST(Name, TheWriterIsNamedNotWhoConnected) {
  std::uint32_t writer = 0;
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const std::uint32_t opener = in_namespaces([&] {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback4(0);
    socklen_t length = sizeof(address);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1) != 0) return 1;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, reinterpret_cast<sockaddr*>(&address), length) != 0) return 2;
    const std::uint32_t child = in_child([&] { return send_all(client, client_hello(100)) ? 0 : 1; });
    return write(told[1], &child, sizeof(child)) == sizeof(child) ? 0 : 3;
  });
  ASSERT_EQ(read(told[0], &writer, sizeof(writer)), static_cast<ssize_t>(sizeof(writer)));
  close(told[0]);
  close(told[1]);
  EXPECT_EQ(kernel_side().events(KT_EV_PAYLOAD, opener).size(), 0U);
  EXPECT_EQ(kernel_side().events(KT_EV_PAYLOAD, writer).size(), 1U);
}

/// A resolver on 127.0.0.1:53 that answers with `answer` after the query's id, and once more unasked.
std::uint32_t ask(bool asked, const std::string& answer) {
  return in_namespaces([&] {
    const int server = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address = loopback4(53);
    if (bind(server, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return 1;
    const int client = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in self = loopback4(40'000);
    if (bind(client, reinterpret_cast<sockaddr*>(&self), sizeof(self)) != 0) return 2;
    char buffer[2048];
    if (asked) {
      sendto(client, "\x12\x34\x01\x00query", 9, 0, reinterpret_cast<sockaddr*>(&address), sizeof(address));
      if (recv(server, buffer, sizeof(buffer), 0) != 9) return 3;
    }
    const std::string wrong = "\x77\x77\x81\x80" + answer;
    const std::string right = "\x12\x34\x81\x80" + answer;
    sendto(server, wrong.data(), wrong.size(), 0, reinterpret_cast<sockaddr*>(&self), sizeof(self));
    sendto(server, right.data(), right.size(), 0, reinterpret_cast<sockaddr*>(&self), sizeof(self));
    sendto(server, right.data(), right.size(), 0, reinterpret_cast<sockaddr*>(&self), sizeof(self));
    for (int i = 0; i < 3; ++i)
      recv(client, buffer, sizeof(buffer), 0);
    return 0;
  });
}

TEST(Name, OnlyTheAnswerToASeenQueryCounts) {
  const std::vector<Record> answers = kernel_side().events(KT_EV_DNS, ask(true, "the answer"));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].rest<ev_dns>(), "\x12\x34\x81\x80the answer");
  EXPECT_NE(answers[0].as<ev_dns>().net_ns, 0U);
  EXPECT_TRUE(kernel_side().events(KT_EV_DNS, ask(false, "forged")).empty());
}

TEST(Name, ALongAnswerIsCutAndSaysSo) {
  const std::vector<Record> answers = kernel_side().events(KT_EV_DNS, ask(true, std::string(1400, 'a')));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].as<ev_dns>().data_len, KT_DNS_MAX);
  EXPECT_TRUE(answers[0].head().flags & KT_F_TRUNCATED);
}

}  // namespace
}  // namespace keytrail::tests
