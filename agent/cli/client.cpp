// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/client.h"

#include <fmt/format.h>

#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <utility>

#include "agent/base/http_client.h"
#include "agent/cli/event_stream.h"

namespace keytrail::cli {
namespace {

constexpr std::size_t kMaxAnswer = 256U << 20U;

Result<base::HttpResponse> ask(const std::string& socket, const base::HttpRequest& request) {
  if (socket.empty() || socket.size() > 107)
    return fail(Error::Code::kInvalid, "the socket's path must have 1 to 107 bytes");
  auto client = base::HttpClient::create(base::HttpTarget::unix_socket(socket), {}, kMaxAnswer);
  if (!client) return std::unexpected(client.error());
  Result<base::HttpResponse> response = (*client)->send(request);
  if (response) return response;
  Error error = response.error();
  if (error.code == Error::Code::kRefused || error.code == Error::Code::kNotFound) {
    error.message = fmt::format("connect {}: {}", socket, error.message);
  } else {
    const bool late = error.message == "timed out";
    error.code = late ? Error::Code::kUnavailable : Error::Code::kGone;
    error.message = late ? "the agent did not answer in time" : "the agent's answer is broken: " + error.message;
  }
  return std::unexpected(error);
}

base::HttpRequest request_for(const std::string& target, std::chrono::milliseconds timeout) {
  return {.path = target,
          .headers = {{"User-Agent", "keytrail/" KEYTRAIL_VERSION}, {"Connection", "close"}},
          .body = {},
          .timeout = timeout,
          .on_body = {}};
}

}  // namespace

Result<Answer> get(const std::string& socket, const std::string& target, std::chrono::milliseconds timeout) {
  Result<base::HttpResponse> response = ask(socket, request_for(target, timeout));
  if (!response) return std::unexpected(response.error());
  return Answer{response->status, std::move(response->body)};
}

Result<Answer> follow(const std::string& socket, const std::string& target,
                      const std::function<bool(std::string_view, std::string_view)>& on_event) {
  base::HttpRequest request = request_for(target, std::chrono::seconds(60));  // the agent says "still here" every 15 s
  EventStream events(on_event);
  std::string other;
  bool open = false, enough = false;
  request.on_body = [&](unsigned status, std::string_view piece) {
    if (status != 200) return other.size() < kMaxAnswer && (other += piece, true);
    if (!std::exchange(open, true)) on_event("open", "");
    enough = !events.feed(piece);
    return !enough;
  };
  const Result<base::HttpResponse> response = ask(socket, request);
  if (!response) return std::unexpected(response.error());
  if (response->status != 200 || enough) return Answer{response->status, std::move(other)};
  return fail(Error::Code::kUnavailable, "the agent ended the watch");
}

std::string encode(std::string_view text) {
  return boost::urls::encode(boost::urls::string_view(text.data(), text.size()), boost::urls::unreserved_chars);
}

}  // namespace keytrail::cli
