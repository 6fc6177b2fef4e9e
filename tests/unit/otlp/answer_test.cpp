// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/answer.h"

#include <gtest/gtest.h>

#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"
#include "rpc_status.pb.h"

namespace keytrail::otlp {
namespace {

using std::chrono::seconds;

Answer answered(unsigned status, const std::string& body = {}, std::string retry_after = {}) {
  return answer_of(base::HttpResponse{status, "", {{"retry-after", std::move(retry_after)}}, {}}, body, 0);
}

TEST(Answer, OnlyFourStatusesAreTriedAgainAndFourConcernWhatIsInTheRequest) {
  for (unsigned status = 200; status < 600; ++status) {
    const bool again = status == 429 || status == 502 || status == 503 || status == 504;
    const bool unfit = status == 400 || status == 413 || status == 422 || status == 500;
    EXPECT_EQ(answered(status).kind, status < 300 ? Answer::Kind::kAccepted
                                     : again      ? Answer::Kind::kRetry
                                     : unfit      ? Answer::Kind::kUnfit
                                                  : Answer::Kind::kRefused)
        << status;
    EXPECT_EQ(answered(status).too_large, status == 413);
  }
}

TEST(Answer, GrpcCodesAreTriedAgainAsTheSpecificationSays) {
  for (int code = 1; code < 20; ++code) {
    const bool again = code == 1 || code == 4 || code == 10 || code == 11 || code == 14 || code == 15;
    const bool unfit = code == 2 || code == 3 || code == 8 || code == 13 || code > 16;
    EXPECT_EQ(answer_of(GrpcReply{.code = code}).kind, again   ? Answer::Kind::kRetry
                                                       : unfit ? Answer::Kind::kUnfit
                                                               : Answer::Kind::kRefused)
        << code;
  }
}

TEST(Answer, GrpcRetryInfoIsTheWaitAndMakesAFullCollectorWorthAsking) {
  rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(6);
  info.mutable_retry_delay()->set_nanos(1);
  rpc::Status status;
  status.add_details()->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  status.add_details()->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  status.mutable_details(1)->set_value(info.SerializeAsString());
  for (const int code : {8, 14}) {
    const Answer answer = answer_of(GrpcReply{.code = code, .details = status.SerializeAsString()});
    EXPECT_EQ(answer.kind, Answer::Kind::kRetry);
    EXPECT_EQ(answer.retry_after, seconds(7));
  }
  info.mutable_retry_delay()->set_seconds(1'000'000'000'000);
  status.mutable_details(1)->set_value(info.SerializeAsString());
  EXPECT_EQ(answer_of(GrpcReply{.code = 14, .details = status.SerializeAsString()}).retry_after, kRetryAfterMax);
  const Answer nonsense = answer_of(GrpcReply{.code = 8, .details = "nonsense"});
  EXPECT_EQ(nonsense.kind, Answer::Kind::kUnfit);
  EXPECT_TRUE(nonsense.too_large) << "what a message over the receiver's limit gets";
}

TEST(Answer, PartialSuccessIsCountedAndGarbageIsAWarning) {
  TraceResponse response;
  response.mutable_partial_success()->set_rejected_spans(3);
  EXPECT_EQ(answered(200, response.SerializeAsString()).rejected, 3U);
  response.mutable_partial_success()->set_rejected_spans(-3);
  EXPECT_EQ(answered(200, response.SerializeAsString()).rejected, 0U);
  const Answer garbage = answered(200, "<html>");
  EXPECT_EQ(garbage.kind, Answer::Kind::kAccepted);
  EXPECT_FALSE(garbage.text.empty());
  EXPECT_TRUE(answered(200).text.empty());
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
