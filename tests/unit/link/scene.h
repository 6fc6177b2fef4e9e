// SPDX-License-Identifier: Apache-2.0
// A small world for link's tests: processes, files and connections by hand-made events in kernel time order, and a fake
// examiner.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/program_name.h"
#include "agent/link/link.h"
#include "fake_examiner.h"

namespace keytrail::link {

inline constexpr std::uint64_t kMs = 1'000'000;
inline const std::string kCredentials = "/root/.aws/credentials";
inline const std::string kS3 = "s3.eu-west-1.amazonaws.com";

struct FakeClock : Clock {
  std::atomic<std::uint64_t> now = 1'000'000 * kMs;  ///< a history's writer reads it too
  [[nodiscard]] std::uint64_t boot_ns() const override { return now; }
  [[nodiscard]] std::int64_t wall_ns() const override {
    return 1'800'000'000'000'000'000 + static_cast<std::int64_t>(now);
  }
};

inline Fingerprint fingerprint_of(std::string_view text) {
  Fingerprint out;
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    out.bytes[i] = static_cast<std::uint8_t>(std::hash<std::string>{}(std::string(text) + std::to_string(i)) | 1U);
  }
  return out;
}

inline SocketAddress ip(std::uint8_t last, std::uint16_t port = 443) {
  SocketAddress out;
  out.address = {198, 51, 100, last};
  out.port = port;
  return out;
}
inline SocketAddress metadata_service() {
  SocketAddress out;
  out.address = {169, 254, 169, 254};
  out.port = 80;
  return out;
}
inline SocketAddress loopback(std::uint16_t port) {
  SocketAddress out;
  out.address = {127, 0, 0, 1};
  out.port = port;
  return out;
}

/// A long-lived AWS key of a profile; its secret is "secret of ID".
inline KeyFact aws_fact(const std::string& id, const std::string& profile = "default") {
  KeyFact fact;
  fact.key.id = id;
  fact.key.kind = "aws.access_key";
  fact.key.lifetime = Lifetime::kLongLived;
  fact.key.fingerprint = fingerprint_of("secret of " + id);
  fact.selector = profile;
  fact.selector_hash = fingerprint_of(profile);
  return fact;
}
inline FileAnswer file_of(std::vector<KeyFact> keys, std::uint64_t inode = 0) {
  FileAnswer answer;
  answer.keys = std::move(keys);
  answer.file.inode = inode;
  answer.file.size = inode;
  return answer;
}
inline EnvItem shown(const std::string& name, const std::string& value) {
  return {name, value, {}, static_cast<std::uint32_t>(value.size()), false};
}
inline EnvItem secret(const std::string& name, const std::string& text) {
  const auto* format = catalog::format_of_text(catalog::kernel_tables().formats, text);
  return {name,
          {},
          fingerprint_of(text),
          static_cast<std::uint32_t>(text.size()),
          false,
          format != nullptr ? std::string(format->format_id) : std::string()};
}
inline std::vector<EnvItem> aws_env(const std::string& id) {
  return {shown("AWS_ACCESS_KEY_ID", id), secret("AWS_SECRET_ACCESS_KEY", "secret of " + id)};
}
inline ArgItem flag(const std::string& name, const std::string& value) {
  return {name, {}, {}, fingerprint_of(value), 1};
}

struct Program {
  std::string exe = "/usr/bin/python3.11", filename = "/usr/bin/python3";
  std::vector<EnvItem> env;
  std::vector<ArgItem> args;
  bool env_truncated = false;
  bool args_truncated = false;
  std::uint32_t stdin_pipe = 0, stdout_pipe = 0;
  ArgsKept args_kept = ArgsKept::kNone;
  bool channel = false;
};
inline Program aws_program(std::vector<EnvItem> env = {}, std::vector<ArgItem> args = {}) {
  return {"/usr/bin/python3.11", "/usr/bin/aws", std::move(env), std::move(args), false};
}

class Scene : public ::testing::Test {
 protected:
  void SetUp() override { make(); }

  void make(LinkOptions options = {}) {
    link = std::make_unique<Link>(
        options, catalog::Catalog::builtin(), examiner, clock,
        [this](Fate fate, const std::string& reason) { fates.add(fate, reason); },
        [this](std::uint32_t mnt_ns) { return live_in(mnt_ns); });
    for (std::size_t i = 0; i < kFamilies; ++i)
      link->set_armed(static_cast<Family>(i), true);
    link->set_armed_ns(1);
  }

  void TearDown() override {
    examiner.answer_all();
    link->finish(clock.now);
    collect();
    EXPECT_EQ(fates.recorded + fates.absorbed + dropped(), sent) << "every event of the ring has one fate";
  }
  [[nodiscard]] std::uint64_t dropped() const {
    std::uint64_t total = 0;
    for (const auto& [reason, count] : fates.dropped)
      total += count;
    return total;
  }

  ProcessRef process(std::uint32_t pid) { return processes[pid]; }
  [[nodiscard]] std::vector<std::uint32_t> live_in(std::uint32_t mnt_ns) const {
    std::vector<std::uint32_t> out;
    for (const auto& [pid, process] : processes) {
      if (process->mnt_ns == mnt_ns && !ended.contains(pid)) out.push_back(pid);
    }
    return out;
  }
  ProcessRef make_process(InstanceId id, const Program& program, InstanceId parent, Origin origin) {
    auto out = std::make_shared<Process>();
    out->id = id;
    out->parent = parent;
    out->exe = program.exe;
    out->filename = program.filename;
    out->comm = "comm";
    out->mnt_ns = parent.tgid != 0 && processes.contains(parent.tgid) ? processes[parent.tgid]->mnt_ns : 1;
    out->net_ns = 1;
    out->exec_ns = clock.now;
    out->origin = origin;
    out->env = program.env;
    out->args = program.args;
    auto workload = std::make_shared<Workload>();
    workload->id = "host:test";
    workload->name = "host: test";
    out->workload = workload;
    processes[id.tgid] = out;
    return out;
  }
  void send(InstanceId who, decltype(Event::body) body, const ProcessRef& self, const ProcessRef& other = {},
            bool baseline = false) {
    Event event;
    event.head.time_ns = clock.now += kMs;
    event.head.who = who;
    event.head.from_ring = true;
    event.head.baseline = baseline;
    event.body = std::move(body);
    ++sent;
    link->on_event(event, self, other);
    if (!examiner.hold) examiner.answer_all();
  }

  /// A process of its own, started by a shell that has nothing.
  void start(std::uint32_t pid, const Program& program = {}, std::uint32_t parent = 1) {
    if (!processes.contains(parent)) {
      const InstanceId init{parent, parent, 0};
      make_process(init, {"/usr/bin/bash", "/bin/bash", {}, {}, false}, {}, Origin::kExecSeen);
      exec(parent, {"/usr/bin/bash", "/bin/bash", {}, {}, false});
    }
    fork(parent, pid);
    exec(pid, program);
  }
  void fork(std::uint32_t parent, std::uint32_t child) {
    const ProcessRef from = process(parent);
    const InstanceId id{child, clock.now, from->id.exec};
    Program same{
        from->exe, from->filename, {from->env.begin(), from->env.end()}, {from->args.begin(), from->args.end()}, false};
    const ProcessRef made = make_process(id, same, from->id, Origin::kForkSeen);
    send(from->id, ForkEvent{id}, from, made);
  }
  void exec(std::uint32_t pid, const Program& program) {
    const ProcessRef before = process(pid);
    InstanceId id = before->id;
    ++id.exec;
    const ProcessRef made = make_process(id, program, before->parent, Origin::kExecSeen);
    ExecEvent event;
    event.parent = before->parent;
    event.exe = program.exe;
    event.filename = program.filename;
    event.env = program.env;
    event.args = program.args;
    event.env_truncated = program.env_truncated;
    event.args_truncated = program.args_truncated;
    event.stdin_pipe = program.stdin_pipe;
    event.stdout_pipe = program.stdout_pipe;
    event.args_kept = program.args_kept;
    event.channel = program.channel;
    event.comm = base::base_name(program.filename);
    send(id, std::move(event), made, before);
  }
  void unshare(std::uint32_t pid, std::uint32_t mnt_ns, const std::string& unit = {}) {
    auto moved = std::make_shared<Process>(*process(pid));
    moved->mnt_ns = mnt_ns;
    if (!unit.empty()) {
      auto workload = std::make_shared<Workload>();
      workload->id = "unit:" + unit;
      workload->name = unit;
      workload->facts.push_back({fact::kUnit, unit});
      moved->workload = workload;
      moved->cgroup_id = std::hash<std::string>()(unit);
    }
    processes[pid] = moved;
  }
  void exit(std::uint32_t pid) {
    ended.insert(pid);
    send(process(pid)->id, ExitEvent{}, process(pid));
  }
  void open(std::uint32_t pid, const std::string& path = kCredentials, bool baseline = false, bool cut = false) {
    OpenEvent event;
    event.path = path;
    event.path_truncated = cut;
    event.mnt_ns = process(pid)->mnt_ns;
    event.file.dev = 8;
    event.file.inode = std::hash<std::string>{}(path);
    const std::string own = in_mount_ns(event.mnt_ns, path);
    const auto known = examiner.files.find(examiner.files.contains(own) ? own : path);
    if (known != examiner.files.end() && known->second.file.inode != 0) event.file = known->second.file;
    event.file.dev = 8;
    send(process(pid)->id, event, process(pid), {}, baseline);
  }
  /// Looks at the environment or the memory of another process.
  void peek(std::uint32_t pid, std::uint32_t of, PeekEvent::What what = PeekEvent::What::kEnvironment) {
    send(process(pid)->id, PeekEvent{process(of)->id, what}, process(pid));
  }
  void connect(std::uint32_t pid, std::uint64_t cookie, SocketAddress remote = ip(1), bool udp = false) {
    send(process(pid)->id, ConnectEvent{cookie, remote, 1, udp}, process(pid));
  }
  void payload(std::uint32_t pid, std::uint64_t cookie, const std::string& sni = kS3) {
    PayloadEvent event;
    event.cookie = cookie;
    event.protocol = sni.empty() ? PayloadEvent::Protocol::kOther : PayloadEvent::Protocol::kTls;
    event.name = sni;
    event.beyond = true;
    send(process(pid)->id, event, process(pid));
  }
  /// A ClientHello, and what left beyond its handshake.
  void hello(std::uint32_t pid, std::uint64_t cookie, const std::string& sni = kS3) {
    PayloadEvent event;
    event.cookie = cookie;
    event.protocol = PayloadEvent::Protocol::kTls;
    event.name = sni;
    event.length = 517;
    send(process(pid)->id, event, process(pid));
  }
  void tls_data(std::uint32_t pid, std::uint64_t cookie) {
    PayloadEvent event;
    event.cookie = cookie;
    event.protocol = PayloadEvent::Protocol::kTlsData;
    send(process(pid)->id, event, process(pid));
  }
  /// A metadata service answers.
  void answer(std::uint32_t pid, std::uint64_t cookie, std::uint16_t status) {
    PayloadEvent event;
    event.cookie = cookie;
    event.protocol = PayloadEvent::Protocol::kStatus;
    event.status = status;
    send(process(pid)->id, event, process(pid));
  }
  void http(std::uint32_t pid, std::uint64_t cookie, const std::string& host, const std::string& path,
            const std::string& method = "GET") {
    PayloadEvent event;
    event.cookie = cookie;
    event.protocol = PayloadEvent::Protocol::kHttp;
    event.name = host;
    event.method = method;
    event.path = path;
    send(process(pid)->id, event, process(pid));
  }
  void socket(std::uint64_t cookie, SocketState now, std::uint64_t bytes_sent = 0, std::uint64_t received = 0) {
    SocketEvent event;
    event.cookie = cookie;
    event.state = now;
    event.bytes_sent = bytes_sent;
    event.bytes_received = received;
    send({}, event, {});
  }
  void dns(std::uint32_t pid, const std::string& name, SocketAddress address) {
    address.port = 0;
    send(process(pid)->id, DnsEvent{1, {{name, address, 60}}}, process(pid));
  }
  void call(std::uint32_t pid, const std::string& sni = kS3, SocketAddress remote = ip(1)) {
    connect(pid, ++cookies, remote);
    payload(pid, cookies, sni);
  }
  void tick(std::uint64_t ms = 0) {
    clock.now += ms * kMs;
    link->on_tick(clock.now);
    if (!examiner.hold) examiner.answer_all();
  }

  void collect() {
    Link::Output out = link->take();
    for (Row& row : out.rows) {
      if (auto* acquisition = std::get_if<AcquisitionRow>(&row.body)) acquisitions.push_back(*acquisition);
      if (auto* gap = std::get_if<GapRow>(&row.body)) gaps.push_back(*gap);
    }
    for (FoundPlace& one : out.found)
      found.push_back(std::move(one));
    for (TokenTold& one : out.told)
      tokens.push_back(std::move(one));
    for (UseRow& use : out.uses)
      uses.push_back(std::move(use));
    for (UseTouch& touch : out.touches)
      touches.push_back(std::move(touch));
    for (HoldingChange& change : out.holdings) {
      const std::uint32_t pid = change.holding.actor.id.tgid;
      if (change.kind == HoldingChange::Kind::kEnd) {
        holders.erase(pid);
      } else if (change.kind == HoldingChange::Kind::kDrop) {
        holders[pid].erase(change.holding.key.id);
      } else {
        holders[pid][change.holding.key.id] = change.holding;
      }
    }
    for (KeyReader& reader : out.readers)
      readers.push_back(std::move(reader));
    for (const Child& child : out.children)
      children.push_back(child);
    for (Life& life : out.lives)
      lives[life.id] = std::move(life);
    slot_changes.insert(slot_changes.end(), out.slot_changes.begin(), out.slot_changes.end());
  }
  /// What the history would give a link that is started again.
  [[nodiscard]] Earlier earlier() const {
    Earlier out{.slots = slot_changes};
    for (const auto& [id, life] : lives)
      out.lives.push_back(life);
    return out;
  }
  /// The worker ends and another takes over what it stored.
  void restart(std::uint32_t pid) {
    collect();
    const Earlier stored = earlier();
    const auto held = holders[pid];
    ASSERT_FALSE(held.empty());
    make();
    link->load(stored);
    for (const auto& [id, holding] : held)
      link->adopt(holding, process(pid));
    tick();
  }
  /// The slot that held this key has another one now.
  [[nodiscard]] bool replaced(const std::string& key) const {
    bool out = false;
    for (const SlotChange& change : slot_changes)
      out = change.old_id == key ? !change.new_id.empty() : out && change.new_id != key;
    return out;
  }
  /// "evidence reason: KEY, KEY" of each use.
  std::vector<std::string> told() {
    collect();
    std::vector<std::string> out;
    for (const UseRow& use : uses) {
      std::string text = std::string(to_string(use.evidence)) + " " + to_string(use.reason) + ":";
      for (const Candidate& key : use.keys)
        text += " " + key.key.id;
      out.push_back(text);
    }
    return out;
  }
  /// "from place [selector] KEY by PID" of each acquisition.
  std::vector<std::string> acquired() {
    collect();
    std::vector<std::string> out;
    for (const AcquisitionRow& row : acquisitions) {
      out.push_back(std::string(to_string(row.slot.from)) + " " + row.slot.place + " [" + row.slot.selector + "] " +
                    (row.unread.empty() ? row.key.id : "unread " + row.unread) + " by " +
                    std::to_string(row.actor.id.tgid));
    }
    return out;
  }
  using Lines = std::vector<std::string>;

  FakeClock clock;
  FakeExaminer examiner;
  WorkerCounters fates;
  std::uint64_t sent = 0, cookies = 0;
  std::map<std::uint32_t, ProcessRef> processes;
  std::set<std::uint32_t> ended;
  std::unique_ptr<Link> link;
  std::vector<AcquisitionRow> acquisitions;
  std::vector<GapRow> gaps;
  std::vector<UseRow> uses;
  std::vector<UseTouch> touches;
  std::vector<KeyReader> readers;
  std::vector<Child> children;
  std::vector<FoundPlace> found;
  std::vector<TokenTold> tokens;
  std::map<std::uint32_t, std::map<std::string, Holding>> holders;
  std::map<InstanceId, Life> lives;
  std::vector<SlotChange> slot_changes;
};

}  // namespace keytrail::link
