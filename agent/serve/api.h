// SPDX-License-Identifier: Apache-2.0
// The local API without its transport: a request in, an answer out. Thread: serve's only one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "agent/catalog/catalog.h"
#include "agent/serve/answer.h"
#include "agent/serve/coverage.h"
#include "agent/serve/query.h"
#include "agent/serve/rotation.h"
#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"

namespace keytrail::serve {

class Api {
 public:
  Api(HistoryReader& history, AgentStatusSource& status, const catalog::Catalog& catalog, std::size_t max_rows = 10'000,
      std::span<const std::string_view> finding_types = {})
      : history_(history),
        status_(status),
        catalog_(catalog),
        max_rows_(max_rows),
        finding_types_(finding_types),
        coverage_(history, status, catalog, max_rows) {}

  /// Answers; never throws. `last_event_id` is the header of a resumed watch, or empty. `lives`: for questions about
  /// now, when what was under way before them was waited for.
  [[nodiscard]] ApiAnswer handle(std::string_view method, std::string_view target, std::string_view last_event_id = {},
                                 const std::optional<LivesNow>& lives = std::nullopt);

 private:
  struct Request;
  LivesNow lives_of(const Request& request);
  ApiAnswer route(const Request& request);
  /// `ask`: a question to the history that has pages, from a filter.
  template <typename Ask>
  ApiAnswer page(const Request& request, const Ask& ask);
  ApiAnswer rows(const Request& request);
  ApiAnswer uses(const Request& request);
  ApiAnswer keys(const Request& request);
  ApiAnswer holders(const Request& request);
  ApiAnswer workloads(const Request& request);
  ApiAnswer findings(const Request& request);
  ApiAnswer places(const Request& request);
  ApiAnswer readers(const Request& request);
  ApiAnswer rotation(const Request& request);
  ApiAnswer explain(const Request& request);
  ApiAnswer status_answer(const Request& request, bool doctor);
  ApiAnswer watch(const Request& request, std::string_view last_event_id);
  ApiAnswer answer(const Request& request, std::string_view method, std::string_view last_event_id);

  /// Why an answer is empty, when the question was mistyped.
  std::optional<ApiAnswer> mistyped(const Request& request, const Known& known);

  HistoryReader& history_;
  AgentStatusSource& status_;
  const catalog::Catalog& catalog_;
  std::size_t max_rows_;
  std::span<const std::string_view> finding_types_;  ///< empty: not known, every one may be asked for
  CoverageSource coverage_;
};

/// The paths and the envelope of the OpenAPI description, written by hand (agent/serve/openapi.json).
[[nodiscard]] std::string_view openapi_paths();
/// The whole description: with the schemas of records, made from their descriptions.
[[nodiscard]] std::string_view openapi_json();

}  // namespace keytrail::serve
