// SPDX-License-Identifier: Apache-2.0
// CPU of the worker's stages for events that lead to no examination and no row: what most of a node's events are. The
// records are made outside the measured time; a tick and a batch for each 50 ms of the feed are included, storing is
// not.
//   quiet_bench [COUNT [SHAPE]]     ns of CPU an event, for each shape of event
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/decode/decode.h"
#include "agent/identify/identify.h"
#include "agent/link/link.h"
#include "tests/replay/record_builder.h"

namespace {

using namespace keytrail;
using namespace keytrail::replay;

constexpr std::uint64_t kStart = 1'000'000'000'000;
constexpr std::uint64_t kStepNs = 20'000;  // 50,000 events in a second
constexpr std::uint32_t kShells = 200;

double thread_ns() {
  timespec at{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) * 1e9 + static_cast<double>(at.tv_nsec);
}

class FeedClock final : public Clock {
 public:
  std::uint64_t now = kStart;
  [[nodiscard]] std::uint64_t boot_ns() const override { return now; }
  [[nodiscard]] std::int64_t wall_ns() const override {
    return 1'800'000'000'000'000'000 + static_cast<std::int64_t>(now);
  }
};

/// Nothing of it is measured: each file is none that holds a key.
class NoKeys final : public Examiner {
 public:
  void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) override {
    ++asked;
    if (const auto* question = std::get_if<FileQuestion>(&request.question)) {
      FileAnswer out;
      out.file = question->file;
      out.format = "text";
      return done(std::move(out));
    }
    std::holds_alternative<ArgumentsQuestion>(request.question) ? done(ArgumentsAnswer{}) : done(EnvironmentAnswer{});
  }
  std::uint64_t asked = 0;
};

class Node {
 public:
  Node()
      : link_(
            {}, catalog::Catalog::builtin(), examiner, clock, [](Fate, const std::string&) {},
            [this](std::uint32_t mnt_ns) { return identify_.same_mount_ns(mnt_ns, 8); }) {
    for (std::size_t i = 0; i < kFamilies; ++i)
      link_.set_armed(static_cast<Family>(i), true);
    link_.set_armed_ns(1);
  }
  void deliver(const RecordBytes& bytes) {
    auto event = decode::decode(bytes, catalog::kernel_tables().formats);
    if (!event) return void(++refused);
    event->head.from_ring = true;
    clock.now = std::max(clock.now, event->head.time_ns);
    const auto identified = identify_.on_event(*event);
    link_.on_event(*event, identified.who, identified.child_or_previous);
    if (clock.now < next_) return;
    if (next_ % 1'000'000'000 == 0) identify_.expire(clock.now);
    next_ += 50'000'000;
    link_.on_tick(clock.now);
    const auto out = link_.take();
    rows += out.rows.size() + out.uses.size();
  }

  FeedClock clock;
  NoKeys examiner;
  std::uint64_t refused = 0, rows = 0;

 private:
  identify::Identify identify_{{.proc_root = "/nonexistent", .max_proc_reads_per_s = 0}};
  link::Link link_;
  std::uint64_t next_ = kStart;
};

/// Makes the records of one round of a shape.
class Feed {
 public:
  std::vector<RecordBytes> records;

  std::uint64_t next() { return now_ += kStepNs; }
  static Who shell(std::uint64_t n) {
    const auto at = static_cast<std::uint32_t>(n % kShells);
    return {.tgid = 1'000 + at, .start_ns = 1'000 + at, .exec = 2, .cgroup_id = 100 + at % 20, .uid = 1'000};
  }
  void add(RecordBytes bytes) { records.push_back(std::move(bytes)); }
  void execute(const Who& who, const Who& parent, const char* program, const std::string& variables) {
    const ev_exec exec{.head = head_of(KT_EV_EXEC, KT_FAMILY_EXEC, next(), who),
                       .parent_start_ns = parent.start_ns,
                       .parent_tgid = parent.tgid,
                       .parent_exec = parent.exec,
                       .mnt_ns = 7,
                       .net_ns = 8};
    add(exec_of(exec, program, program, variables));
  }
  void cgroups() {
    for (std::uint32_t n = 0; n < 20; ++n) {
      const std::string path = leaf_first(fmt::format("/system.slice/service-{}.service", n));
      add(record_of(
          ev_cgroup{.head = head_of(KT_EV_CGROUP, KT_FAMILY_EXEC, next(), {.cgroup_id = 100 + n}, KT_F_LEAF_FIRST),
                    .path_len = static_cast<std::uint16_t>(path.size())},
          path));
    }
    for (std::uint32_t n = 0; n < kShells; ++n)
      execute(shell(n), {.tgid = 1, .start_ns = 1, .exec = 1}, "/usr/bin/bash", {});
  }
  /// fork, exec, exit of a program, as a build starts them.
  void program(std::uint64_t n, const std::string& variables) {
    const Who parent = shell(n);
    Who child = parent;
    child.tgid = static_cast<std::uint32_t>(10'000 + n % 3'000'000);
    child.start_ns = kStart + n;
    add(record_of(ev_fork{.head = head_of(KT_EV_FORK, KT_FAMILY_EXEC, next(), parent),
                          .child_start_ns = child.start_ns,
                          .child_tgid = child.tgid,
                          .child_exec = child.exec}));
    child.exec = 3;
    execute(child, parent, "/usr/bin/true", variables);
    add(record_of(ev_exit{.head = head_of(KT_EV_EXIT, KT_FAMILY_EXEC, next(), child)}));
  }
  /// A connection of somebody who holds no key.
  void call(std::uint64_t n, std::array<std::uint8_t, 4> to, bool request) {
    const Who who = shell(n);
    const std::uint64_t cookie = n + 1;
    add(record_of(ev_connect{.head = head_of(KT_EV_CONNECT, KT_FAMILY_CONNECT, next(), who),
                             .cookie = cookie,
                             .address = {to[0], to[1], to[2], to[3]},
                             .port = 8'080,
                             .net_ns = 8}));
    add(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, KT_FAMILY_CONNECT, next(), who),
                            .cookie = cookie,
                            .state = KT_SOCKET_ESTABLISHED}));
    const std::string text = "GET /index.html\nwww.example.org";
    if (request)
      add(record_of(ev_payload{.head = head_of(KT_EV_PAYLOAD, KT_FAMILY_NAME, next(), who),
                               .cookie = cookie,
                               .seen_len = text.size(),
                               .data_len = static_cast<std::uint16_t>(text.size()),
                               .protocol = KT_PAYLOAD_HTTP},
                    text));
    add(record_of(ev_socket{.head = head_of(KT_EV_SOCKET, KT_FAMILY_CONNECT, next(), who),
                            .cookie = cookie,
                            .bytes_sent = request ? 500UL : 0UL,
                            .bytes_received = request ? 5'000UL : 0UL,
                            .state = KT_SOCKET_CLOSED}));
  }
  /// A file that looks like a key's and was found to be none.
  void open(std::uint64_t n) {
    add(open_of({.head = head_of(KT_EV_OPEN, KT_FAMILY_OPEN, next(), shell(n)),
                 .inode = 1 + n % 50,
                 .size = 116,
                 .ctime_ns = 1,
                 .mnt_ns = 7},
                fmt::format("/srv/app-{}/config/credentials.json", n % 50)));
  }
  void local(std::uint64_t n) {
    const std::string path = "/run/dbus/system_bus_socket";
    add(record_of(ev_unix{.head = head_of(KT_EV_UNIX, KT_FAMILY_CONNECT, next(), shell(n)),
                          .path_len = static_cast<std::uint16_t>(path.size())},
                  path));
  }

 private:
  std::uint64_t now_ = kStart;
};

std::string variables() {
  std::string out;
  for (const char* name : {"AWS_REGION", "AWS_PROFILE", "HOME", "KUBERNETES_SERVICE_HOST", "VAULT_ADDR", "HTTPS_PROXY"})
    out += item_of(KT_ITEM_ENV_SHOW, name, "value-of-usual-length");
  return out;
}

struct Shape {
  std::string_view name;
  std::function<void(Feed&, std::uint64_t n)> add;
};

}  // namespace

int main(int argc, char** argv) {
  const auto count = static_cast<std::uint64_t>(argc > 1 ? std::atoll(argv[1]) : 20'000);
  const std::string only = argc > 2 ? argv[2] : "";
  const std::string six = variables();
  const Shape shapes[] = {
      {"fork, exec, exit", [](Feed& feed, std::uint64_t n) { feed.program(n, {}); }},
      {"fork, exec with 6 variables, exit", [&](Feed& feed, std::uint64_t n) { feed.program(n, six); }},
      {"connect, close", [](Feed& feed, std::uint64_t n) { feed.call(n, {203, 0, 113, 9}, false); }},
      {"connect, close on loopback", [](Feed& feed, std::uint64_t n) { feed.call(n, {127, 0, 0, 1}, false); }},
      {"connect, request, close", [](Feed& feed, std::uint64_t n) { feed.call(n, {203, 0, 113, 9}, true); }},
      {"connect, request, close on loopback", [](Feed& feed, std::uint64_t n) { feed.call(n, {127, 0, 0, 1}, true); }},
      {"open of what holds no key", [](Feed& feed, std::uint64_t n) { feed.open(n); }},
      {"local socket", [](Feed& feed, std::uint64_t n) { feed.local(n); }},
  };
  for (const Shape& shape : shapes) {
    if (!only.empty() && shape.name != only) continue;
    Feed feed;
    feed.cgroups();
    const std::size_t setup = feed.records.size();
    for (std::uint64_t n = 0; n < count; ++n)
      shape.add(feed, n);
    Node node;
    for (std::size_t i = 0; i < setup; ++i)
      node.deliver(feed.records[i]);
    const double begun = thread_ns();
    for (std::size_t i = setup; i < feed.records.size(); ++i)
      node.deliver(feed.records[i]);
    const double events = static_cast<double>(feed.records.size() - setup);
    fmt::print("{:<38} {:6.0f} ns an event ({:.0f} events, {} refused, {} examined, {} rows)\n", shape.name,
               (thread_ns() - begun) / events, events, node.refused, node.examiner.asked, node.rows);
  }
}
