// SPDX-License-Identifier: Apache-2.0
// Bytes to and from one peer: TCP, TLS over TCP, or a Unix socket. Every call returns by its deadline, and at once when
// `cancel_fd` becomes readable. One thread at a time. No signal: a peer that has gone is an error, never SIGPIPE.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "keytrail/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace keytrail::base {

using Deadline = std::chrono::steady_clock::time_point;

struct TlsFiles {
  std::string ca_file;              ///< PEM; empty = the system's authorities
  std::string cert_file, key_file;  ///< PEM; empty = no client certificate
};

struct SslContextDelete {
  void operator()(ssl_ctx_st* context) const;
};
struct SslDelete {
  void operator()(ssl_st* ssl) const;
};
using SslContext = std::unique_ptr<ssl_ctx_st, SslContextDelete>;

/// TLS 1.2 or newer, the peer is verified. Errors: kInvalid, naming the file that cannot be used.
[[nodiscard]] Result<SslContext> make_ssl_context(const TlsFiles& files);

struct NetAddress {
  std::string host, port;  ///< a name, or a numeric address without brackets
  std::string unix_path;   ///< instead of both
};

class NetStream {
 public:
  /// `tls`: nullptr for plain bytes; must outlive the stream. Errors: kRefused (a Unix socket's permissions), kNotFound
  /// (nobody listens, no such name), kUnavailable (timed out, TLS), kGone (cancelled).
  [[nodiscard]] static Result<std::unique_ptr<NetStream>> connect(const NetAddress& to, ssl_ctx_st* tls, int cancel_fd,
                                                                  Deadline until);

  /// At least one byte, or 0 at the peer's end. Errors: kUnavailable, kGone.
  [[nodiscard]] Result<std::size_t> read(char* into, std::size_t size, Deadline until);
  [[nodiscard]] Result<void> write(std::string_view bytes, Deadline until);

 private:
  NetStream(UniqueFd socket, int cancel_fd) : socket_(std::move(socket)), cancel_fd_(cancel_fd) {}
  Result<void> shake_hands(ssl_ctx_st* tls, const std::string& host, Deadline until);
  /// After an SSL call that gave `result`: waits for what it wants. An error: it failed, or the wait did.
  Result<void> wait_for_tls(int result, Deadline until);

  UniqueFd socket_;
  int cancel_fd_;
  std::unique_ptr<ssl_st, SslDelete> ssl_;
};

/// Waits until `fd` has one of `events` (poll). Errors: kUnavailable "timed out", kGone "cancelled" (`cancel_fd` is
/// readable).
[[nodiscard]] Result<void> wait_for(int fd, short events, int cancel_fd, Deadline until);

}  // namespace keytrail::base
