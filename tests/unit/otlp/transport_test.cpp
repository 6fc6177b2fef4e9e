// SPDX-License-Identifier: Apache-2.0
// The exporter over OTLP/JSON and OTLP/gRPC, with the parts that are loaded for them, against local servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>

#include "agent/base/system_clock.h"
#include "exporters/otlp/exporter.h"
#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"
#include "fake_collector.h"
#include "grpc_collector.h"
#include "rows.h"
#include "rpc_status.pb.h"

namespace keytrail::otlp {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr int kExhausted = 8, kUnavailable = 14, kUnauthenticated = 16;

class TransportTest : public ::testing::Test {
 protected:
  void launch(const std::string& protocol, const std::string& endpoint) {
    config_.protocol = protocol;
    config_.endpoint = endpoint;
    tuning_.poll = milliseconds(20);
    tuning_.folder = KEYTRAIL_PARTS;
    exporter_ = std::make_unique<Exporter>(config_, queue_, clock_, Sender{"node-1"}, tuning_);
    const Result<void> started = exporter_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  ExportCounters counters() { return *queue_.counters(""); }
  bool settled() {
    return eventually([&] { return counters().waiting == 0; });
  }

  base::SystemClock clock_;
  FakeQueue queue_;
  base::OtlpConfig config_{};
  ExporterTuning tuning_{.backoff_first = milliseconds(10), .backoff_max = milliseconds(40)};
  std::unique_ptr<Exporter> exporter_;
};

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4U];
    out += kDigits[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

// ---- JSON

TEST_F(TransportTest, JsonHasHexIdsNumbersForEnumeratorsAndTextFor64Bits) {
  FakeCollector collector({http("200 OK", R"({"partialSuccess":{}})")});
  config_.gzip = false;
  queue_.add(acquisition(1, 7, "AKIA1"));
  queue_.add(use(2, 7, {"AKIA1"}, Evidence::kInferred));
  launch("http/json", collector.endpoint());
  ASSERT_TRUE(settled());
  const auto requests = collector.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_THAT(requests[0], HasSubstr("Content-Type: application/json\r\n"));
  const std::vector<Row> rows{acquisition(1, 7, "AKIA1"), use(2, 7, {"AKIA1"}, Evidence::kInferred)};
  const auto places = SpanBuilder(queue_.history_id()).place(rows);
  const boost::json::value traces = boost::json::parse(body_of(requests[0]));
  const auto& span = traces.at_pointer("/resourceSpans/0/scopeSpans/0/spans/1");
  EXPECT_EQ(span.at("traceId"), boost::json::value(hex(places[1].self.trace_id)));
  EXPECT_EQ(span.at("spanId"), boost::json::value(hex(places[1].self.span_id)));
  EXPECT_EQ(span.at("parentSpanId"), boost::json::value(hex(places[0].self.span_id)));
  EXPECT_EQ(span.at("kind"), boost::json::value(3));
  EXPECT_EQ(span.at("startTimeUnixNano"), boost::json::value(std::to_string(kNoon)));
  EXPECT_THAT(body_of(requests[0]), Not(HasSubstr("\"trace_id\"")));
  const boost::json::value logs = boost::json::parse(body_of(requests[1]));
  const auto& record = logs.at_pointer("/resourceLogs/0/scopeLogs/0/logRecords/0");
  EXPECT_EQ(record.at("severityNumber"), boost::json::value(9));
  EXPECT_EQ(record.at("spanId"), boost::json::value(hex(places[0].self.span_id)));
  EXPECT_EQ(record.at("eventName"), boost::json::value("keytrail.acquire"));
}

TEST_F(TransportTest, JsonLinksHaveHexIdsAndAttributesThatLookLikeIdsAreLeftAlone) {
  FakeCollector collector({http("200 OK")});
  config_.gzip = false;
  config_.signals = {"traces"};
  Row row = use(2, 8, {"AKIA1"}, Evidence::kPossible);
  std::get<UseRow>(row.body).reason_detail = "traceId";
  queue_.add(acquisition(1, 7, "AKIA1"));
  queue_.add(row);
  launch("http/json", collector.endpoint());
  ASSERT_TRUE(settled());
  const boost::json::value traces = boost::json::parse(body_of(collector.requests().at(0)));
  const auto& span = traces.at_pointer("/resourceSpans/0/scopeSpans/0/spans/1");
  EXPECT_EQ(span.at_pointer("/links/0/traceId").as_string().size(), 32U);
  EXPECT_THAT(boost::json::serialize(span), HasSubstr(R"({"stringValue":"traceId"})"));
}

TEST_F(TransportTest, JsonPartialSuccessIsCountedAndNonsenseIsAccepted) {
  FakeCollector collector(
      {http("200 OK", R"({"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"},"more":1})"),
       http("200 OK", "<html>")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  queue_.add(use(2, 7, {"AKIA1"}, Evidence::kInferred));
  launch("http/json", collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 1U);
  EXPECT_EQ(counters().acknowledged, 1U);
  EXPECT_THAT(exporter_->state().last_error, HasSubstr("a body that is not OTLP"));
}

TEST_F(TransportTest, JsonIsTriedAgainLikeProtobuf) {
  FakeCollector collector({http("503 Service Unavailable", R"({"code":14})"), http("200 OK", "{}")});
  config_.signals = {"logs"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("http/json", collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
  EXPECT_EQ(exporter_->state().retries, 1U);
}

// ---- gRPC

std::string retry_details(std::int64_t seconds) {
  rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  rpc::Status status;
  status.set_code(kExhausted);
  auto* detail = status.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  detail->set_value(info.SerializeAsString());
  return status.SerializeAsString();
}

TEST_F(TransportTest, GrpcCallsTheServicesWithTheHeadersAsMetadata) {
  GrpcCollector collector({{}});
  config_.headers = {{"authorization", "Bearer x", "text"}};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("grpc", collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
  const auto requests = collector.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].method, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  EXPECT_EQ(requests[1].method, "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
  EXPECT_THAT(requests[0].metadata, Contains(Pair("authorization", "Bearer x")));
  EXPECT_THAT(requests[0].metadata, Contains(Pair("user-agent", StartsWith("Keytrail/"))));
  TraceRequest traces;
  ASSERT_TRUE(traces.ParseFromString(requests[0].body));
  EXPECT_EQ(traces.resource_spans(0).scope_spans(0).spans_size(), 1);
}

TEST_F(TransportTest, GrpcPartialSuccessIsCounted) {
  LogResponse response;
  response.mutable_partial_success()->set_rejected_log_records(1);
  GrpcCollector collector({{.body = response.SerializeAsString()}});
  config_.signals = {"logs"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  queue_.add(acquisition(2, 7, "AKIA2"));
  launch("grpc", collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 1U);
  EXPECT_EQ(counters().acknowledged, 1U);
}

TEST_F(TransportTest, GrpcRefusalIsFinalAndSaysWhy) {
  GrpcCollector collector({{.code = kUnauthenticated, .message = "no token\x1b[31m"}});
  config_.signals = {"traces"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("grpc", collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 1U);
  EXPECT_TRUE(eventually([&] { return exporter_->state().text.starts_with("refused: UNAUTHENTICATED: no token"); }))
      << exporter_->state().text;
  EXPECT_THAT(exporter_->state().text, Not(HasSubstr("\x1b")));
}

TEST_F(TransportTest, GrpcRetryInfoIsWaitedForAndDoesNotHoldUpStop) {
  GrpcCollector collector({{.code = kExhausted, .message = "slow down", .details = retry_details(100)}, {}});
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("grpc", collector.endpoint());
  ASSERT_TRUE(eventually([&] { return exporter_->state().text == "retrying: RESOURCE_EXHAUSTED: slow down"; }));
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(collector.requests().size(), 1U);
  const auto begin = Time::now();
  exporter_->stop();
  EXPECT_LT(Time::now() - begin, milliseconds(500));
}

TEST_F(TransportTest, GrpcCollectorThatComesBackGetsWhatWaits) {
  int port = 0;
  {
    GrpcCollector first({{}});
    port = first.port();
  }
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("grpc", "http://127.0.0.1:" + std::to_string(port));
  ASSERT_TRUE(eventually([&] { return exporter_->state().text.starts_with("retrying: UNAVAILABLE"); }))
      << exporter_->state().text;
  GrpcCollector second({{.code = kUnavailable}, {}}, port);
  EXPECT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
}

TEST_F(TransportTest, GrpcCallThatHangsIsCutOffByItsDeadlineAndByStop) {
  GrpcCollector collector({{.hang = true}});
  config_.timeout_s = 1;
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("grpc", collector.endpoint());
  EXPECT_TRUE(eventually([&] { return exporter_->state().retries == 1; }));
  EXPECT_THAT(exporter_->state().last_error, HasSubstr("DEADLINE_EXCEEDED"));
  ASSERT_TRUE(eventually([&] { return collector.requests().size() == 2; }));
  const auto begin = Time::now();
  exporter_->stop();
  EXPECT_LT(Time::now() - begin, milliseconds(500));
  EXPECT_EQ(counters().waiting, 1U);
}

std::size_t threads() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

TEST_F(TransportTest, GrpcLeavesNoThreadAndTakesFew) {
  const std::size_t before = threads();
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch("grpc", "http://127.0.0.1:1");
  ASSERT_TRUE(eventually([&] { return exporter_->state().retries > 0; }));
  const std::size_t during = threads();
  exporter_->stop();
  exporter_.reset();
  EXPECT_TRUE(eventually([&] { return threads() <= before; }))
      << before << " before, " << during << " during, " << threads() << " after";
  EXPECT_LE(during, before + 12);
}

TEST_F(TransportTest, AProtocolWhosePartIsMissingIsAnErrorAtStart) {
  config_.endpoint = "http://127.0.0.1:1";
  tuning_.folder = "/nonexistent";
  for (const char* protocol : {"grpc", "http/json"}) {
    config_.protocol = protocol;
    Exporter bad(config_, queue_, clock_, Sender{"n"}, tuning_);
    const Result<void> started = bad.start();
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().message, HasSubstr("beside the program"));
  }
}

}  // namespace
}  // namespace keytrail::otlp
