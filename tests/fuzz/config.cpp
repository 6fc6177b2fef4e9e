// SPDX-License-Identifier: Apache-2.0
// Target: the configuration file (agent/base/config). References to files are not followed here: they would name files
// of this machine.
#include "agent/base/config.h"

#include "agent/base/log.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::base {
namespace {

using fuzz::require;

/// What a person reads of a file: more of it is a file that is printed.
constexpr std::size_t kMaxError = 4096;
constexpr std::size_t kMaxQuoted = 256;

void check(const Config& config) {
  require(config.history.max_mb >= 16 && config.history.max_mb <= 1'048'576 && config.history.retention_days >= 1,
          "the history is within its range");
  require(config.api.socket.size() <= 107 && config.api.socket.starts_with('/'), "the socket's path fits its address");
  require(config.sampling.sockets_s >= 5 && config.sampling.slots_s >= 1 && config.queries.max_rows <= 10'000,
          "intervals and pages are within their ranges");
  require(config.otlp.size() <= 64, "exporters are bounded");
  const std::string shown = render_config(config);
  for (const OtlpConfig& exporter : config.otlp) {
    require(
        exporter.timeout_s >= 1 && exporter.timeout_s <= 300 && !exporter.name.empty() && exporter.name.size() <= 32,
        "an exporter is within its ranges");
    for (const OtlpHeader& header : exporter.headers)
      require(!header.value.starts_with("canary") || !shown.contains(header.value), "a header's value is not shown");
  }
}

}  // namespace
}  // namespace keytrail::base

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  const std::string text(fuzz::text_of(data, size));
  base::ConfigOptions options;
  options.resolve = false;
  options.getenv = [](const std::string&) { return std::optional<std::string>("canary-of-the-environment"); };
  const Result<base::Config> config = base::parse_config(text, "fuzz.yaml", options);
  if (config) {
    base::check(*config);
    return 0;
  }
  const std::string& error = config.error().message;
  fuzz::require(error.starts_with("fuzz.yaml:") && error.size() <= base::kMaxError,
                "an error names the file and is short");
  fuzz::require(fuzz::is_shown_safely(error), "an error can be shown");
  fuzz::require(!fuzz::repeats(error, text, base::kMaxQuoted), "an error quotes little of the file");
  return 0;
}
