// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/answer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "exporters/otlp/attributes.h"
#include "exporters/otlp/spans.h"
#include "rpc_status.pb.h"

namespace keytrail::otlp {

namespace {

using std::chrono::seconds;

std::string status_text(const base::HttpResponse& response) {
  return std::to_string(response.status) + (response.reason.empty() ? "" : " " + clean(response.reason));
}

/// The responses of all signals have the same fields by number: 1 = partial success (1 = rejected, 2 = message).
Answer accepted(const std::optional<std::string>& body, const std::string& status) {
  Answer answer;
  TraceResponse response;
  if (!body || !response.ParseFromString(*body)) {
    answer.text = "the collector answered " + status + " with a body that is not OTLP; taken as accepted";
    return answer;
  }
  const auto& partial = response.partial_success();
  answer.rejected = partial.rejected_spans() > 0 ? static_cast<std::uint64_t>(partial.rejected_spans()) : 0;
  if (answer.rejected > 0 || !partial.error_message().empty()) {
    answer.text =
        "the collector rejected " + std::to_string(answer.rejected) + " records: " + clean(partial.error_message());
  }
  return answer;
}

struct GrpcCode {
  const char* name;
  enum class Again : std::uint8_t { kNo, kYes, kIfTold, kInParts } again;
};
constexpr auto kNo = GrpcCode::Again::kNo, kYes = GrpcCode::Again::kYes, kInParts = GrpcCode::Again::kInParts;
// By number. What may be tried again is the OTLP specification's table; kInParts is what a collector answers for bad
// data. A message over its limit is RESOURCE_EXHAUSTED without RetryInfo.
constexpr std::array<GrpcCode, 17> kGrpcCodes{{{"OK", kNo},
                                               {"CANCELLED", kYes},
                                               {"UNKNOWN", kInParts},
                                               {"INVALID_ARGUMENT", kInParts},
                                               {"DEADLINE_EXCEEDED", kYes},
                                               {"NOT_FOUND", kNo},
                                               {"ALREADY_EXISTS", kNo},
                                               {"PERMISSION_DENIED", kNo},
                                               {"RESOURCE_EXHAUSTED", GrpcCode::Again::kIfTold},
                                               {"FAILED_PRECONDITION", kNo},
                                               {"ABORTED", kYes},
                                               {"OUT_OF_RANGE", kYes},
                                               {"UNIMPLEMENTED", kNo},
                                               {"INTERNAL", kInParts},
                                               {"UNAVAILABLE", kYes},
                                               {"DATA_LOSS", kYes},
                                               {"UNAUTHENTICATED", kNo}}};

/// The wait of a RetryInfo among the details (google/rpc/error_details.proto), rounded up to seconds.
std::optional<seconds> retry_info(const std::string& details) {
  rpc::Status status;
  if (details.empty() || !status.ParseFromString(details)) return std::nullopt;
  for (const rpc::Any& detail : status.details()) {
    rpc::RetryInfo info;
    if (!detail.type_url().ends_with("/google.rpc.RetryInfo") || !info.ParseFromString(detail.value())) continue;
    const std::int64_t whole = std::clamp<std::int64_t>(info.retry_delay().seconds(), 0, kRetryAfterMax.count());
    return std::min(kRetryAfterMax, seconds(whole + (info.retry_delay().nanos() > 0 ? 1 : 0)));
  }
  return std::nullopt;
}

}  // namespace

std::optional<seconds> parse_retry_after(const std::string& value, std::int64_t wall_ns) {
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
  return seconds(std::clamp<std::int64_t>(wait, 0, kRetryAfterMax.count()));
}

Answer answer_of(const base::HttpResponse& response, const std::optional<std::string>& body, std::int64_t wall_ns) {
  if (response.status >= 200 && response.status < 300) return accepted(body, status_text(response));
  Answer answer{.kind = Answer::Kind::kRefused, .text = status_text(response)};
  answer.too_large = response.status == 413;
  // 500 is what an OpenTelemetry collector says when what is behind it refused something for good.
  if (answer.too_large || response.status == 400 || response.status == 422 || response.status == 500)
    answer.kind = Answer::Kind::kUnfit;
  if (response.status == 429 || (response.status >= 502 && response.status <= 504)) {
    answer.kind = Answer::Kind::kRetry;
    answer.retry_after = parse_retry_after(response.header("Retry-After"), wall_ns);
  }
  return answer;
}

Answer answer_of(const GrpcReply& reply) {
  if (reply.code == 0) return accepted(reply.body, "OK");
  const auto index = static_cast<std::size_t>(reply.code);
  const GrpcCode code = index < kGrpcCodes.size() ? kGrpcCodes[index] : kGrpcCodes[2];
  Answer answer{.kind = Answer::Kind::kRefused, .retry_after = retry_info(reply.details), .text = code.name};
  if (!reply.message.empty()) answer.text += ": " + clean(reply.message);
  const bool if_told = code.again == GrpcCode::Again::kIfTold;
  answer.too_large = if_told && !answer.retry_after;
  if (answer.too_large || code.again == kInParts) answer.kind = Answer::Kind::kUnfit;
  if (code.again == kYes || (if_told && answer.retry_after)) answer.kind = Answer::Kind::kRetry;
  return answer;
}

Answer answer_of(const Error& error) {
  switch (error.code) {
    case Error::Code::kGone:
      return {.kind = Answer::Kind::kCancelled};
    case Error::Code::kTooLarge:
      return {.kind = Answer::Kind::kRefused, .text = error.message};
    default:
      return {.kind = Answer::Kind::kRetry, .text = error.message};
  }
}

}  // namespace keytrail::otlp
