// SPDX-License-Identifier: Apache-2.0
// Target: a request to the local API (agent/serve) before a history of constants. An input is "METHOD TARGET", a line
// end, Last-Event-ID.
#include "agent/serve/api.h"

#include <boost/json.hpp>

#include "agent/base/times.h"
#include "agent/catalog/secret_guard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {
namespace {

using fuzz::require;

/// Rows of every kind, made once.
testing::FakeHistory& history() {
  static testing::FakeHistory* made = [] {
    auto* out = new testing::FakeHistory;
    out->stored = {testing::make_row(1, testing::make_acquisition()), testing::make_row(2, testing::make_use()),
                   testing::make_row(3, FindingRow{}), testing::make_row(4, GapRow{}),
                   testing::make_row(5, RevisionRow{})};
    out->edge_list = {Edge{.use = testing::make_use()}};
    return out;
  }();
  return *made;
}

void check(const ApiAnswer& answer) {
  require(answer.status >= 200 && answer.status < 600, "the status is one of HTTP's");
  require(fuzz::is_shown_safely(answer.for_log), "the log's text can be shown");
  if (answer.watch) return require(answer.status == 200, "a stream begins with 200");
  if (answer.content_type != "application/json") return;
  boost::system::error_code error;
  const boost::json::value body = boost::json::parse(answer.body, error);
  require(!error && body.is_object() && answer.body.ends_with('\n'), "the answer is one JSON object");
  require((answer.status < 400) != body.get_object().contains("error"), "an error says so");
}

/// A secret typed in place of a key id is refused, and said again nowhere.
void check_secrets(std::string_view target, const ApiAnswer& answer) {
  const catalog::Catalog& catalog = catalog::Catalog::builtin();
  const Result<Target> taken = parse_target(target);
  if (!taken) return;
  for (const auto& [name, value] : taken->parameters) {
    if (!looks_like_secret(catalog, value)) continue;
    require(!parse_query(*taken, catalog, 100), "a secret is refused");
    require(!answer.body.contains('"' + value + '"'), "a secret is not answered");
    std::string_view logged = answer.for_log;
    for (fuzz::take_until(logged, "?"); !logged.empty();) {
      std::string_view parameter = fuzz::take_until(logged, "&");
      fuzz::take_until(parameter, "=");
      require(parameter != value, "a secret is not logged");
    }
  }
}

void check_times(std::string_view text) {
  const auto time = base::parse_rfc3339(text);
  require(!time || base::parse_rfc3339(base::format_rfc3339(*time)) == time,
          "a time that was read is written as itself");
}

}  // namespace
}  // namespace keytrail::serve

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  static serve::testing::FakeStatus status;
  std::string_view text = fuzz::text_of(data, size);
  serve::check_times(text);
  std::string_view line = fuzz::take_until(text, "\n");
  const std::string_view method = fuzz::take_until(line, " ");
  serve::Api api(serve::history(), status, catalog::Catalog::builtin());
  const serve::ApiAnswer answer = api.handle(method, line, text);
  serve::check(answer);
  serve::check_secrets(line, answer);
  return 0;
}
