// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/answer.h"

#include <gtest/gtest.h>

#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"

namespace keytrail::otlp {
namespace {

using std::chrono::seconds;

Answer judged(unsigned status, std::string body = {}, std::string retry_after = {}) {
  return judge(Signal::kTraces, {status, "", std::move(retry_after), std::move(body)}, 0);
}

TEST(Answer, OnlyFourStatusesAreTriedAgain) {
  for (unsigned status = 200; status < 600; ++status) {
    const bool again = status == 429 || status == 502 || status == 503 || status == 504;
    EXPECT_EQ(judged(status).kind, status < 300 ? Answer::Kind::kAccepted
                                   : again      ? Answer::Kind::kRetry
                                                : Answer::Kind::kRefused)
        << status;
  }
}

TEST(Answer, PartialSuccessIsCountedAndGarbageIsAWarning) {
  TraceResponse response;
  response.mutable_partial_success()->set_rejected_spans(3);
  EXPECT_EQ(judged(200, response.SerializeAsString()).rejected, 3U);
  response.mutable_partial_success()->set_rejected_spans(-3);
  EXPECT_EQ(judged(200, response.SerializeAsString()).rejected, 0U);
  const Answer garbage = judged(200, "<html>");
  EXPECT_EQ(garbage.kind, Answer::Kind::kAccepted);
  EXPECT_FALSE(garbage.text.empty());
  EXPECT_TRUE(judged(200).text.empty());
}

TEST(Answer, RetryAfterIsSecondsOrADateWithinFiveMinutes) {
  EXPECT_EQ(parse_retry_after("7", 0), seconds(7));
  EXPECT_EQ(parse_retry_after("99999999999999999999", 0), kRetryAfterMax);
  EXPECT_EQ(parse_retry_after("-4", 0), seconds(0));
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 0), seconds(60));
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 3600LL * 1'000'000'000), seconds(0));
  EXPECT_EQ(parse_retry_after("soon", 0), std::nullopt);
  EXPECT_EQ(parse_retry_after("7 apples", 0), std::nullopt);
}

}  // namespace
}  // namespace keytrail::otlp
