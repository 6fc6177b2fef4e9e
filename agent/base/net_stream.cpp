// SPDX-License-Identifier: Apache-2.0
#include "agent/base/net_stream.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "agent/base/log.h"

namespace keytrail::base {
namespace {

std::string ssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "unknown reason" : text;
}

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL: a peer that has gone would end the process.
int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
  const ssize_t done = ::send(fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (done < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(done);
}

int bio_read(BIO* bio, char* into, int size) {
  BIO_clear_retry_flags(bio);
  const auto fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
  const ssize_t done = ::recv(fd, into, static_cast<std::size_t>(size), 0);
  if (done < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(done);
}

long bio_ctrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO* socket_bio(int fd) {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
  }();
  BIO* bio = BIO_new(kMethod);
  if (bio == nullptr) return nullptr;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a BIO carries a pointer, and this one needs only a number
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

bool is_numeric(const std::string& host) {
  in6_addr any{};
  return inet_pton(AF_INET, host.c_str(), &any) == 1 || inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

struct AddressesDelete {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesDelete>;

Result<Addresses> look_up(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error == 0) return Addresses(found);
  return fail(Error::Code::kNotFound,
              printable(host) + ": " + (error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error)));
}

/// A question to the name service. It cannot be called off, so it has a thread of its own, which is left to itself when
/// nobody waits any more.
struct LookUp {
  std::mutex mutex;
  std::optional<Result<Addresses>> answer;
  UniqueFd answered{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
};
constexpr int kMaxLookUps = 8;  ///< that nobody waits for any more, and those that somebody does

Result<Addresses> resolve(const NetAddress& to, int cancel_fd, Deadline until) {
  static std::atomic<int> running = 0;
  if (is_numeric(to.host)) return look_up(to.host, to.port, AI_NUMERICHOST);
  const auto asked = std::make_shared<LookUp>();
  const auto silent = [&to] {
    return fail(Error::Code::kUnavailable, printable(to.host) + ": the name service does not answer");
  };
  if (!asked->answered) return fail(Error::Code::kUnavailable, "no descriptor is left");
  if (running.fetch_add(1) >= kMaxLookUps) {
    running.fetch_sub(1);
    return silent();
  }
  try {
    std::thread([asked, to] {
      Result<Addresses> answer = look_up(to.host, to.port, AI_ADDRCONFIG);
      running.fetch_sub(1);
      const std::lock_guard lock(asked->mutex);
      asked->answer = std::move(answer);
      const std::uint64_t one = 1;
      static_cast<void>(!::write(asked->answered.get(), &one, sizeof one));
    }).detach();
  } catch (const std::system_error& error) {
    running.fetch_sub(1);
    return fail(Error::Code::kUnavailable, error.what());
  }
  if (Result<void> ready = wait_for(asked->answered.get(), POLLIN, cancel_fd, until); !ready)
    return ready.error().code == Error::Code::kGone ? Result<Addresses>(std::unexpected(ready.error())) : silent();
  const std::lock_guard lock(asked->mutex);
  return *std::move(asked->answer);
}

Result<UniqueFd> connect_to(const sockaddr* address, socklen_t size, int cancel_fd, Deadline until) {
  UniqueFd socket(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail(Error::Code::kNotFound, std::strerror(errno));
  int error = ::connect(socket.get(), address, size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    if (Result<void> ready = wait_for(socket.get(), POLLOUT, cancel_fd, until); !ready)
      return std::unexpected(ready.error());
    socklen_t length = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  }
  if (error == 0) return socket;
  return fail(error == EACCES ? Error::Code::kRefused : Error::Code::kNotFound, std::strerror(error));
}

Result<UniqueFd> connect_any(const NetAddress& to, int cancel_fd, Deadline until) {
  if (!to.unix_path.empty()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (to.unix_path.size() >= sizeof address.sun_path)
      return fail(Error::Code::kInvalid, "the socket's path is too long");
    to.unix_path.copy(address.sun_path, to.unix_path.size());
    return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address, cancel_fd, until);
  }
  const Result<Addresses> addresses = resolve(to, cancel_fd, until);
  if (!addresses) return std::unexpected(addresses.error());
  Result<UniqueFd> socket = fail(Error::Code::kNotFound, "no address");
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    socket = connect_to(at->ai_addr, at->ai_addrlen, cancel_fd, until);
    if (socket || socket.error().code == Error::Code::kGone) break;
  }
  return socket;
}

}  // namespace

void SslContextDelete::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void SslDelete::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Result<SslContext> make_ssl_context(const TlsFiles& files) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(TLS_client_method()));
  if (!context) return fail(Error::Code::kSystem, "TLS cannot be set up: " + ssl_reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // A write that has to be tried again may come from another place in memory: callers keep a view that moves on.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const auto problem = [](const char* what, const std::string& file) {
    return fail(Error::Code::kInvalid, std::string(what) + " " + printable(file) + " cannot be used: " + ssl_reason());
  };
  const bool trusted = files.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                                             : SSL_CTX_load_verify_file(context.get(), files.ca_file.c_str()) == 1;
  if (!trusted) return problem("ca_file", files.ca_file.empty() ? "of the system" : files.ca_file);
  if (files.cert_file.empty()) return context;
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.cert_file.c_str()) != 1)
    return problem("cert_file", files.cert_file);
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return problem("key_file", files.key_file);
  return context;
}

Result<void> wait_for(int fd, short events, int cancel_fd, Deadline until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    pollfd both[2] = {{.fd = fd, .events = events, .revents = 0}, {.fd = cancel_fd, .events = POLLIN, .revents = 0}};
    const int ready = ::poll(both, 2, static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX)));
    if (ready < 0 && errno != EINTR) return fail(Error::Code::kUnavailable, std::strerror(errno));
    if (ready > 0 && both[1].revents != 0) return fail(Error::Code::kGone, "cancelled");
    if (ready > 0) return {};
    if (ready == 0 && left <= 0) return fail(Error::Code::kUnavailable, "timed out");
  }
}

Result<std::unique_ptr<NetStream>> NetStream::connect(const NetAddress& to, ssl_ctx_st* tls, int cancel_fd,
                                                      Deadline until) {
  Result<UniqueFd> socket = connect_any(to, cancel_fd, until);
  if (!socket) return std::unexpected(socket.error());
  std::unique_ptr<NetStream> stream(new NetStream(std::move(*socket), cancel_fd));
  if (tls != nullptr) {
    if (Result<void> done = stream->shake_hands(tls, to.host, until); !done) return std::unexpected(done.error());
  }
  return stream;
}

Result<void> NetStream::shake_hands(ssl_ctx_st* tls, const std::string& host, Deadline until) {
  ssl_.reset(SSL_new(tls));
  BIO* bio = ssl_ ? socket_bio(socket_.get()) : nullptr;
  if (bio == nullptr) return fail(Error::Code::kUnavailable, "TLS cannot be set up: " + ssl_reason());
  SSL_set_bio(ssl_.get(), bio, bio);
  if (is_numeric(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl_.get(), host.c_str());
  }
  for (;;) {
    ERR_clear_error();
    const int done = SSL_connect(ssl_.get());
    if (done == 1) return {};
    if (Result<void> waited = wait_for_tls(done, until); !waited) {
      const long verified = SSL_get_verify_result(ssl_.get());
      if (verified == X509_V_OK) return waited;
      return fail(Error::Code::kUnavailable,
                  std::string("the certificate is not accepted: ") + X509_verify_cert_error_string(verified));
    }
  }
}

Result<void> NetStream::wait_for_tls(int result, Deadline until) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return wait_for(socket_.get(), POLLIN, cancel_fd_, until);
    case SSL_ERROR_WANT_WRITE:
      return wait_for(socket_.get(), POLLOUT, cancel_fd_, until);
    case SSL_ERROR_ZERO_RETURN:
      return fail(Error::Code::kUnavailable, "end of stream");
    case SSL_ERROR_SYSCALL:
      return fail(Error::Code::kUnavailable, errno == 0 ? "end of stream" : std::strerror(errno));
    default:
      return fail(Error::Code::kUnavailable, "TLS: " + ssl_reason());
  }
}

Result<std::size_t> NetStream::read(char* into, std::size_t size, Deadline until) {
  for (;;) {
    Result<void> waited;
    if (ssl_) {
      ERR_clear_error();
      const int got = SSL_read(ssl_.get(), into, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
      if (got > 0) return static_cast<std::size_t>(got);
      if (SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN) return 0;
      waited = wait_for_tls(got, until);
    } else {
      const ssize_t got = ::recv(socket_.get(), into, size, 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EAGAIN && errno != EINTR) return fail(Error::Code::kUnavailable, std::strerror(errno));
      waited = wait_for(socket_.get(), POLLIN, cancel_fd_, until);
    }
    if (!waited) return std::unexpected(waited.error());
  }
}

Result<void> NetStream::write(std::string_view bytes, Deadline until) {
  while (!bytes.empty()) {
    Result<void> waited;
    if (ssl_) {
      ERR_clear_error();
      const int done =
          SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX)));
      if (done > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(done));
        continue;
      }
      waited = wait_for_tls(done, until);
    } else {
      const ssize_t done = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (done >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(done));
        continue;
      }
      if (errno != EAGAIN && errno != EINTR) return fail(Error::Code::kUnavailable, std::strerror(errno));
      waited = wait_for(socket_.get(), POLLOUT, cancel_fd_, until);
    }
    if (!waited) return waited;
  }
  return {};
}

}  // namespace keytrail::base
