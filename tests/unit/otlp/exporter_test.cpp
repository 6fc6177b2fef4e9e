// SPDX-License-Identifier: Apache-2.0
// The exporter against a small HTTP server of sockets that answers from a list.
#include "exporters/otlp/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <atomic>

#include "agent/base/system_clock.h"
#include "exporters/otlp/gzip.h"
#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"
#include "fake_collector.h"
#include "rows.h"

namespace keytrail::otlp {
namespace {

using namespace test;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

class ExporterTest : public ::testing::Test {
 protected:
  void launch(const std::string& endpoint) {
    config_.endpoint = endpoint;
    tuning_.poll = milliseconds(20);
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

TEST_F(ExporterTest, BothSignalsAreSentAndTheCursorMoves) {
  config_.gzip = false;
  config_.headers = {{"authorization", "Bearer x", "text"}};
  FakeCollector collector({http("200 OK")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint() + "/base/");
  ASSERT_TRUE(settled());
  queue_.add(use(2, 7, {"AKIA1"}, Evidence::kInferred));
  exporter_->wake();
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 2U);
  const auto requests = collector.requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_THAT(requests[0], HasSubstr("POST /base/v1/traces HTTP/1.1\r\n"));
  EXPECT_THAT(requests[0], HasSubstr("authorization: Bearer x\r\n"));
  EXPECT_THAT(requests[0], HasSubstr("Content-Type: application/x-protobuf\r\n"));
  EXPECT_THAT(requests[0], HasSubstr("User-Agent: Keytrail/"));
  EXPECT_THAT(requests[1], HasSubstr("POST /base/v1/logs "));
  TraceRequest first;
  TraceRequest second;
  ASSERT_TRUE(first.ParseFromString(body_of(requests[0])));
  ASSERT_TRUE(second.ParseFromString(body_of(requests[2])));
  EXPECT_EQ(second.resource_spans(0).scope_spans(0).spans(0).parent_span_id(),
            first.resource_spans(0).scope_spans(0).spans(0).span_id());
  EXPECT_TRUE(eventually([&] { return exporter_->state().text == "idle"; }));
}

TEST_F(ExporterTest, ATraceGoesOnOverARestartWithItsRootAndItsLinks) {
  config_.gzip = false;
  config_.signals = {"traces"};
  FakeCollector collector({http("200 OK")});
  queue_.add({acquisition(1, 7, "AKIA1"), use(2, 7, {"AKIA1"}, Evidence::kInferred), acquisition(3, 9, "AKIA2")});
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  exporter_->stop();
  queue_.add({use(4, 7, {"AKIA1"}, Evidence::kInferred, kNoon + kMinute), use(5, 8, {"AKIA2"}, Evidence::kPossible)});
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  TraceRequest before;
  TraceRequest after;
  const auto requests = collector.requests();
  ASSERT_EQ(requests.size(), 2U);
  ASSERT_TRUE(before.ParseFromString(body_of(requests[0])));
  ASSERT_TRUE(after.ParseFromString(body_of(requests[1])));
  const auto& root = before.resource_spans(0).scope_spans(0).spans(0);
  const auto& other = before.resource_spans(0).scope_spans(0).spans(2);
  const auto& next = after.resource_spans(0).scope_spans(0).spans(0);
  const auto& elsewhere = after.resource_spans(0).scope_spans(0).spans(1);
  EXPECT_EQ(next.trace_id(), root.trace_id());
  EXPECT_EQ(next.parent_span_id(), root.span_id());
  ASSERT_EQ(elsewhere.links_size(), 1);
  EXPECT_EQ(elsewhere.links(0).span_id(), other.span_id());
}

TEST_F(ExporterTest, AnExporterThatSentNothingYetHasNoParentsFromBefore) {
  config_.gzip = false;
  config_.signals = {"traces"};
  FakeCollector collector({http("200 OK")});
  queue_.add({acquisition(1, 7, "AKIA1"), use(2, 7, {"AKIA1"}, Evidence::kInferred)});
  queue_.begin_at(1);  // registered when row 1 was there
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  TraceRequest request;
  ASSERT_TRUE(request.ParseFromString(body_of(collector.requests().at(0))));
  ASSERT_EQ(request.resource_spans(0).scope_spans(0).spans_size(), 1);
  EXPECT_EQ(request.resource_spans(0).scope_spans(0).spans(0).parent_span_id(), "");
}

TEST_F(ExporterTest, NamesOverTheBoundAreSaid) {
  FakeCollector collector({http("200 OK")});
  tuning_.services = 1;
  queue_.add(acquisition(1, 7, "AKIA1"));
  Row other = acquisition(2, 8, "AKIA1");
  std::get<AcquisitionRow>(other.body).actor.workload.name = "other.service";
  queue_.add(other);
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_TRUE(eventually([&] {
    return exporter_->state().text == "idle; 1 records under service.name _OTHER: more than 1 names";
  })) << exporter_->state().text;
}

TEST_F(ExporterTest, AfterARestartNamesKeepTheirPlacesAndWhatWasSaidIsNotSaidAgain) {
  FakeCollector collector({http("200 OK")});
  config_.gzip = false;
  config_.signals = {"logs"};
  tuning_.services = 1;
  const auto of_other = [](std::uint64_t seq) {
    Row row = acquisition(seq, 8, "AKIA1");
    std::get<AcquisitionRow>(row.body).actor.workload.name = "other.service";
    return row;
  };
  queue_.add({acquisition(1, 7, "AKIA1"), of_other(2), of_other(3)});
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  exporter_->stop();
  queue_.add(acquisition(4, 7, "AKIA1"));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_TRUE(eventually([&] { return exporter_->state().text == "idle"; })) << exporter_->state().text;
  exporter_->stop();
  queue_.add(of_other(5));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_TRUE(eventually([&] {
    return exporter_->state().text == "idle; 1 records under service.name _OTHER: more than 1 names";
  })) << "it comes first now, and the name of before has the place all the same: "
      << exporter_->state().text;
  EXPECT_THAT(collector.requests().back(), HasSubstr("_OTHER"));
}

TEST_F(ExporterTest, BodiesAreGzipped) {
  FakeCollector collector({http("200 OK")});
  config_.signals = {"traces"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  const std::string request = collector.requests().at(0);
  EXPECT_THAT(request, HasSubstr("Content-Encoding: gzip\r\n"));
  std::string body = body_of(request);
  std::string plain(65536, '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(body.data());
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  TraceRequest traces;
  EXPECT_TRUE(traces.ParseFromString(plain));
  EXPECT_EQ(traces.resource_spans_size(), 1);
}

TEST_F(ExporterTest, ARefusalIsCountedOnceAndNotRepeated) {
  FakeCollector collector({http("401 Unauthorized")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  queue_.add(use(2, 7, {"AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 2U);
  EXPECT_EQ(counters().acknowledged, 0U);
  EXPECT_EQ(collector.requests().size(), 2U);
  std::this_thread::sleep_for(milliseconds(60));  // with nothing to send it still says what is wrong
  EXPECT_EQ(exporter_->state().text, "refused: 401 Unauthorized");
}

TEST_F(ExporterTest, WhatIsTooLargeForTheCollectorArrivesInHalvesAndItsLimitIsRemembered) {
  std::atomic<std::size_t> refused = 0;
  FakeCollector collector([&refused](const std::string& request) {
    if (body_of(request).size() <= 4096) return http("200 OK");
    ++refused;
    return http("413 Payload Too Large");
  });
  config_.gzip = false;
  for (std::uint64_t i = 1; i <= 64; ++i)
    queue_.add(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 64U);
  EXPECT_EQ(counters().rejected, 0U);
  const std::size_t before = refused;
  EXPECT_GE(before, 1U);
  for (std::uint64_t i = 65; i <= 128; ++i)
    queue_.add(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  exporter_->wake();
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 128U);
  EXPECT_EQ(refused.load(), before);
}

TEST_F(ExporterTest, AQuotaThatRefusesEverySizeIsNoLimitOfSize) {
  std::atomic<bool> full = true;
  std::atomic<std::size_t> asked = 0;
  FakeCollector collector([&](const std::string&) {
    ++asked;
    return full ? http("413 Payload Too Large") : http("200 OK");
  });
  config_.signals = {"traces"};
  for (std::uint64_t i = 1; i <= 64; ++i)
    queue_.add(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 64U);
  EXPECT_LE(asked.load(), 42U);
  full = false;
  asked = 0;
  std::vector<Row> more;
  for (std::uint64_t i = 65; i <= 128; ++i)
    more.push_back(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  queue_.add(more);
  exporter_->wake();
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 64U);
  EXPECT_EQ(asked.load(), 1U) << "in whole batches again";
}

TEST_F(ExporterTest, ARecordThatTheCollectorWillNotTakeStandsAlone) {
  FakeCollector collector([](const std::string& request) {
    return http(request.find("AKIAPOISON") == std::string::npos ? "200 OK" : "400 Bad Request");
  });
  config_.gzip = false;
  config_.signals = {"traces"};
  for (std::uint64_t i = 1; i <= 100; ++i)
    queue_.add(use(i, 7, {i == 37 || i == 38 || i == 99 ? "AKIAPOISON" : "AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 97U);
  EXPECT_EQ(counters().rejected, 3U);
  EXPECT_EQ(exporter_->state().last_error, "traces were refused: 400 Bad Request; row 99 is counted as rejected");
}

TEST_F(ExporterTest, ACollectorThatTakesNothingIsNotAskedAboutEachRow) {
  FakeCollector collector({http("400 Bad Request")});
  config_.signals = {"traces"};
  for (std::uint64_t i = 1; i <= 512; ++i)
    queue_.add(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 512U);
  const std::size_t first = collector.requests().size();
  EXPECT_LE(first, 42U) << "32 in a row, then the halves that waited";
  std::vector<Row> more;
  for (std::uint64_t i = 513; i <= 1024; ++i)
    more.push_back(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  queue_.add(more);
  exporter_->wake();
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 1024U);
  EXPECT_LE(collector.requests().size(), first + 1);
}

TEST_F(ExporterTest, ABusyCollectorGetsTheSameBytesAgain) {
  FakeCollector collector({http("503 Service Unavailable"), http("429 Too Many Requests"), http("200 OK")});
  config_.signals = {"traces"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  const auto requests = collector.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0], requests[2]);
  EXPECT_EQ(counters().acknowledged, 1U);
  const ExporterState state = exporter_->state();
  EXPECT_EQ(state.retries, 2U);
  EXPECT_EQ(state.last_error, "traces will be sent again: 429 Too Many Requests");
  EXPECT_GT(state.last_error_ns, 0);
  EXPECT_GE(state.last_ok_ns, state.last_error_ns);
  EXPECT_TRUE(eventually([&] { return exporter_->state().lag_ns == 0; })) << "nothing waits";
}

TEST_F(ExporterTest, RetryAfterIsWaitedForAndDoesNotHoldUpStop) {
  FakeCollector collector({http("503 Service Unavailable", "", "Retry-After: 100\r\n"), http("200 OK")});
  queue_.add(acquisition(1, 7, "AKIA1", clock_.wall_ns()));
  launch(collector.endpoint());
  ASSERT_TRUE(eventually([&] { return exporter_->state().text == "retrying: 503 Service Unavailable"; }));
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(collector.requests().size(), 1U);
  EXPECT_EQ(exporter_->state().counters.waiting, 1U);
  EXPECT_GE(exporter_->state().lag_ns, 200'000'000);
  EXPECT_EQ(exporter_->state().last_ok_ns, 0);
  const auto begin = Time::now();
  exporter_->stop();
  EXPECT_LT(Time::now() - begin, milliseconds(500));
}

TEST_F(ExporterTest, PartialSuccessIsCountedAndNotRepeated) {
  TraceResponse response;
  response.mutable_partial_success()->set_rejected_spans(1);
  response.mutable_partial_success()->set_error_message("too old");
  FakeCollector collector({http("200 OK", response.SerializeAsString()), http("200 OK")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  queue_.add(use(2, 7, {"AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 1U);
  EXPECT_EQ(counters().acknowledged, 1U);
  EXPECT_EQ(collector.requests().size(), 2U);
}

TEST_F(ExporterTest, AnHtmlPageWithStatus200IsAccepted) {
  FakeCollector collector({http("200 OK", "<html>")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
}

TEST_F(ExporterTest, ACollectorThatHangsDoesNotHoldUpStop) {
  FakeCollector collector({""});
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  ASSERT_TRUE(eventually([&] { return collector.requests().size() == 1; }));
  const auto begin = Time::now();
  exporter_->stop();
  EXPECT_LT(Time::now() - begin, milliseconds(500));
  EXPECT_EQ(counters().waiting, 1U);
}

TEST_F(ExporterTest, ACollectorThatHangsIsGivenUpAtTheTimeLimitAndAskedAgain) {
  FakeCollector collector({"", http("200 OK")});
  config_.timeout_s = 1;
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  EXPECT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
}

TEST_F(ExporterTest, NoCollectorAndNonsenseAreTriedAgain) {
  FakeCollector collector({"nonsense\r\n\r\n", http("200 OK")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  EXPECT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
  exporter_->stop();

  FakeQueue other;
  other.add(acquisition(1, 7, "AKIA1"));
  config_.endpoint = "http://127.0.0.1:1";
  Exporter alone(config_, other, clock_, Sender{"node-1"}, tuning_);
  ASSERT_TRUE(alone.start());
  EXPECT_TRUE(eventually([&] { return alone.state().text == "retrying: Connection refused"; })) << alone.state().text;
}

TEST_F(ExporterTest, InterimAnswersAreNotTheAnswer) {
  const std::string early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  FakeCollector collector({early + http("200 OK"), http("400 Bad Request")});
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  ASSERT_TRUE(settled());
  EXPECT_EQ(collector.requests().size(), 2U);
  EXPECT_TRUE(eventually([&] { return exporter_->state().text == "refused: 400 Bad Request"; }))
      << exporter_->state().text;
}

TEST_F(ExporterTest, InterimAnswersWithoutEndAreTriedAgain) {
  std::string flood;
  for (int i = 0; i < 40; ++i)
    flood += "HTTP/1.1 102 Processing\r\n\r\n";
  FakeCollector collector({flood, http("200 OK")});
  config_.signals = {"traces"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  EXPECT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 1U);
  EXPECT_EQ(collector.requests().size(), 2U);
}

TEST_F(ExporterTest, AnAnswerOverFourMebibytesIsNotTriedAgain) {
  FakeCollector collector({http("200 OK", std::string(kResponseMax + 1, 'x')), http("200 OK")});
  config_.signals = {"traces"};
  queue_.add(acquisition(1, 7, "AKIA1"));
  launch(collector.endpoint());
  EXPECT_TRUE(settled());
  EXPECT_EQ(counters().rejected, 1U);
}

TEST_F(ExporterTest, LargeBatchesAreSplit) {
  FakeCollector collector({http("200 OK")});
  config_.signals = {"traces"};
  tuning_.request_max = 8192;
  for (std::uint64_t i = 1; i <= 64; ++i)
    queue_.add(use(i, 7, {"AKIA1"}, Evidence::kInferred));
  launch(collector.endpoint());
  EXPECT_TRUE(settled());
  EXPECT_EQ(counters().acknowledged, 64U);
  EXPECT_GE(collector.requests().size(), 8U);
}

TEST_F(ExporterTest, ABadEndpointOrTlsFileIsAnErrorAtStart) {
  for (const char* endpoint : {"ftp://a", "http://", "collector:4318", "http://user:secret@a/", "http://a/?q"}) {
    config_.endpoint = endpoint;
    Exporter bad(config_, queue_, clock_, Sender{"n"});
    const Result<void> started = bad.start();
    ASSERT_FALSE(started) << endpoint;
    EXPECT_EQ(started.error().message.find("secret"), std::string::npos);
  }
  config_.endpoint = "https://127.0.0.1:1";
  config_.ca_file = "/nonexistent/ca.pem";
  Exporter bad(config_, queue_, clock_, Sender{"n"});
  const Result<void> started = bad.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("ca_file /nonexistent/ca.pem"));
}

}  // namespace
}  // namespace keytrail::otlp
