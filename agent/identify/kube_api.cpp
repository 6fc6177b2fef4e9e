// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_api.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <charconv>
#include <utility>

#include "agent/base/host.h"
#include "agent/base/log.h"
#include "agent/base/small_file.h"

namespace keytrail::identify {
namespace {

namespace json = boost::json;
using Kind = KubeFailure::Kind;

constexpr std::size_t kMaxToken = 64U << 10U;
constexpr std::size_t kMaxError = 64U << 10U;  // of a body that says what is wrong
constexpr std::size_t kMaxShown = 300;
constexpr std::size_t kMaxVersion = 256;
constexpr int kMaxPages = 500;  // also where pages had to be made small
constexpr std::chrono::seconds kTimeout{30};
constexpr std::chrono::seconds kShortTimeout{5};  // of one small object
constexpr std::chrono::seconds kConnectTimeout{10};
constexpr char kMetadataOnly[] = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

std::unexpected<KubeFailure> failed(Kind kind, const std::string& text, unsigned status = 0) {
  return std::unexpected(
      KubeFailure{.kind = kind, .text = base::printable(text.substr(0, kMaxShown)), .status = status});
}

std::unexpected<KubeFailure> failed(const Error& error) {
  switch (error.code) {
    case Error::Code::kGone:
      return failed(Kind::kCancelled, "cancelled");
    case Error::Code::kTooLarge:
      return failed(Kind::kTooLarge, error.message);
    default:
      return failed(Kind::kUnreachable, error.message);
  }
}

std::optional<json::object> parse_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = 64;
  json::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

const json::value* at(const json::object& in, std::string_view key, std::string_view inner) {
  const json::value* found = in.if_contains(key);
  return found != nullptr && found->is_object() ? found->get_object().if_contains(inner) : nullptr;
}

std::string text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

KubeVersion version_of(const json::object& object) {
  std::string version = text_of(at(object, "metadata", "resourceVersion"));
  return version.size() > kMaxVersion ? KubeVersion() : version;
}

Kind kind_of(unsigned status) {
  switch (status) {
    case 401:
      return Kind::kUnauthorized;
    case 403:
      return Kind::kForbidden;
    case 404:
      return Kind::kNotFound;
    case 410:
      return Kind::kExpired;
    case 408:
    case 429:
      return Kind::kBusy;
    default:
      return status >= 500 ? Kind::kBusy : status >= 400 ? Kind::kInvalid : Kind::kMalformed;
  }
}

std::chrono::seconds seconds_of(std::int64_t asked) {
  return std::clamp(std::chrono::seconds(asked), std::chrono::seconds(0), kRetryAfterMax);
}

KubeFailure failure_of(unsigned status, const json::object& said, std::string_view retry_after) {
  KubeFailure out{.kind = kind_of(status), .text = text_of(said.if_contains("message")), .status = status};
  out.text = fmt::format("{} {}", status, out.text.substr(0, kMaxShown));
  std::int64_t seconds = 0;
  if (std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds).ec == std::errc{})
    out.retry_after = seconds_of(seconds);
  const json::value* details = at(said, "details", "retryAfterSeconds");
  if (out.retry_after.count() == 0 && details != nullptr && details->is_int64())
    out.retry_after = seconds_of(details->get_int64());
  out.text = base::printable(out.text);
  return out;
}

}  // namespace

/// The lines of a watch, put together from pieces.
class KubeApi::Stream {
 public:
  Stream(const std::function<bool(const KubeEvent&)>& take, KubeLosses& losses) : take_(take), losses_(losses) {}

  void restart() { line_.clear(), error_.clear(), skip_ = false; }

  /// False: no more is wanted.
  bool feed(unsigned status, std::string_view piece) {
    if (status != 200) {
      error_.append(piece.substr(0, kMaxError - std::min(kMaxError, error_.size())));
      return true;
    }
    while (!piece.empty()) {
      const std::size_t end = piece.find('\n');
      const std::string_view part = piece.substr(0, end);
      if (!skip_ && line_.size() + part.size() > kMaxLine) {
        ++losses_.events_too_large;
        skip_ = true;
        line_ = {};
      }
      if (!skip_) line_ += part;
      if (end == std::string_view::npos) return true;
      piece.remove_prefix(end + 1);
      const bool go_on = skip_ || take_line();
      line_.clear();
      skip_ = false;
      if (!go_on) return false;
    }
    return true;
  }

  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] const std::optional<KubeFailure>& failure() const { return failure_; }

 private:
  bool take_line() {
    if (line_.find_first_not_of(" \r\t") == std::string::npos) return true;
    const std::optional<json::object> event = parse_object(line_);
    const json::value* object = event ? event->if_contains("object") : nullptr;
    const std::string type = event ? text_of(event->if_contains("type")) : "";
    if (object == nullptr || !object->is_object()) return malformed();
    const json::object& about = object->get_object();
    if (type == "ERROR") {
      const json::value* code = about.if_contains("code");
      const bool known = code != nullptr && code->is_int64() && code->get_int64() >= 400 && code->get_int64() < 600;
      failure_ = failure_of(known ? static_cast<unsigned>(code->get_int64()) : 500, about, "");
      return false;
    }
    constexpr std::pair<std::string_view, KubeEventType> kTypes[] = {{"ADDED", KubeEventType::kAdded},
                                                                     {"MODIFIED", KubeEventType::kModified},
                                                                     {"DELETED", KubeEventType::kDeleted},
                                                                     {"BOOKMARK", KubeEventType::kBookmark}};
    const auto* found = std::ranges::find(kTypes, type, &std::pair<std::string_view, KubeEventType>::first);
    if (found == std::end(kTypes)) return malformed();
    const json::value* notes = at(about, "metadata", "annotations");
    const bool ends = found->second == KubeEventType::kBookmark && notes != nullptr && notes->is_object() &&
                      text_of(notes->get_object().if_contains("k8s.io/initial-events-end")) == "true";
    return take_({.type = found->second, .object = about, .version = version_of(about), .initial_ends = ends});
  }

  bool malformed() {
    ++losses_.events_malformed;
    return true;
  }

  const std::function<bool(const KubeEvent&)>& take_;
  KubeLosses& losses_;
  std::string line_, error_;
  bool skip_ = false;
  std::optional<KubeFailure> failure_;
};

KubeApi::FileStamp KubeApi::stamp_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<std::uint64_t>(info.st_size),
          .changed_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

KubeResult<void> KubeApi::renew_client() {
  const FileStamp stamp = endpoint_.ca_file.empty() ? FileStamp() : stamp_of(endpoint_.ca_file);
  if (client_ != nullptr && stamp == ca_stamp_) return {};
  const Result<base::HttpTarget> target = base::HttpTarget::parse(endpoint_.url);
  if (!target) return failed(Kind::kUnreachable, endpoint_.url + ": " + target.error().message);
  auto made =
      base::HttpClient::create(*target, {.ca_file = endpoint_.ca_file, .cert_file = {}, .key_file = {}}, kMaxAnswer);
  if (!made) return failed(made.error());
  const std::lock_guard lock(mutex_);
  if (cancelled_) return failed(Kind::kCancelled, "cancelled");
  client_ = std::move(*made);
  ca_stamp_ = stamp;
  return {};
}

KubeResult<bool> KubeApi::renew_token(bool at_once) {
  if (endpoint_.token_file.empty()) return false;
  // Nobody on the way may read it: over TLS, or to this machine itself.
  const auto target = base::HttpTarget::parse(endpoint_.url);
  const auto address = target ? base::parse_address(target->address.host) : std::nullopt;
  if (!target || (!target->tls && !(address && base::is_loopback(*address)))) return false;
  const FileStamp stamp = stamp_of(endpoint_.token_file);
  if (!at_once && !token_.empty() && stamp == token_stamp_) return false;
  Result<std::string> read = base::read_small_file(endpoint_.token_file, kMaxToken, false);
  if (!read) return failed(Kind::kUnauthorized, read.error().message);
  while (!read->empty() && (read->back() == '\n' || read->back() == '\r' || read->back() == ' '))
    read->pop_back();
  const bool plain = std::ranges::all_of(*read, [](char c) { return c > ' ' && c < 0x7F; });
  if (read->empty() || !plain) return failed(Kind::kUnauthorized, endpoint_.token_file + " holds no token");
  token_stamp_ = stamp;
  const bool other = *read != token_;
  token_ = *std::move(read);
  return other;
}

KubeResult<base::HttpResponse> KubeApi::send(base::HttpRequest request) {
  if (KubeResult<void> ready = renew_client(); !ready) return std::unexpected(ready.error());
  if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
  request.connect_timeout = kConnectTimeout;
  Result<base::HttpResponse> response = client_->send(request);
  if (!response) return failed(response.error());
  return *std::move(response);
}

KubeResult<base::HttpResponse> KubeApi::ask(const std::function<base::HttpRequest()>& make) {
  if (const KubeResult<bool> read = renew_token(false); !read) return std::unexpected(read.error());
  KubeResult<base::HttpResponse> response = send(make());
  if (!response || response->status != 401) return response;
  const KubeResult<bool> renewed = renew_token(true);
  if (!renewed) return std::unexpected(renewed.error());
  return *renewed ? send(make()) : std::move(response);
}

KubeResult<json::object> KubeApi::ask_json(const base::HttpRequest& request) {
  const KubeResult<base::HttpResponse> response = ask([&] { return request; });
  if (!response) return std::unexpected(response.error());
  if (response->status != 200)
    return std::unexpected(kube_failure(response->status, response->body, response->header("Retry-After")));
  std::optional<json::object> out = parse_object(response->body);
  if (!out) return failed(Kind::kMalformed, "the answer to " + request.path + " is no JSON object", 200);
  return *std::move(out);
}

KubeResult<json::object> KubeApi::get(const std::string& path, bool metadata_only) {
  return ask_json({.path = path,
                   .headers = {{"Accept", metadata_only ? kMetadataOnly : "application/json"}},
                   .body = {},
                   .timeout = metadata_only ? kShortTimeout : kTimeout,
                   .on_body = {}});
}

KubeResult<KubeVersion> KubeApi::list(const std::string& path, const std::string& query,
                                      const std::function<void(const json::object&)>& take) {
  std::string next;
  for (int pages = 0; pages < kMaxPages; ++pages) {
    std::string where = fmt::format("{}?{}{}limit={}", path, query, query.empty() ? "" : "&", page_);
    if (!next.empty()) where += "&continue=" + url_encoded(next);
    const KubeResult<json::object> page = get(where);
    if (!page) {
      if (page.error().kind != Kind::kTooLarge || page_ == 1) return std::unexpected(page.error());
      page_ /= 2;
      continue;
    }
    const json::value* items = page->if_contains("items");
    if (items != nullptr && items->is_array()) {
      for (const json::value& one : items->get_array()) {
        if (one.is_object()) take(one.get_object());
      }
    } else if (items == nullptr || !items->is_null()) {
      return failed(Kind::kMalformed, "the answer to " + path + " is no list", 200);
    }
    next = text_of(at(*page, "metadata", "continue"));
    if (next.empty()) return version_of(*page);
  }
  return failed(Kind::kMalformed, fmt::format("the list of {} does not end after {} pages", path, kMaxPages), 200);
}

KubeResult<void> KubeApi::watch(const std::string& path, const std::string& query, std::chrono::milliseconds silence,
                                const std::function<bool(const KubeEvent&)>& take) {
  Stream stream(take, losses_);
  const KubeResult<base::HttpResponse> response = ask([&]() -> base::HttpRequest {
    stream.restart();
    return {.path = path + "?watch=true&" + query,
            .headers = {{"Accept", "application/json"}},
            .body = {},
            .timeout = silence,
            .on_body = [&stream](unsigned status, std::string_view piece) { return stream.feed(status, piece); }};
  });
  if (stream.failure()) return std::unexpected(*stream.failure());
  if (!response) return std::unexpected(response.error());
  if (response->status != 200)
    return std::unexpected(kube_failure(response->status, stream.error(), response->header("Retry-After")));
  return {};
}

void KubeApi::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (client_ != nullptr) client_->cancel();
}

KubeFailure kube_failure(unsigned status, std::string_view body, std::string_view retry_after) {
  const std::optional<json::object> said = parse_object(body.substr(0, kMaxError));
  // Whoever stands before the API server, and its own limits, answer with plain text.
  const std::string_view line = body.substr(0, std::min(body.find_first_of("\r\n"), kMaxShown));
  return failure_of(status, said ? *said : json::object{{"message", line}}, retry_after);
}

std::string url_encoded(std::string_view text) {
  return boost::urls::encode(boost::urls::string_view(text.data(), text.size()), boost::urls::unreserved_chars);
}

std::chrono::milliseconds KubeBackoff::next(std::chrono::seconds retry_after) {
  constexpr std::chrono::milliseconds kFirst{1'000}, kMost{30'000};
  last_ = std::clamp(last_ * 2, kFirst, kMost);
  const auto half = static_cast<double>(last_.count()) / 2;
  const std::chrono::milliseconds drawn(static_cast<std::int64_t>(half + half * std::clamp(draw_(), 0.0, 1.0)));
  // Spread as well: everybody else was told the same.
  return retry_after.count() == 0 ? drawn : std::max(drawn, std::chrono::milliseconds(retry_after) + drawn / 4);
}

}  // namespace keytrail::identify
