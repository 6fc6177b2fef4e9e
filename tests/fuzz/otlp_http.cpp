// SPDX-License-Identifier: Apache-2.0
// Target: the bytes of a collector's HTTP answer, as the HTTP client reads them from a socket (agent/base). A thread
// listens on loopback, takes one request a connection, writes the input and closes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <thread>

#include "agent/base/fd.h"
#include "agent/base/http_client.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::base {
namespace {

using fuzz::require;

class Collector {
 public:
  Collector() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t length = sizeof address;
    require(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                ::listen(listener_.get(), 16) == 0 &&
                ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0,
            "loopback can be listened on");
    port_ = ntohs(address.sin_port);
    std::thread([this] { serve(); }).detach();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void answer_with(std::string bytes) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(bytes);
  }

 private:
  void serve() {
    for (;;) {
      const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      char request[4096];
      (void)!::recv(peer.get(), request, sizeof request, 0);
      const std::lock_guard lock(mutex_);
      (void)!::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
      ::shutdown(peer.get(), SHUT_WR);
    }
  }

  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::string answer_;
};

}  // namespace
}  // namespace keytrail::base

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  static auto* collector = new base::Collector;
  collector->answer_with(std::string(fuzz::text_of(data, size)));
  constexpr std::size_t kAnswerMax = 4U << 20U;
  auto client = base::HttpClient::create(
      *base::HttpTarget::parse("http://127.0.0.1:" + std::to_string(collector->port())), {}, kAnswerMax);
  fuzz::require(client.has_value(), "the endpoint can be used");
  const auto response = (*client)->send({.method = "POST", .body = "x", .timeout = std::chrono::seconds(1)});
  if (response) {
    fuzz::require(response->status < 1000 && response->body.size() <= kAnswerMax, "an answer keeps to its bounds");
  } else {
    fuzz::require(response.error().message.size() <= 1024 && fuzz::is_shown_safely(response.error().message),
                  "an error is short and can be shown");
  }
  return 0;
}
