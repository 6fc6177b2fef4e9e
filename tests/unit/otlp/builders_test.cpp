// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "exporters/otlp/attributes.h"
#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"
#include "rows.h"

namespace keytrail::otlp {
namespace {

using namespace test;
using ::testing::HasSubstr;
using Pairs = google::protobuf::RepeatedPtrField<common::KeyValue>;

constexpr HistoryId kHistory{1, 2, 3, 4};

const common::AnyValue* get(const Pairs& pairs, const std::string& name) {
  for (const common::KeyValue& pair : pairs) {
    if (pair.key() == name) return &pair.value();
  }
  return nullptr;
}

std::string text(const Pairs& pairs, const std::string& name) {
  const common::AnyValue* value = get(pairs, name);
  return value == nullptr ? "(none)" : value->string_value();
}

TEST(Segments, TheSameRowsGetTheSameIdsInAnyRun) {
  const std::vector<Row> rows{acquisition(1, 7, "AKIA1"), use(2, 7, {"AKIA1"}, Evidence::kInferred),
                              use(3, 7, {}, Evidence::kUnattributed)};
  const auto first = SpanBuilder(kHistory).place(rows);
  const auto second = SpanBuilder(kHistory).place(rows);
  const auto other = SpanBuilder(HistoryId{9}).place(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(first[i].self.trace_id, second[i].self.trace_id);
    EXPECT_EQ(first[i].self.span_id, second[i].self.span_id);
    EXPECT_NE(first[i].self.span_id, other[i].self.span_id);
    EXPECT_EQ(first[i].self.trace_id.size(), 16U);
    EXPECT_EQ(first[i].self.span_id.size(), 8U);
  }
}

TEST(Segments, AUseIsTheChildOfItsAcquisition) {
  const auto places = SpanBuilder(kHistory).place(
      std::vector<Row>{acquisition(1, 7, "AKIA1"), use(2, 7, {"AKIA1"}, Evidence::kInferred)});
  EXPECT_EQ(places[0].parent, "");
  EXPECT_EQ(places[1].parent, places[0].self.span_id);
  EXPECT_EQ(places[1].self.trace_id, places[0].self.trace_id);
  EXPECT_TRUE(places[1].links.empty());
}

TEST(Segments, AUseOfAnotherProcessLinksToTheAcquisition) {
  const auto places = SpanBuilder(kHistory).place(
      std::vector<Row>{acquisition(1, 7, "AKIA1"), use(2, 8, {"AKIA1"}, Evidence::kPossible)});
  EXPECT_NE(places[1].self.trace_id, places[0].self.trace_id);
  ASSERT_EQ(places[1].links.size(), 1U);
  EXPECT_EQ(places[1].links[0].relation, "acquired_elsewhere");
  EXPECT_EQ(places[1].links[0].to.span_id, places[0].self.span_id);
}

TEST(Segments, SeveralCandidatesAreLinksFromATraceOfItsOwn) {
  const auto places = SpanBuilder(kHistory).place(std::vector<Row>{
      acquisition(1, 7, "AKIA1"), acquisition(2, 7, "AKIA2"), use(3, 7, {"AKIA1", "AKIA2"}, Evidence::kPossible)});
  ASSERT_EQ(places[2].links.size(), 2U);
  EXPECT_EQ(places[2].links[0].to.span_id, places[0].self.span_id);
  EXPECT_EQ(places[2].links[1].to.span_id, places[1].self.span_id);
  EXPECT_EQ(places[2].links[1].reason, "selector");
  EXPECT_EQ(places[2].parent, "");
}

TEST(Segments, FifteenIdleMinutesOneHourOrTwoHundredSpansEndATrace) {
  std::vector<Row> rows{acquisition(1, 7, "AKIA1"), use(2, 7, {"AKIA1"}, Evidence::kInferred, kNoon + 16 * kMinute)};
  for (std::uint64_t i = 0; i < 5; ++i)  // never idle, but over an hour
    rows.push_back(
        use(3 + i, 7, {"AKIA1"}, Evidence::kInferred, kNoon + static_cast<std::int64_t>(30 + i * 14) * kMinute));
  const auto places = SpanBuilder(kHistory).place(rows);
  ASSERT_EQ(places[1].links.size(), 1U);
  EXPECT_EQ(places[1].links[0].relation, "previous_segment");
  EXPECT_NE(places[1].self.trace_id, places[0].self.trace_id);
  EXPECT_EQ(places[4].self.trace_id, places[1].self.trace_id);  // minute 58 of a trace from minute 16
  EXPECT_NE(places[6].self.trace_id, places[1].self.trace_id);

  std::vector<Row> many;
  for (std::uint64_t i = 1; i <= 401; ++i)
    many.push_back(use(i, 9, {"AKIA1"}, Evidence::kInferred));
  std::set<std::string> traces;
  for (const Place& place : SpanBuilder(kHistory).place(many))
    traces.insert(place.self.trace_id);
  EXPECT_EQ(traces.size(), 3U);
}

TEST(Segments, ASequenceThatComesAgainInAnotherEpochIsAnotherSpan) {
  const std::vector<Row> rows{acquisition(9, 7, "AKIA1"), acquisition(10, 8, "AKIA2"), acquisition(11, 9, "AKIA3")};
  const auto before = SpanBuilder(kHistory, {{1, 77}}).place(rows);
  const auto after = SpanBuilder(kHistory, {{1, 77}, {10, 78}}).place(rows);
  EXPECT_EQ(before[0].self.span_id, after[0].self.span_id) << "of the epoch that both know";
  EXPECT_EQ(before[0].self.trace_id, after[0].self.trace_id);
  for (const std::size_t i : {1U, 2U}) {
    EXPECT_NE(before[i].self.span_id, after[i].self.span_id);
    EXPECT_NE(before[i].self.trace_id, after[i].self.trace_id);
  }
  const auto old = SpanBuilder(kHistory).place(rows);
  const auto grown = SpanBuilder(kHistory, {{11, 79}}).place(rows);
  EXPECT_EQ(old[1].self.span_id, grown[1].self.span_id) << "rows of before there were epochs keep their ids";
  EXPECT_NE(old[2].self.span_id, grown[2].self.span_id);
}

TEST(Segments, ATraceIsNamedByItsRootAndHasOne) {
  std::vector<Row> rows{acquisition(1, 7, "AKIA1")};
  for (std::uint64_t i = 2; i <= 9; ++i)
    rows.push_back(use(i, 7, {"AKIA1"}, Evidence::kInferred, kNoon + static_cast<std::int64_t>(i - 1) * 10 * kMinute));
  const std::vector<Row> later(rows.begin() + 4, rows.end());
  // Whoever begins in the middle may draw other lines, but no two roots are in one trace.
  std::map<std::string, std::set<std::string>> roots;
  for (const auto& run : {rows, later}) {
    for (const Place& place : SpanBuilder(kHistory).place(run)) {
      if (place.parent.empty()) roots[place.self.trace_id].insert(place.self.span_id);
    }
  }
  for (const auto& [trace, spans] : roots)
    EXPECT_EQ(spans.size(), 1U);
}

TEST(Segments, ServiceNamesAreBoundedAndTheRestIsCounted) {
  std::vector<Row> rows;
  for (std::uint64_t i = 0; i < 4; ++i) {
    rows.push_back(acquisition(i + 1, 7, "AKIA1"));
    auto& workload = std::get<AcquisitionRow>(rows.back().body).actor.workload;
    workload.id = "unit:" + std::to_string(i);
    workload.name = std::to_string(i) + ".service";
  }
  rows.push_back({5, kNoon, kNoon, GapRow{}});
  rows.push_back(rows.front());
  SpanBuilder builder(kHistory, {}, 2);
  const auto places = builder.place(rows);
  EXPECT_FALSE(places[0].other);
  EXPECT_FALSE(places[1].other);
  EXPECT_TRUE(places[2].other);
  EXPECT_TRUE(places[3].other);
  EXPECT_FALSE(places[4].other) << "the agent's own";
  EXPECT_FALSE(places[5].other);
  EXPECT_EQ(builder.others(), 2U);
  const TraceRequest request = build_trace_request(rows, places, Sender{"node-1"});
  ASSERT_EQ(request.resource_spans_size(), 4) << "each workload is a resource of its own all the same";
  const auto& other = request.resource_spans(2).resource().attributes();
  EXPECT_EQ(text(other, "service.name"), kOtherService);
  EXPECT_EQ(text(other, "keytrail.workload.name"), "2.service");
  EXPECT_EQ(text(other, "keytrail.workload.id"), "unit:2");
  EXPECT_EQ(text(request.resource_spans(0).resource().attributes(), "service.name"), "0.service");
  EXPECT_EQ(text(request.resource_spans(0).resource().attributes(), "keytrail.workload.name"), "0.service");
}

TEST(Segments, AServiceNameThatWasNotSeenForADayMakesRoom) {
  constexpr std::int64_t kDay = 24 * 60 * kMinute;
  ServiceNames names(2);
  EXPECT_TRUE(names.admit("a", kNoon));
  EXPECT_TRUE(names.admit("b", kNoon));
  EXPECT_FALSE(names.admit("c", kNoon + kDay));
  EXPECT_TRUE(names.admit("a", kNoon + kDay));
  EXPECT_TRUE(names.admit("c", kNoon + kDay + kMinute)) << "in the place of b";
  EXPECT_FALSE(names.admit("b", kNoon + kDay + kMinute));
  EXPECT_EQ(names.others(), 2U);
}

TEST(Segments, MemoryIsBounded) {
  LastUsed<int> last(2);
  last.put("a", 1);
  last.put("b", 2);
  last.find("a");
  last.put("c", 3);
  EXPECT_EQ(last.size(), 2U);
  EXPECT_NE(last.find("a"), nullptr);
  EXPECT_EQ(last.find("b"), nullptr);
}

TEST(Spans, AUseCarriesWhoWhatWhereAndHowSure) {
  Row row = use(5, 7, {"AKIA1"}, Evidence::kInferred);
  std::get<UseRow>(row.body).outcome = Outcome::kRefused;
  const std::vector<Row> rows{row};
  const TraceRequest request = build_trace_request(rows, SpanBuilder(kHistory).place(rows), Sender{"node-1"});
  const auto& group = request.resource_spans(0);
  EXPECT_EQ(text(group.resource().attributes(), "service.name"), "backup.service");
  EXPECT_EQ(text(group.resource().attributes(), "host.name"), "node-1");
  EXPECT_EQ(group.scope_spans(0).scope().name(), "keytrail");
  const auto& span = group.scope_spans(0).spans(0);
  EXPECT_EQ(span.name(), "s3.PutObject");
  EXPECT_EQ(span.kind(), opentelemetry::proto::trace::v1::Span::SPAN_KIND_CLIENT);
  EXPECT_EQ(span.status().code(), opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  EXPECT_EQ(span.start_time_unix_nano(), static_cast<std::uint64_t>(kNoon)) << "a window and its duration";
  EXPECT_EQ(span.end_time_unix_nano() - span.start_time_unix_nano(), 5U);
  EXPECT_EQ(text(span.attributes(), "error.type"), "refused");
  EXPECT_EQ(text(span.attributes(), "keytrail.schema"), "1.0");
  EXPECT_EQ(text(span.attributes(), "keytrail.key.id"), "AKIA1");
  EXPECT_EQ(text(span.attributes(), "keytrail.evidence"), "inferred");
  EXPECT_EQ(text(span.attributes(), "keytrail.evidence.reason"), "selector");
  EXPECT_EQ(text(span.attributes(), "keytrail.count.unit"), "connections");
  EXPECT_EQ(get(span.attributes(), "keytrail.count")->int_value(), 3);
  EXPECT_EQ(text(span.attributes(), "server.address"), "s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(get(span.attributes(), "server.port")->int_value(), 443);
  EXPECT_EQ(text(span.attributes(), "keytrail.destination.region"), "eu-west-1");
  EXPECT_EQ(text(span.attributes(), "file.path"), "/root/.aws/credentials");
  std::set<std::string> names;
  for (const auto& pair : span.attributes())
    EXPECT_TRUE(names.insert(pair.key()).second) << pair.key() << " twice";
}

TEST(Spans, WorkloadsAreResourcesAndRowsWithoutSpansAreLeftOut) {
  Row elsewhere = use(2, 8, {"AKIA1"}, Evidence::kInferred);
  std::get<UseRow>(elsewhere.body).actor.workload.id = "unit:other.service";
  std::get<UseRow>(elsewhere.body).actor.workload.name = "other.service";
  const std::vector<Row> rows{
      acquisition(1, 7, "AKIA1"), elsewhere, {3, kNoon, kNoon, GapRow{}}, {4, kNoon, kNoon, RevisionRow{}}};
  const TraceRequest request = build_trace_request(rows, SpanBuilder(kHistory).place(rows), Sender{"node-1"});
  EXPECT_EQ(request.resource_spans_size(), 2);
  const std::vector<Row> none{rows[2], rows[3]};
  EXPECT_EQ(build_trace_request(none, SpanBuilder(kHistory).place(none), Sender{"n"}).resource_spans_size(), 0);
}

TEST(Spans, EachFactIsAnAttributeOfTheResourceAndTheMoreTrustedValueCounts) {
  Row row = acquisition(1, 7, "AKIA1");
  auto& actor = std::get<AcquisitionRow>(row.body).actor;
  actor.login_user = "alice";
  actor.workload.facts = {{fact::kPodName, "api-1", KnownBy::kCluster},
                          {fact::kPodName, "forged", KnownBy::kClaimed},
                          {fact::kNamespace, "payments", KnownBy::kToken}};
  const std::vector<Row> rows{row};
  const TraceRequest request = build_trace_request(rows, SpanBuilder(kHistory).place(rows), Sender{"node-1"});
  const auto& resource = request.resource_spans(0).resource().attributes();
  EXPECT_EQ(text(resource, "k8s.pod.name"), "api-1");
  EXPECT_EQ(text(resource, "k8s.namespace.name"), "payments");
  EXPECT_EQ(text(resource, "keytrail.workload.id"), "unit:backup.service");
  EXPECT_EQ(text(request.resource_spans(0).scope_spans(0).spans(0).attributes(), "keytrail.login_user"), "alice");
}

TEST(Spans, HostileTextIsBoundedAndValidUtf8) {
  Row row = use(1, 7, {"AKIA\xff\xfe"}, Evidence::kInferred);
  auto& body = std::get<UseRow>(row.body);
  body.actor.program = "a\n\x1b[31mb\xc3";
  body.actor.workload.name = std::string(5000, 'x') + "\xe2\x82";
  body.destination.action = "\xf0\x9f\x98";
  const std::vector<Row> rows{row};
  const auto places = SpanBuilder(kHistory).place(rows);
  TraceRequest traces;
  LogRequest logs;
  // proto3 refuses invalid UTF-8.
  EXPECT_TRUE(traces.ParseFromString(build_trace_request(rows, places, Sender{"h"}).SerializeAsString()));
  EXPECT_TRUE(logs.ParseFromString(build_log_request(rows, places, Sender{"h"}).SerializeAsString()));
  EXPECT_EQ(text(traces.resource_spans(0).resource().attributes(), "service.name").size(), kTextMax);
  EXPECT_EQ(sentence(row).find('\n'), std::string::npos);
  std::string euros;
  for (int i = 0; i < 1000; ++i)
    euros += "\xe2\x82\xac";
  EXPECT_EQ(clean(euros).size(), 1023U);  // cut between characters
}

TEST(Logs, TheVerbSaysHowSureItIs) {
  EXPECT_THAT(sentence(use(1, 7, {"AKIA1"}, Evidence::kConfirmed)),
              HasSubstr("aws (backup.service) used AKIA1 at s3.eu-west-1.amazonaws.com"));
  EXPECT_THAT(sentence(use(1, 7, {"AKIA1"}, Evidence::kInferred)), HasSubstr(" used (inferred) AKIA1 "));
  EXPECT_THAT(sentence(use(1, 7, {"AKIA1", "AKIA2"}, Evidence::kPossible)),
              HasSubstr(" may have used AKIA1 or AKIA2 "));
  EXPECT_THAT(sentence(use(1, 7, {}, Evidence::kUnattributed)), HasSubstr(" with no key known"));
  EXPECT_THAT(sentence(acquisition(1, 7, "AKIA1")),
              HasSubstr(" took AKIA1 from file /root/.aws/credentials, entry prod"));
}

TEST(Logs, WhatIsLearntOfAWorkloadIsARecordInItsResource) {
  RevisionRow news{.what = Revised::kWorkload, .value = "k8s.pod.name=api-1 (cluster)"};
  news.workload = actor(7).workload;
  const std::vector<Row> rows{acquisition(1, 7, "AKIA1"), {2, kNoon, kNoon, news}};
  const auto places = SpanBuilder(kHistory).place(rows);
  EXPECT_TRUE(places[1].self.span_id.empty()) << "no span";
  const LogRequest request = build_log_request(rows, places, Sender{"node-1"});
  ASSERT_EQ(request.resource_logs_size(), 1) << "that of its other records";
  const auto& record = request.resource_logs(0).scope_logs(0).log_records(1);
  EXPECT_EQ(record.event_name(), "keytrail.workload");
  EXPECT_EQ(record.body().string_value(),
            "backup.service (unit:backup.service) is known better: k8s.pod.name=api-1 (cluster)");
  EXPECT_EQ(get(request.resource_logs(0).resource().attributes(), "keytrail.workload.id")->string_value(),
            "unit:backup.service");
}

TEST(Logs, RecordsShareTheirSpansIdsAndFindingsPointAtTheirs) {
  FindingRow finding;
  finding.type = "old_key_in_use";
  finding.severity = Severity::kHigh;
  finding.text = "AKIA1 is 400 days old.";
  finding.attack = {"T1552.001"};
  finding.actor = actor(7);
  finding.key = key("AKIA1");
  const std::vector<Row> rows{acquisition(1, 7, "AKIA1"),
                              {2, kNoon, kNoon, finding},
                              {3, kNoon, kNoon, GapRow{"ring_full", "open", 1, 2, 9, "9 lost."}},
                              {4, kNoon, kNoon, RevisionRow{2, Revised::kState, "resolved"}},
                              {5, kNoon, kNoon, RevisionRow{1, Revised::kBytes, "", 4000, 0}}};
  const auto places = SpanBuilder(kHistory).place(rows);
  const LogRequest request = build_log_request(rows, places, Sender{"node-1"});
  ASSERT_EQ(request.resource_logs_size(), 2);  // the workload, and the agent for the gap
  const auto& records = request.resource_logs(0).scope_logs(0).log_records();
  ASSERT_EQ(records.size(), 2);
  EXPECT_EQ(records[0].event_name(), "keytrail.acquire");
  EXPECT_EQ(records[0].span_id(), places[0].self.span_id);
  EXPECT_EQ(records[1].event_name(), "keytrail.finding");
  EXPECT_EQ(records[1].span_id(), places[0].self.span_id);
  EXPECT_EQ(records[1].severity_number(), 17);
  EXPECT_EQ(get(records[1].attributes(), "keytrail.attack")->array_value().values(0).string_value(), "T1552.001");
  const auto& gap = request.resource_logs(1).scope_logs(0).log_records(0);
  EXPECT_EQ(gap.event_name(), "keytrail.gap");
  EXPECT_TRUE(gap.trace_id().empty());
  EXPECT_EQ(get(gap.attributes(), "keytrail.gap.lost")->int_value(), 9);
  const auto& revision = request.resource_logs(1).scope_logs(0).log_records(1);
  EXPECT_EQ(revision.event_name(), "keytrail.revision");
  EXPECT_EQ(get(revision.attributes(), "keytrail.revision.of_seq")->int_value(), 2);
  EXPECT_EQ(revision.body().string_value(), "state of row 2 is now resolved");
  EXPECT_EQ(get(revision.attributes(), "keytrail.bytes.sent"), nullptr);
  const auto& bytes = request.resource_logs(1).scope_logs(0).log_records(2);
  EXPECT_EQ(bytes.body().string_value(), "4000 more bytes sent and 0 received by the calls of row 1");
  EXPECT_EQ(get(bytes.attributes(), "keytrail.bytes.sent")->int_value(), 4000);
  EXPECT_EQ(get(bytes.attributes(), "keytrail.revision.what")->string_value(), "bytes");
}

}  // namespace
}  // namespace keytrail::otlp
