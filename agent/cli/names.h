// SPDX-License-Identifier: Apache-2.0
// The names that an answer can have: those of the described records (include/keytrail/fields.h), and those of the
// envelope and the agent's state, which no description holds. Reading another name does not compile.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <vector>

#include "keytrail/fields.h"
#include "keytrail/shared_list.h"

namespace keytrail::cli {

/// Names of the envelope, of /v1/status, /v1/doctor and /v1/rotation (agent/serve/openapi.json).
inline constexpr std::string_view kOtherNames[] = {
    "absorbed",
    "accounting",
    "acknowledged",
    "armed",
    "armed_in_ms",
    "armed_since",
    "asked",
    "calls",
    "calls_since",
    "cannot_tell",
    "chosen",
    "complete",
    "code",
    "cost",
    "coverage",
    "cursor",
    "difference",
    "dropped",
    "endpoint",
    "error",
    "expired",
    "explanation",
    "exporters",
    "fallbacks",
    "families",
    "files_unread",
    "filtered",
    "gaps",
    "gaps_total",
    "history",
    "hits",
    "host",
    "in_flight",
    "issued_holders",
    "kernel",
    "key_known",
    "known",
    "lag_ms",
    "last_error",
    "last_error_at",
    "last_ok",
    "last_refused",
    "machine",
    "message",
    "missed",
    "missing",
    "more",
    "moved_calls",
    "moved_processes",
    "new",
    "not_armed",
    "not_followed",
    "not_listed",
    "note",
    "old",
    "optional",
    "parameters",
    "path",
    "quiet",
    "quiet_counts",
    "quiet_programs",
    "recorded",
    "refused",
    "rejected",
    "remarks",
    "restarts",
    "retries",
    "roles",
    "rows",
    "scope",
    "sent",
    "silent",
    "since",
    "state",
    "to_move",
    "tracking",
    "undecided",
    "under_way",
    "until",
    "unwatched",
    "version",
    "waiting",
    "what",
    "why",
    "worker",
    "workload_known",
};

namespace detail {

template <typename T>
struct ItemOf {
  using Type = T;
};
template <typename T>
struct ItemOf<std::vector<T>> {
  using Type = T;
};
template <typename T>
struct ItemOf<SharedList<T>> {
  using Type = T;
};

/// Calls `visit(name)` for each field of a record and of the records in it.
template <typename Record, typename Visit>
constexpr void each_name(const Visit& visit) {
  if constexpr (kIsVariant<Record>) {
    [&]<typename... Body>(std::type_identity<std::variant<Body...>>) {
      (each_name<Body>(visit), ...);
    }(std::type_identity<Record>{});
  } else {
    each_line<Record>([&]<typename Line>(const Line& line) {
      using Item = typename ItemOf<ValueOf<decltype(line.get), Record>>::Type;
      if constexpr (kIsField<Line>) visit(line.name);
      if constexpr ((kIsField<Line> && Described<Item>) || kIsInlined<Line>) each_name<Item>(visit);
    });
  }
}

template <typename Visit>
constexpr void each_name_of_answers(const Visit& visit) {
  each_name<Row>(visit);
  each_name<Edge>(visit);
  each_name<Holding>(visit);
  each_name<KeySummary>(visit);
  each_name<KeyPlace>(visit);
  each_name<KeyReader>(visit);
  each_name<WorkloadSummary>(visit);
  each_name<HistoryStatus>(visit);
  for (const std::string_view name : kOtherNames)
    visit(name);
}

consteval std::size_t count_names() {
  std::size_t count = 0;
  each_name_of_answers([&](std::string_view) { ++count; });
  return count;
}

inline constexpr auto kNames = [] {
  std::array<std::string_view, count_names()> out;
  std::size_t at = 0;
  each_name_of_answers([&](std::string_view name) { out[at++] = name; });
  return out;
}();

}  // namespace detail

/// Not defined: a name that calls it does not compile.
void no_answer_has_this_name();

/// The name of a field of an answer.
class Name {
 public:
  template <std::size_t N>
  consteval Name(const char (&text)[N]) : text_(text, N - 1) {
    for (const std::string_view name : detail::kNames) {
      if (name == text_) return;
    }
    no_answer_has_this_name();
  }
  [[nodiscard]] constexpr operator std::string_view() const { return text_; }

 private:
  std::string_view text_;
};

}  // namespace keytrail::cli
