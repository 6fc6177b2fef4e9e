// SPDX-License-Identifier: Apache-2.0
// The HTTP client against a server of sockets, plain and with TLS by a private authority.
#include "agent/base/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>
#include <tuple>

#include "tests/unit/loopback.h"

namespace keytrail::base {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

/// Accepts connections one after the other and gives each to `talk` on its own thread of control.
class Server {
 public:
  explicit Server(std::function<void(int peer)> talk) : talk_(std::move(talk)) {
    std::tie(listener_, port_) = listen_on_loopback();
    thread_ = std::thread([this] {
      for (int peer = ::accept(listener_.get(), nullptr, nullptr); peer >= 0;
           peer = ::accept(listener_.get(), nullptr, nullptr)) {
        ++connections;
        talk_(peer);
        ::close(peer);
      }
    });
  }
  ~Server() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  [[nodiscard]] std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_);
  }
  std::atomic<int> connections = 0;

 private:
  std::function<void(int peer)> talk_;
  UniqueFd listener_;
  int port_ = 0;
  std::thread thread_;
};

std::string take_request(int peer) {
  std::string in;
  char piece[4096];
  while (!in.contains("\r\n\r\n")) {
    const ssize_t got = ::read(peer, piece, sizeof piece);
    if (got <= 0) return {};
    in.append(piece, static_cast<std::size_t>(got));
  }
  return in;
}

void say(int peer, const std::string& text) {
  EXPECT_EQ(::send(peer, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

std::unique_ptr<HttpClient> client_of(const std::string& url, const TlsFiles& tls = {}, std::size_t max = 1U << 20U) {
  const auto target = HttpTarget::parse(url);
  EXPECT_TRUE(target);
  auto client = HttpClient::create(*target, tls, max);
  EXPECT_TRUE(client) << client.error().message;
  return std::move(*client);
}

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: a\r\n\r\nok";

TEST(HttpClient, OneConnectionServesManyRequestsAndAClosedOneIsOpenedAgain) {
  Server server([](int peer) {
    for (int i = 0; i < 2 && !take_request(peer).empty(); ++i)
      say(peer, kOk);
  });
  const auto client = client_of(server.url());
  for (int i = 0; i < 4; ++i) {
    const auto answer = client->send({});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, "ok");
    EXPECT_EQ(answer->header("x-ONE"), "a");
  }
  EXPECT_EQ(server.connections, 2);
}

TEST(HttpClient, TheRequestIsAsAskedFor) {
  std::string seen;
  Server server([&](int peer) {
    seen = take_request(peer);
    say(peer, kOk);
  });
  ASSERT_TRUE(client_of(server.url())
                  ->send({.method = "PUT", .path = "/a?b=c", .headers = {{"Metadata", "true"}}, .body = ""}));
  EXPECT_THAT(seen, HasSubstr("PUT /a?b=c HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("Host: 127.0.0.1:"));
  EXPECT_THAT(seen, HasSubstr("Metadata: true\r\n"));
}

TEST(HttpClient, ChunksAndBodiesThatEndWithTheConnectionAreWhole) {
  int turn = 0;
  Server server([&](int peer) {
    take_request(peer);
    say(peer, turn++ == 0 ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                          : "HTTP/1.1 200 OK\r\n\r\nabcde");
  });
  const auto client = client_of(server.url());
  EXPECT_EQ(client->send({})->body, "abcde");
  EXPECT_EQ(client->send({})->body, "abcde");
}

TEST(HttpClient, AnAnswerThatIsCutOffOrTooLongIsAnError) {
  int turn = 0;
  Server server([&](int peer) {
    take_request(peer);
    say(peer, turn++ == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"
                          : "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcabcabc");
  });
  const auto client = client_of(server.url(), {}, 8);
  EXPECT_EQ(client->send({}).error().code, Error::Code::kUnavailable);
  EXPECT_EQ(client->send({}).error().code, Error::Code::kTooLarge);
}

TEST(HttpClient, PiecesComeAsTheyAreSentAndTheReceiverMayEndIt) {
  std::atomic<bool> first_taken = false;
  Server server([&](int peer) {
    take_request(peer);
    say(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    while (!first_taken)
      std::this_thread::sleep_for(milliseconds(1));
    say(peer, "3\r\ntwo\r\n");
    char end = 0;
    EXPECT_LE(::read(peer, &end, 1), 0) << "the receiver has had enough";
  });
  std::string all;
  const auto answer = client_of(server.url())->send({.on_body = [&](unsigned status, std::string_view piece) {
    EXPECT_EQ(status, 200U);
    all += piece;
    first_taken = true;
    return all != "onetwo";
  }});
  ASSERT_TRUE(answer);
  EXPECT_EQ(all, "onetwo");
}

TEST(HttpClient, TimeLimitAndCancelEndARequest) {
  Server server([](int peer) {
    while (!take_request(peer).empty()) {
    }
  });
  const auto client = client_of(server.url());
  EXPECT_EQ(client->send({.timeout = milliseconds(50)}).error().message, "timed out");
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(50));
    client->cancel();
  });
  const auto begin = Clock::now();
  EXPECT_EQ(client->send({}).error().code, Error::Code::kGone);
  EXPECT_LT(Clock::now() - begin, milliseconds(2000));
  later.join();
  EXPECT_EQ(client->send({}).error().code, Error::Code::kGone);
}

TEST(HttpClient, NobodyListensIsNotFound) {
  EXPECT_EQ(client_of("http://127.0.0.1:1")->send({}).error().code, Error::Code::kNotFound);
  auto unix_client = HttpClient::create(HttpTarget::unix_socket("/nonexistent/socket"), {}, 1);
  ASSERT_TRUE(unix_client);
  EXPECT_EQ((*unix_client)->send({}).error().code, Error::Code::kNotFound);
}

TEST(HttpTarget, UrlsAreTakenApart) {
  const auto target = HttpTarget::parse("https://[::1]/base//", "4318");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->address.host, "::1");
  EXPECT_EQ(target->address.port, "443");
  EXPECT_EQ(target->authority, "[::1]");
  EXPECT_EQ(target->path, "/base");
  EXPECT_EQ(HttpTarget::parse("http://a", "4318")->address.port, "4318");
  for (const char* bad : {"ftp://a", "http://", "a:1", "http://u:p@a/", "http://a/?q", "http://a/#f", ""})
    EXPECT_FALSE(HttpTarget::parse(bad)) << bad;
}

// ---- TLS

struct Identity {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
  std::unique_ptr<X509, decltype(&X509_free)> cert{X509_new(), X509_free};
};

/// A self-signed authority that is its own server, valid for the address 127.0.0.1 only.
Identity make_identity() {
  Identity out;
  X509* cert = out.cert.get();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, out.key.get());
  X509_NAME* name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(cert, name);
  for (const auto& [id, value] :
       {std::pair{NID_basic_constraints, "critical,CA:TRUE"}, {NID_subject_alt_name, "IP:127.0.0.1"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(cert, out.key.get(), EVP_sha256());
  return out;
}

class TlsServer {
 public:
  TlsServer() {
    SSL_CTX_use_certificate(context_.get(), identity_.cert.get());
    SSL_CTX_use_PrivateKey(context_.get(), identity_.key.get());
    FILE* file = std::fopen(ca_file.c_str(), "w");
    PEM_write_X509(file, identity_.cert.get());
    std::fclose(file);
  }
  ~TlsServer() { std::filesystem::remove(ca_file); }
  [[nodiscard]] std::string url(const std::string& host) const {
    std::string out = server_.url("https");
    return out.replace(out.find("127.0.0.1"), 9, host);
  }
  const std::string ca_file = ::testing::TempDir() + "http_client_test_ca_" + std::to_string(::getpid());

 private:
  void talk(int peer) {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl.get(), peer);
    char piece[4096];
    while (SSL_accept(ssl.get()) == 1 && SSL_read(ssl.get(), piece, sizeof piece) > 0)
      SSL_write(ssl.get(), kOk, sizeof kOk - 1);
  }
  Identity identity_ = make_identity();
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
  Server server_{[this](int peer) { talk(peer); }};
};

TEST(HttpClientTls, APrivateAuthorityIsTrustedWhereItIsNamed) {
  const TlsServer server;
  const auto client = client_of(server.url("127.0.0.1"), {.ca_file = server.ca_file, .cert_file = {}, .key_file = {}});
  for (int i = 0; i < 2; ++i) {
    const auto answer = client->send({});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, "ok");
  }
}

TEST(HttpClientTls, AnUnknownAuthorityAndAnotherNameAreRefused) {
  const TlsServer server;
  const auto unknown = client_of(server.url("127.0.0.1"))->send({});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("the certificate is not accepted: self-signed certificate"));
  const auto other =
      client_of(server.url("localhost"), {.ca_file = server.ca_file, .cert_file = {}, .key_file = {}})->send({});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("the certificate is not accepted: hostname mismatch"));
}

TEST(HttpClientTls, FilesThatCannotBeUsedAreNamed) {
  const auto target = *HttpTarget::parse("https://127.0.0.1:1");
  const auto no_ca = HttpClient::create(target, {.ca_file = "/nonexistent/ca", .cert_file = {}, .key_file = {}}, 1);
  ASSERT_FALSE(no_ca);
  EXPECT_THAT(no_ca.error().message, HasSubstr("ca_file /nonexistent/ca cannot be used"));
  const auto no_cert =
      HttpClient::create(target, {.ca_file = {}, .cert_file = "/nonexistent/c", .key_file = "/nonexistent/k"}, 1);
  ASSERT_FALSE(no_cert);
  EXPECT_THAT(no_cert.error().message, HasSubstr("cert_file /nonexistent/c"));
}

}  // namespace
}  // namespace keytrail::base
