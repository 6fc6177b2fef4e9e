// SPDX-License-Identifier: Apache-2.0
// Target: what a collector answers (exporters/otlp). An input is "STATUS REASON", a line with Retry-After, then the
// body (and the details of a gRPC status).
#include "exporters/otlp/answer.h"

#include <charconv>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  using fuzz::require;
  constexpr std::int64_t kNow = 1'763'726'400LL * 1'000'000'000;
  std::string_view input = fuzz::text_of(data, size);
  std::string_view head = fuzz::take_until(input, "\n");
  const std::string_view code = fuzz::take_until(head, " ");
  base::HttpResponse response{.reason = std::string(head)};
  std::from_chars(code.data(), code.data() + code.size(), response.status);
  response.headers.emplace_back("Retry-After", fuzz::take_until(input, "\n"));
  const std::string body(input);
  const otlp::GrpcReply reply{
      .code = static_cast<int>(response.status), .message = response.reason, .details = body, .body = body};
  for (const otlp::Answer& answer : {otlp::answer_of(response, body, kNow), otlp::answer_of(reply)}) {
    require(fuzz::is_shown_safely(answer.text) && answer.text.size() <= 8192,
            "the answer's text is short and can be shown");
    require(!answer.retry_after || (answer.retry_after->count() >= 0 && *answer.retry_after <= otlp::kRetryAfterMax),
            "the wait is bounded");
    require(answer.rejected == 0 || answer.kind == otlp::Answer::Kind::kAccepted,
            "only an accepted request has rejected records");
  }
  return 0;
}
