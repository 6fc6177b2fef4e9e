// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/answer.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "exporters/otlp/attributes.h"
#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"

namespace keytrail::otlp {

namespace {

std::string status_text(const HttpResponse& response) {
  return std::to_string(response.status) + (response.reason.empty() ? "" : " " + clean(response.reason));
}

void partial(Answer& answer, std::int64_t rejected, const std::string& message) {
  answer.rejected = rejected > 0 ? static_cast<std::uint64_t>(rejected) : 0;
  if (answer.rejected > 0 || !message.empty()) {
    answer.text = "the collector rejected " + std::to_string(answer.rejected) + " records: " + clean(message);
  }
}

Answer accepted(Signal signal, const HttpResponse& response) {
  Answer answer;
  bool sound = false;
  if (signal == Signal::kTraces) {
    TraceResponse body;
    sound = body.ParseFromString(response.body);
    if (sound) partial(answer, body.partial_success().rejected_spans(), body.partial_success().error_message());
  } else {
    LogResponse body;
    sound = body.ParseFromString(response.body);
    if (sound) partial(answer, body.partial_success().rejected_log_records(), body.partial_success().error_message());
  }
  if (!sound) answer.text = "the collector answered " + status_text(response) + " with a body that is not OTLP; taken as accepted";
  return answer;
}

}  // namespace

std::optional<std::chrono::seconds> parse_retry_after(const std::string& value, std::int64_t wall_ns) {
  std::int64_t wait = 0;
  const char* end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, wait);
  if (error == std::errc::result_out_of_range) return kRetryAfterMax;
  if (error != std::errc{} || at != end) {
    std::tm date{};
    const char* rest = strptime(value.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (rest == nullptr || *rest != '\0') return std::nullopt;
    wait = timegm(&date) - wall_ns / 1'000'000'000;
  }
  return std::chrono::seconds(std::clamp<std::int64_t>(wait, 0, kRetryAfterMax.count()));
}

Answer judge(Signal signal, const HttpResponse& response, std::int64_t wall_ns) {
  if (response.status >= 200 && response.status < 300) return accepted(signal, response);
  Answer answer;
  answer.text = status_text(response);
  switch (response.status) {
    case 429:
    case 502:
    case 503:
    case 504:
      answer.kind = Answer::Kind::kRetry;
      if (!response.retry_after.empty()) answer.retry_after = parse_retry_after(response.retry_after, wall_ns);
      break;
    default:
      answer.kind = Answer::Kind::kRefused;
      break;
  }
  return answer;
}

}  // namespace keytrail::otlp
