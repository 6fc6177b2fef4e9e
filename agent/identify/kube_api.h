// SPDX-License-Identifier: Apache-2.0
// A small client of the Kubernetes API server (and of a kubelet): get, list in pages, watch. One thread; `cancel` from
// any. The token is read from its file again at each request once that has changed, and so are the authorities; both
// rotate while the agent runs. Nothing is tried again here, save once with a token that was renewed meanwhile.
// https://kubernetes.io/docs/reference/using-api/api-concepts/
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/http_client.h"

namespace keytrail::identify {

struct KubeEndpoint {
  std::string url;         ///< "https://10.0.0.1:443"
  std::string token_file;  ///< empty = no token
  std::string ca_file;     ///< empty = the system's authorities
};

/// Why there is no answer, or not the one that was asked for.
struct KubeFailure {
  enum class Kind : std::uint8_t {
    kUnreachable,   ///< not connected, cut off, no certificate that is accepted
    kBusy,          ///< 429, 500, 502 to 504
    kUnauthorized,  ///< 401: the token is not accepted
    kForbidden,     ///< 403: a right is missing
    kExpired,       ///< 410: what was asked for is too old; list again
    kNotFound,      ///< 404
    kInvalid,       ///< another 4xx: the server does not know what it is asked for
    kMalformed,     ///< the answer is not what the API promises
    kTooLarge,      ///< over kMaxAnswer
    kCancelled
  };
  Kind kind = Kind::kUnreachable;
  std::string text;                    ///< for people: safe to show, short
  unsigned status = 0;                 ///< of the answer; 0 = none
  std::chrono::seconds retry_after{};  ///< what the server asks for, at most kRetryAfterMax; 0 = nothing
};
inline constexpr std::chrono::seconds kRetryAfterMax{300};

template <typename T>
using KubeResult = std::expected<T, KubeFailure>;

/// Where to go on after a list or an event.
using KubeVersion = std::string;

enum class KubeEventType : std::uint8_t { kAdded, kModified, kDeleted, kBookmark };

struct KubeEvent {
  KubeEventType type = KubeEventType::kBookmark;
  const boost::json::object& object;
  KubeVersion version;        ///< of the object
  bool initial_ends = false;  ///< a bookmark: all that was there at the beginning has come
};

/// What was left out; counts.
struct KubeLosses {
  std::uint64_t events_too_large = 0;  ///< a line over kMaxLine: its end was looked for, nothing else
  std::uint64_t events_malformed = 0;
};

class KubeApi {
 public:
  static constexpr std::size_t kMaxLine = 4U << 20U;     ///< bytes of an event: etcd takes 1.5 MB by default
  static constexpr std::size_t kMaxAnswer = 32U << 20U;  ///< bytes of a page

  explicit KubeApi(KubeEndpoint endpoint) : endpoint_(std::move(endpoint)) {}

  /// One object. `metadata_only`: without spec and status, where the server can.
  [[nodiscard]] KubeResult<boost::json::object> get(const std::string& path, bool metadata_only = false);

  /// All objects of a list, page by page, and the version to watch from. `query`: "fieldSelector=…", encoded.
  [[nodiscard]] KubeResult<KubeVersion> list(const std::string& path, const std::string& query,
                                             const std::function<void(const boost::json::object&)>& take);

  /// Events until the server ends the stream (no error), `take` returns false (none, too), or something fails.
  /// `silence`: the longest wait for anything.
  [[nodiscard]] KubeResult<void> watch(const std::string& path, const std::string& query,
                                       std::chrono::milliseconds silence,
                                       const std::function<bool(const KubeEvent&)>& take);

  /// For good: a running and each later request fails with kCancelled.
  void cancel();
  [[nodiscard]] const KubeLosses& losses() const { return losses_; }

 private:
  /// What a file was when it was last read.
  struct FileStamp {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t changed_ns = -1;
    bool operator==(const FileStamp&) const = default;
  };
  class Stream;

  static FileStamp stamp_of(const std::string& path);
  KubeResult<void> renew_client();
  /// The token as its file has it. True: it is another one than before.
  KubeResult<bool> renew_token(bool at_once);
  /// `make` gives the request; it is called again when the token was renewed after a 401.
  KubeResult<base::HttpResponse> ask(const std::function<base::HttpRequest()>& make);
  KubeResult<base::HttpResponse> send(base::HttpRequest request);
  KubeResult<boost::json::object> ask_json(const base::HttpRequest& request);

  const KubeEndpoint endpoint_;
  std::mutex mutex_;  // of the next two: cancel() may come at any time
  std::unique_ptr<base::HttpClient> client_;
  bool cancelled_ = false;
  FileStamp token_stamp_, ca_stamp_;
  std::string token_;
  std::size_t page_ = kPage;
  KubeLosses losses_;

  static constexpr std::size_t kPage = 50;
};

/// The failure that a status and the Status object in its body tell of. `status` 200: the object of an ERROR event.
[[nodiscard]] KubeFailure kube_failure(unsigned status, std::string_view body, std::string_view retry_after);

/// What a query's value looks like in a URL.
[[nodiscard]] std::string url_encoded(std::string_view text);

/// Waits between attempts: 1 s, 2 s, … 30 s, each drawn from its upper half.
class KubeBackoff {
 public:
  /// `draw`: from 0 to 1.
  explicit KubeBackoff(std::function<double()> draw) : draw_(std::move(draw)) {}
  /// The next wait; `retry_after` is obeyed where it is longer.
  [[nodiscard]] std::chrono::milliseconds next(std::chrono::seconds retry_after);
  void reset() { last_ = {}; }

 private:
  std::function<double()> draw_;
  std::chrono::milliseconds last_{};
};

}  // namespace keytrail::identify
