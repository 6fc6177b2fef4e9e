// SPDX-License-Identifier: Apache-2.0
// Connections of clients and what became of them; Unix sockets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bpf/sockets.h"

namespace keytrail::tests {
namespace {

std::vector<Record> of_cookie(std::uint64_t cookie) {
  std::vector<Record> out;
  for (Record& record : kernel_side().events(KT_EV_SOCKET, 0)) {
    if (record.as<ev_socket>().cookie == cookie) out.push_back(std::move(record));
  }
  return out;
}

/// Client and server in one process: connects, sends, receives, closes.
int talk(const sockaddr* server, socklen_t length, std::size_t out, std::size_t in,
         const std::function<void(sockaddr*, in_port_t)>& to) {
  const int listener = socket(server->sa_family, SOCK_STREAM, 0);
  if (bind(listener, server, length) != 0 || listen(listener, 1) != 0) return 10;
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const in_port_t port = server->sa_family == AF_INET ? reinterpret_cast<sockaddr_in&>(address).sin_port
                                                      : reinterpret_cast<sockaddr_in6&>(address).sin6_port;
  sockaddr_storage target{};
  to(reinterpret_cast<sockaddr*>(&target), port);
  const int client = socket(target.ss_family, SOCK_STREAM, 0);
  if (connect(client, reinterpret_cast<sockaddr*>(&target),
              target.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)) != 0)
    return 11;
  const int peer = accept(listener, nullptr, nullptr);
  if (!send_all(client, std::string(out, '\x01')) || !receive_all(peer, out) ||
      !send_all(peer, std::string(in, '\x02')) || !receive_all(client, in))
    return 12;
  close(client);
  char end = 0;
  if (recv(peer, &end, 1, 0) != 0) return 13;
  close(peer);
  close(listener);
  usleep(20'000);
  return 0;
}

void expect_life(std::uint32_t tgid, bool v6, const std::string& address, std::size_t out, std::size_t in) {
  const std::vector<Record> connects = kernel_side().events(KT_EV_CONNECT, tgid);
  ASSERT_EQ(connects.size(), 1U);
  const auto& connect_event = connects[0].as<ev_connect>();
  EXPECT_EQ(connect_event.v6, v6 ? 1 : 0);
  EXPECT_EQ(connect_event.udp, 0);
  char text[INET6_ADDRSTRLEN];
  EXPECT_EQ(std::string(inet_ntop(v6 ? AF_INET6 : AF_INET, connect_event.address, text, sizeof(text))), address);
  EXPECT_NE(connect_event.port, 0);
  EXPECT_NE(connect_event.net_ns, 0U);
  ASSERT_NE(connect_event.cookie, 0U);
  const std::vector<Record> states = of_cookie(connect_event.cookie);
  ASSERT_EQ(states.size(), 1U) << "two records a connection: that it began, and what became of it";
  const auto& closed = states[0].as<ev_socket>();
  EXPECT_EQ(closed.state, static_cast<std::uint32_t>(KT_SOCKET_CLOSED));
  EXPECT_EQ(closed.bytes_sent, out);
  EXPECT_EQ(closed.bytes_received, in);
  EXPECT_EQ(closed.error, 0);
  EXPECT_EQ(closed.head.tgid, tgid);
}

TEST(Connect, IPv4IsFollowedFromConnectToClose) {
  const std::uint32_t tgid = in_namespaces([] {
    const sockaddr_in any = loopback4(0);
    return talk(reinterpret_cast<const sockaddr*>(&any), sizeof(any), 100'000, 3, [](sockaddr* to, in_port_t port) {
      const sockaddr_in target = loopback4(ntohs(port));
      memcpy(to, &target, sizeof(target));
    });
  });
  expect_life(tgid, false, "127.0.0.1", 100'000, 3);
}

TEST(Connect, IPv6IsFollowedFromConnectToClose) {
  const std::uint32_t tgid = in_namespaces([] {
    const sockaddr_in6 any = loopback6(0);
    return talk(reinterpret_cast<const sockaddr*>(&any), sizeof(any), 1, 70'000, [](sockaddr* to, in_port_t port) {
      const sockaddr_in6 target = loopback6(ntohs(port));
      memcpy(to, &target, sizeof(target));
    });
  });
  expect_life(tgid, true, "::1", 1, 70'000);
}

TEST(Connect, AMappedAddressIsGivenAsIPv4) {
  const std::uint32_t tgid = in_namespaces([] {
    const sockaddr_in any = loopback4(0);
    return talk(reinterpret_cast<const sockaddr*>(&any), sizeof(any), 5, 0, [](sockaddr* to, in_port_t port) {
      sockaddr_in6 target{};
      target.sin6_family = AF_INET6;
      target.sin6_port = port;
      inet_pton(AF_INET6, "::ffff:127.0.0.1", &target.sin6_addr);
      memcpy(to, &target, sizeof(target));
    });
  });
  expect_life(tgid, false, "127.0.0.1", 5, 0);
}

TEST(Connect, ARefusedConnectionFailsWithItsErrno) {
  const std::uint32_t tgid = in_namespaces([] {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in nobody = loopback4(9);
    return connect(client, reinterpret_cast<const sockaddr*>(&nobody), sizeof(nobody)) != -1 || errno != ECONNREFUSED;
  });
  const std::vector<Record> connects = kernel_side().events(KT_EV_CONNECT, tgid);
  ASSERT_EQ(connects.size(), 1U);
  EXPECT_EQ(connects[0].as<ev_connect>().port, 9);
  const std::vector<Record> states = of_cookie(connects[0].as<ev_connect>().cookie);
  ASSERT_EQ(states.size(), 1U);
  EXPECT_EQ(states[0].as<ev_socket>().state, static_cast<std::uint32_t>(KT_SOCKET_FAILED));
  EXPECT_EQ(states[0].as<ev_socket>().error, ECONNREFUSED);
}

TEST(Connect, AConnectionThatItsServerResetsWasMade) {
  const std::uint32_t tgid = in_namespaces([] {
    const int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at = loopback4(9996);
    if (bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 || listen(listener, 1) != 0 ||
        connect(client, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0)
      return 1;
    const int peer = accept(listener, nullptr, nullptr);
    const linger reset{1, 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(peer);
    char byte = 0;
    const bool was_reset = recv(client, &byte, 1, 0) < 0 && errno == ECONNRESET;
    close(client);
    return was_reset ? 0 : 2;
  });
  const std::vector<Record> connects = kernel_side().events(KT_EV_CONNECT, tgid);
  ASSERT_EQ(connects.size(), 1U);
  const std::vector<Record> states = of_cookie(connects[0].as<ev_connect>().cookie);
  ASSERT_EQ(states.size(), 1U);
  EXPECT_EQ(states[0].as<ev_socket>().state, static_cast<std::uint32_t>(KT_SOCKET_CLOSED));
  EXPECT_EQ(states[0].as<ev_socket>().error, ECONNRESET);
}

TEST(Connect, FastOpenDoesNotBypassIt) {
  const std::uint32_t tgid = in_namespaces([] {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in nobody = loopback4(10);
    sendto(client, "x", 1, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&nobody), sizeof(nobody));
    return 0;
  });
  const std::vector<Record> connects = kernel_side().events(KT_EV_CONNECT, tgid);
  ASSERT_EQ(connects.size(), 1U);
  EXPECT_EQ(connects[0].as<ev_connect>().port, 10);
}

TEST(Connect, UdpCountsAtEveryPortAndEachDestinationOnce) {
  const std::uint32_t tgid = in_namespaces([] {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (std::uint16_t port : std::initializer_list<std::uint16_t>{53, 443, 9999}) {
      const sockaddr_in to = loopback4(port);
      if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return 1;
    }
    const int other = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 5; ++i) {
      const sockaddr_in to = loopback4(9998);
      sendto(other, "quic", 4, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    }
    return 0;
  });
  std::vector<int> ports;
  for (const Record& one : kernel_side().events(KT_EV_CONNECT, tgid)) {
    EXPECT_EQ(one.as<ev_connect>().udp, 1);
    ports.push_back(one.as<ev_connect>().port);
  }
  EXPECT_EQ(ports, (std::vector<int>{53, 443, 9999, 9998}));
  EXPECT_EQ(kernel_side().events(KT_EV_PAYLOAD, tgid).size(), 1U) << "a connect alone sends nothing";
}

TEST(Connect, WhatAUdpServerAnswersIsNoCall) {
  const std::uint32_t tgid = in_namespaces([] {
    const int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in at = loopback4(9997), from{};
    socklen_t length = sizeof(from);
    char byte = 0;
    if (bind(server, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) return 1;
    sendto(client, "x", 1, 0, reinterpret_cast<const sockaddr*>(&at), sizeof(at));
    if (recvfrom(server, &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &length) != 1) return 2;
    sendto(server, "y", 1, 0, reinterpret_cast<const sockaddr*>(&from), length);
    return 0;
  });
  const std::vector<Record> connects = kernel_side().events(KT_EV_CONNECT, tgid);
  ASSERT_EQ(connects.size(), 1U);
  EXPECT_EQ(connects[0].as<ev_connect>().port, 9997);
}

/// Connects to a Unix address; nobody listens unless `listening`.
int call_unix(std::string_view path, bool listening) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '\0' ? 0 : 1));
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (listening && (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1) != 0))
    return 1;
  const int client = socket(AF_UNIX, SOCK_STREAM, 0);
  const bool connected = connect(client, reinterpret_cast<sockaddr*>(&address), length) == 0;
  return connected == listening ? 0 : 2;
}

TEST(Connect, UnixSocketsGiveTheirPath) {
  const Folder folder;
  const std::string path = folder.at("agent.sock");
  const std::vector<Record> events = kernel_side().events(KT_EV_UNIX, in_child([&] { return call_unix(path, true); }));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].rest<ev_unix>(), path);
  EXPECT_EQ(events[0].as<ev_unix>().path_len, path.size());
}

TEST(Connect, AbstractUnixNamesKeepTheirLeadingNul) {
  const std::string name("\0keytrail-test\0x", 16);
  const std::vector<Record> events = kernel_side().events(KT_EV_UNIX, in_child([&] { return call_unix(name, true); }));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].rest<ev_unix>(), name);
}

}  // namespace
}  // namespace keytrail::tests
