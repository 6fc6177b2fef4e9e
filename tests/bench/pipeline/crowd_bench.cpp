// SPDX-License-Identifier: Apache-2.0
// Memory of the worker's stages on a crowded node, by a synthetic feed: made-up records through decode, identify, link
// and record, with an examiner that answers from memory. 500 containers; each process was forked by its container's
// first one and executed a program with the container's 12 variables, 100 in a second; one in ten holds a key of its
// own, read from a file, and has a connection open to S3.
#include <fmt/format.h>
#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/decode/decode.h"
#include "agent/identify/identify.h"
#include "agent/link/link.h"
#include "agent/record/history.h"
#include "tests/replay/record_builder.h"

namespace {

using namespace keytrail;
using namespace keytrail::replay;

constexpr std::uint32_t kContainers = 500;

/// Resident kB of this process.
long resident_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

double thread_seconds() {
  timespec at{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) / 1e9;
}

/// A key of its own for each process that asks.
class MemoryExaminer final : public Examiner {
 public:
  void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) override {
    waiting_.emplace_back(std::move(request), std::move(done));
  }
  void answer() {
    while (!waiting_.empty()) {
      auto [request, done] = std::move(waiting_.front());
      waiting_.pop_front();
      const auto* question = std::get_if<FileQuestion>(&request.question);
      if (question == nullptr) {
        std::holds_alternative<ArgumentsQuestion>(request.question) ? done(ArgumentsAnswer{})
                                                                    : done(EnvironmentAnswer{});
        continue;
      }
      FileAnswer out;
      out.file = question->file;
      out.unchanged = question->look;
      KeyFact fact;
      fact.key.id = fmt::format("AKIAQ{:015}", question->file.inode);
      fact.key.kind = "aws.access_key";
      fact.key.lifetime = Lifetime::kLongLived;
      fact.key.fingerprint.bytes[0] = static_cast<std::uint8_t>(question->file.inode);
      fact.key.fingerprint.bytes[1] = static_cast<std::uint8_t>(question->file.inode >> 8U);
      fact.key.fingerprint.bytes[2] = 1;
      fact.selector = "default";
      if (!question->look) out.keys.push_back(std::move(fact));
      done(std::move(out));
    }
  }

 private:
  std::deque<std::pair<ExamineRequest, std::function<void(ExamineAnswer)>>> waiting_;
};

/// The feed's own time: 100 processes start in a second, as if the node filled up in eight minutes.
class FeedClock final : public Clock {
 public:
  std::uint64_t now = 1'000'000'000'000;
  [[nodiscard]] std::uint64_t boot_ns() const override { return now; }
  [[nodiscard]] std::int64_t wall_ns() const override {
    return 1'800'000'000'000'000'000 + static_cast<std::int64_t>(now);
  }
};

class Node {
 public:
  Node(std::string folder, FeedClock& clock)
      : clock_(clock),
        folder_(std::move(folder)),
        link_(
            {}, catalog::Catalog::builtin(), examiner_, clock, [](Fate, const std::string&) {},
            [this](std::uint32_t mnt_ns) { return identify_.same_mount_ns(mnt_ns, 8); }) {
    record::HistoryOptions options;
    options.path = folder_ + "/history.db";
    auto opened = record::History::open(options, clock);
    if (opened) history_ = std::move(*opened);
    for (std::size_t i = 0; i < kFamilies; ++i)
      link_.set_armed(static_cast<Family>(i), true);
    link_.set_armed_ns(1);
  }
  [[nodiscard]] bool ready() const { return history_ != nullptr; }

  void container(std::uint32_t n) {
    const std::string path = leaf_first(
        fmt::format("/kubepods.slice/kubepods-burstable.slice/pod{0:032x}/cri-containerd-{0:08x}{0:056x}.scope", n));
    deliver(record_of(
        ev_cgroup{.head = head_of(KT_EV_CGROUP, KT_FAMILY_EXEC, next(), {.cgroup_id = 1000 + n}, KT_F_LEAF_FIRST),
                  .path_len = static_cast<std::uint16_t>(path.size())},
        path));
    execute(first_of(n), n, "/usr/bin/tini");
  }

  void process(std::uint32_t n) {
    const Who parent = first_of(n % kContainers);
    Who child = who(n);
    child.exec = 1;
    deliver(record_of(ev_fork{.head = head_of(KT_EV_FORK, KT_FAMILY_EXEC, next(), parent),
                              .child_start_ns = child.start_ns,
                              .child_tgid = child.tgid,
                              .child_exec = 1}));
    execute(who(n), n % kContainers, fmt::format("/usr/local/bin/service-{}", n % 40));
  }

  void holder(std::uint32_t n) {
    const Who me = who(n);
    deliver(open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, next(), me),
                     .inode = n + 1,
                     .size = 116,
                     .ctime_ns = 1,
                     .mnt_ns = 5000 + n % kContainers},
                    fmt::format("/home/user-{}/.aws/credentials", n)));
    examiner_.answer();
    call(n, n + 1);
  }

  /// A connection to S3 that stays open.
  void call(std::uint32_t n, std::uint64_t cookie) {
    const Who me = who(n);
    const auto last = static_cast<std::uint8_t>(n % 250 + 1);
    deliver(record_of(ev_connect{.head = head_of(KT_EV_CONNECT, KT_FAMILY_CONNECT, next(), me),
                                 .cookie = cookie,
                                 .address = {198, 51, 100, last},
                                 .port = 443,
                                 .net_ns = 6000 + n % kContainers}));
    deliver(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, KT_FAMILY_CONNECT, next(), me),
                                .cookie = cookie,
                                .state = KT_SOCKET_ESTABLISHED}));
    const std::string request = "GET /\ns3.eu-west-1.amazonaws.com";
    deliver(record_of(ev_payload{.head = head_of(KT_EV_PAYLOAD, KT_FAMILY_NAME, next(), me),
                                 .cookie = cookie,
                                 .seen_len = request.size(),
                                 .data_len = static_cast<std::uint16_t>(request.size()),
                                 .protocol = KT_PAYLOAD_HTTP},
                      request));
  }
  void hang_up(std::uint32_t n, std::uint64_t cookie) {
    deliver(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, KT_FAMILY_CONNECT, next(), who(n)),
                                .cookie = cookie,
                                .bytes_sent = 500,
                                .bytes_received = 5'000,
                                .state = KT_SOCKET_CLOSED}));
  }
  [[nodiscard]] std::uint64_t events() const { return events_; }

  /// A second of the node's life.
  void flush() {
    clock_.now += 1'000'000'000;
    identify_.expire(clock_.now);
    examiner_.answer();
    link_.on_tick(clock_.now);
    auto out = link_.take();
    rows_ += out.rows.size();
    uses_ += out.uses.size();
    holdings_ += out.holdings.size();
    history_->submit({.rows = std::move(out.rows),
                      .uses = std::move(out.uses),
                      .touches = std::move(out.touches),
                      .holdings = std::move(out.holdings),
                      .lives = std::move(out.lives),
                      .slot_changes = std::move(out.slot_changes)});
    history_->drain(std::chrono::seconds(10));
  }

  [[nodiscard]] std::string told() const {
    const auto stats = identify_.stats();
    return fmt::format(
        "{} live processes, {} acquisitions and other rows, {} uses, {} changes of holdings; {} records refused, {} "
        "processes not stored",
        stats.live, rows_, uses_, holdings_, refused_, stats.not_stored);
  }
  [[nodiscard]] bool complete(std::uint32_t processes, std::uint32_t holders) const {
    return identify_.stats().live >= processes && uses_ >= holders && holdings_ >= holders && refused_ == 0;
  }
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const { return link_.counters(); }

 private:
  static Who who(std::uint32_t n) {
    return {.tgid = 10'000 + n,
            .start_ns = 2'000'000'000ULL + n,
            .exec = 2,
            .cgroup_id = 1000 + n % kContainers,
            .uid = 1000 + n % kContainers % 50};
  }
  static Who first_of(std::uint32_t container) {
    return {.tgid = 1'000'000 + container,
            .start_ns = 1'000 + container,
            .exec = 2,
            .cgroup_id = 1000 + container,
            .uid = 1000 + container % 50};
  }
  void execute(const Who& me, std::uint32_t container, const std::string& program) {
    const Who parent = first_of(container);
    const ev_exec exec{.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, next(), me),
                       .parent_start_ns = parent.start_ns,
                       .parent_tgid = parent.tgid,
                       .parent_exec = parent.exec,
                       .mnt_ns = 5000 + container,
                       .net_ns = 6000 + container};
    deliver(exec_of(exec, program, program, variables(container)));
  }
  static std::string variables(std::uint32_t n) {
    std::string out;
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "HOME", "KUBERNETES_SERVICE_HOST",
                             "KUBERNETES_SERVICE_PORT", "VAULT_ADDR", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "NO_PROXY",
                             "AWS_ROLE_ARN", "AWS_CONFIG_FILE"})
      out += item_of(KT_ITEM_ENV_SHOW, name, fmt::format("value-of-usual-length-{}", n));
    return out;
  }
  std::uint64_t next() { return clock_.now += 1'000; }
  void deliver(const RecordBytes& bytes) {
    ++events_;
    auto event = decode::decode(bytes, catalog::kernel_tables().formats);
    if (!event) {
      ++refused_;
      return;
    }
    event->head.from_ring = true;
    const auto identified = identify_.on_event(*event);
    link_.on_event(*event, identified.who, identified.child_or_previous);
  }

  FeedClock& clock_;
  const std::string folder_;
  MemoryExaminer examiner_;
  identify::Identify identify_{{.proc_root = "/nonexistent", .max_proc_reads_per_s = 0}};
  link::Link link_;
  std::unique_ptr<record::History> history_;
  std::uint64_t rows_ = 0, uses_ = 0, holdings_ = 0, refused_ = 0, events_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto processes = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 50'000);
  const auto holders = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 5'000);
  const char* base_folder = std::getenv("TMPDIR");
  std::string folder = std::string(base_folder != nullptr ? base_folder : "/tmp") + "/keytrail-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  FeedClock clock;
  int status = 1;
  {
    Node node(folder, clock);
    if (!node.ready()) return 1;
    for (std::uint32_t n = 0; n < kContainers; ++n)
      node.container(n);
    node.flush();
    const long empty = resident_kb();
    for (std::uint32_t n = 0; n < processes; ++n) {
      node.process(n);
      if (n % 100 == 0) node.flush();
    }
    for (int second = 0; second < 40; ++second)  // what exec replaced is kept for 30 s
      node.flush();
    const long crowded = resident_kb();
    for (std::uint32_t n = 0; n < holders; ++n) {
      node.holder(n * (processes / std::max(holders, 1U)));
      if (n % 100 == 0) node.flush();
    }
    for (int second = 0; second < 40; ++second)
      node.flush();
    const long full = resident_kb();
    constexpr std::uint64_t kRounds = 20;
    const std::uint64_t before = node.events();
    const double begun = thread_seconds();
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      for (std::uint32_t n = 0; n < holders; ++n) {
        const std::uint32_t who = n * (processes / std::max(holders, 1U));
        node.call(who, (round << 32U) + n);
        node.hang_up(who, (round << 32U) + n);
        if (n % 1'000 == 0) node.flush();
      }
    }
    node.flush();
    const double spent = thread_seconds() - begun;
    fmt::print("{}\n", node.told());
    fmt::print(
        "calls: {} events, {:.0f} a second of one core, from their bytes through decode, identify and link to the "
        "batch (making them included)\n",
        node.events() - before, static_cast<double>(node.events() - before) / spent);
    for (const auto& [name, count] : node.counters())
      if (count != 0) fmt::print("  {} {}\n", name, count);
    fmt::print(
        "resident kB: {} with no process, {} with {} processes (+{:.2f} each), {} with {} holders among them (+{:.2f} "
        "each)\n",
        empty, crowded, processes, static_cast<double>(crowded - empty) / processes, full, holders,
        static_cast<double>(full - crowded) / holders);
    fmt::print("what the crowd adds: {:.1f} MB\n", static_cast<double>(full - empty) / 1024);
    status = node.complete(processes, holders) ? 0 : 1;
    if (status != 0) fmt::print("not all of it arrived: the figure does not count\n");
  }
  std::filesystem::remove_all(folder);
  return status;
}
