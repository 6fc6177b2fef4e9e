// SPDX-License-Identifier: Apache-2.0
// Target: the stages behind each other, decode → identify → link → judge → what serve and the exporter say of the rows,
// fed with ring records of any bytes in any order. An input is a row of steps: 'r', length (2 bytes, little endian), a
// record; 't', N: N × 10 ms pass; 'a', N: the examiner answers. Each record that was decoded must have one fate in the
// end, and no row may claim more than it can.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <deque>

#include "agent/decode/decode.h"
#include "agent/identify/identify.h"
#include "agent/judge/judge.h"
#include "agent/link/link.h"
#include "agent/serve/row_json.h"
#include "exporters/otlp/logs.h"
#include "exporters/otlp/spans.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail {
namespace {

using fuzz::require;

constexpr std::uint64_t kMs = 1'000'000;

struct SteppedClock final : Clock {
  std::uint64_t now = 5'000'000 * kMs;
  [[nodiscard]] std::uint64_t boot_ns() const override { return now; }
  [[nodiscard]] std::int64_t wall_ns() const override {
    return 1'763'726'400'000'000'000 + static_cast<std::int64_t>(now);
  }
};

/// Holds its answers until the input says which.
struct WaitingExaminer final : Examiner {
  std::deque<std::pair<ExamineRequest, std::function<void(ExamineAnswer)>>> waiting;
  void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) override {
    waiting.emplace_back(std::move(request), std::move(done));
  }

  void answer(std::uint8_t how) {
    if (waiting.empty()) return;
    auto [request, done] = std::move(waiting.front());
    waiting.pop_front();
    FileAnswer out;
    const auto* file = std::get_if<FileQuestion>(&request.question);
    if (file != nullptr) out.file = file->file;
    static constexpr std::array<const char*, 4> kUnread{"gone", "changed", "timeout", "unknown format"};
    if ((how & 0x80U) != 0) out.unread = kUnread[how % kUnread.size()];
    out.unchanged = file != nullptr && file->look && (how & 0x40U) != 0;
    for (std::uint8_t i = 0; out.unread.empty() && i < how % 4; ++i)
      out.keys.push_back(key_fact(static_cast<std::uint8_t>(how / 4 % 4 + i)));
    if (file != nullptr) return done(std::move(out));
    if (std::holds_alternative<ArgumentsQuestion>(request.question))
      return done(ArgumentsAnswer{std::move(out.unread), std::move(out.keys), how % 2U});
    done(EnvironmentAnswer{std::move(out.unread), std::move(out.keys), {}, 0});
  }

 private:
  static KeyFact key_fact(std::uint8_t number) {
    static constexpr std::array<const char*, 4> kKinds{"aws.access_key", "k8s.service_account_token",
                                                       "generic.password", "tls.private_key"};
    KeyFact out;
    out.key.kind = kKinds[number % kKinds.size()];
    out.key.id = "PLANTED" + std::to_string(number);
    out.key.key_class = number % 4 == 3 ? KeyClass::kEncryptionKey : KeyClass::kAccessKey;
    static constexpr std::array<std::int64_t, 4> kTimes{0, 253'402'300'799, INT64_MAX, INT64_MIN};
    out.key.expires_s = kTimes[number % kTimes.size()];
    out.key.fingerprint.bytes.fill(static_cast<std::uint8_t>(number + 1));
    out.selector = number % 2 == 0 ? "default" : "prod";
    return out;
  }
};

void check(const UseRow& use) {
  const bool one = use.evidence == Evidence::kInferred || use.evidence == Evidence::kConfirmed;
  require(!one || use.keys.size() == 1, "an inferred use has one key");
  require(use.evidence != Evidence::kPossible || !use.keys.empty(), "a possible use has candidates");
  require(use.evidence != Evidence::kUnattributed || use.keys.empty(), "an unattributed use has no key");
  require(use.reason_detail.size() <= 200, "a reason is short");
}

class Stages {
 public:
  Stages()
      : identify_({.proc_root = "no-proc", .passwd_path = "no-passwd", .max_processes = 64}),
        link_(
            {}, catalog::Catalog::builtin(), examiner_, clock_, [this](Fate, const std::string&) { ++fates_; },
            [this](std::uint32_t mnt_ns) { return identify_.same_mount_ns(mnt_ns, 8); }),
        judge_(clock_, catalog::Catalog::builtin()) {
    for (std::size_t i = 0; i < kFamilies; ++i)
      link_.set_armed(static_cast<Family>(i), true);
    link_.set_armed_ns(1);
  }

  void run(std::string_view input) {
    for (int steps = 0; steps < 256 && input.size() >= 2; ++steps) {
      const char step = input[0];
      const auto number = static_cast<std::uint8_t>(input[1]);
      if (step == 'r' && input.size() >= 3) {
        const std::size_t length = number | static_cast<std::size_t>(static_cast<std::uint8_t>(input[2])) << 8U;
        record(input.substr(3, length));
        input.remove_prefix(std::min(input.size(), 3 + length));
        continue;
      }
      if (step == 't') tick(number);
      if (step == 'a') examiner_.answer(number);
      input.remove_prefix(2);
    }
    while (!examiner_.waiting.empty())
      examiner_.answer(0x82);  // the deadline answers in the end
    link_.finish(clock_.now);
    take();
    require(fates_ == events_, "each event has one fate");
  }

 private:
  void record(std::string_view bytes) {
    auto event = decode::decode(std::as_bytes(std::span(bytes)), catalog::kernel_tables().formats);
    if (!event) return;
    ++events_;
    event->head.time_ns = clock_.now += kMs;  // capture brings them in the order of their times
    const auto identified = identify_.on_event(*event);
    link_.on_event(*event, identified.who, identified.child_or_previous);
  }

  void tick(std::uint8_t hundredths) {
    clock_.now += hundredths * 10 * kMs;
    link_.on_tick(clock_.now);
    identify_.expire(clock_.now);
    take();
  }

  void take() {
    link::Link::Output out = link_.take();
    for (const UseRow& use : out.uses)
      check(use);
    Batch batch{.rows = std::move(out.rows),
                .uses = std::move(out.uses),
                .touches = std::move(out.touches),
                .holdings = std::move(out.holdings),
                .slot_changes = std::move(out.slot_changes)};
    judge_.on_batch(batch);
    std::vector<Row> rows = std::move(batch.rows);
    for (UseRow& use : batch.uses)
      rows.push_back({.time_ns = use.last_ns, .body = std::move(use)});
    for (Row& row : rows)
      row.seq = ++sequence_;
    show(rows);
  }

  /// What leaves the agent: JSON that parses, Protobuf that takes the texts.
  void show(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      boost::system::error_code error;
      const std::string text = serve::to_json_text(row);
      require(boost::json::parse(text, error).is_object() && !error && fuzz::is_shown_safely(text),
              "a row is plain JSON");
    }
    const std::vector<otlp::Place> places = spans_.place(rows);
    otlp::TraceRequest spans;
    otlp::LogRequest logs;
    require(spans.ParseFromString(otlp::build_trace_request(rows, places, otlp::Sender{"node"}).SerializeAsString()) &&
                logs.ParseFromString(otlp::build_log_request(rows, places, otlp::Sender{"node"}).SerializeAsString()),
            "spans and log records hold UTF-8");
  }

  SteppedClock clock_;
  WaitingExaminer examiner_;
  identify::Identify identify_;
  std::uint64_t events_ = 0, fates_ = 0, sequence_ = 0;
  link::Link link_;
  judge::Judge judge_;
  otlp::SpanBuilder spans_{otlp::HistoryId{1}};
};

}  // namespace
}  // namespace keytrail

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keytrail::Stages().run(keytrail::fuzz::text_of(data, size));
  return 0;
}
