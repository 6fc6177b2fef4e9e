// SPDX-License-Identifier: Apache-2.0
// Link's state and the handlers of its events, one source file per subject. Private to this folder. One thread.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/link/acquisitions.h"
#include "agent/link/candidates.h"
#include "agent/link/environment.h"
#include "agent/link/gaps.h"
#include "agent/link/key_index.h"
#include "agent/link/link.h"
#include "agent/link/names.h"
#include "agent/link/slots.h"

namespace keytrail::link {

/// A socket, by its cookie.
struct Connection {
  Endpoint remote;
  std::uint32_t net_ns = 0;
  bool udp = false;
  bool started = false;  ///< its first payload was seen (or inferred from its byte counts)
  bool closed = false;
  bool failed = false;
  std::uint64_t connected_ns = 0;
  InstanceRef connector;
  std::uint64_t sent = 0, received = 0;                    ///< totals, last seen
  std::uint64_t reported_sent = 0, reported_received = 0;  ///< of these, told to the history
  std::shared_ptr<const UseRow> use;                       ///< the use it made, once judged
};
using ConnectionRef = std::shared_ptr<Connection>;

/// A use whose evidence waits for examinations.
struct HeldUse {
  ConnectionRef connection;
  InstanceRef caller;
  Resolved where;
  std::uint64_t time_ns = 0;  ///< of the payload
  std::uint64_t deadline_ns = 0;
  bool from_ring = false;
  bool late = false;  ///< the caller reads its key after it connected: judged at the end of connection or process
};

class Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock, Link::FateCall fate,
         Link::SameMountNs same_mount_ns);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void on_event(const Event& event, const ProcessRef& who, const ProcessRef& other);
  void on_tick(std::uint64_t now_ns);
  void adopt(const Holding& holding, const ProcessRef& who);
  void gap(std::uint64_t from_ns, std::uint64_t to_ns, std::string cause, std::optional<std::uint64_t> lost, std::string family);
  void finish(std::uint64_t now_ns);
  [[nodiscard]] Link::Output take();
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const;
  void load_state(const std::map<std::string, std::string>& state);
  void set_armed(Family family, bool armed) { armed_[static_cast<std::size_t>(family)] = armed; }
  void set_armed_ns(std::uint64_t armed_ns) { armed_ns_ = armed_ns; }

 private:
  /// What became of an event; kLater: somebody calls settle() for it.
  enum class Done : std::uint8_t { kAbsorbed, kRecorded, kLater, kDropped };

  // engine.cpp
  void settle(bool from_ring, Fate fate, const std::string& reason = {});
  void emit_gap(const Gap& gap, std::string cause);
  void emit(Row row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] Done on_body(const Event& event, const ProcessRef& who, const ProcessRef& other);

  // engine_process.cpp: the table of instances
  [[nodiscard]] InstanceRef instance_of(const InstanceId& id, const ProcessRef& who);
  [[nodiscard]] InstanceRef find_live(const InstanceId& id) const;
  void insert(const InstanceRef& instance);
  void end(InstanceRef instance);  // by value: the table's own reference goes
  Done on_fork(const ForkEvent& event, const EventHead& head, const ProcessRef& parent, const ProcessRef& child);
  Done on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_exit(const EventHead& head);
  Done on_task(const EventHead& head, const ProcessRef& who);
  void carry_over_exec(Instance& next, const Instance& before);

  // engine_holdings.cpp: holdings and the durable table
  /// Adds, or recognises as the same key from the same slot. Returns the holding; nullptr when the bound turned it away.
  Held* hold(const InstanceRef& instance, std::shared_ptr<const HeldKey> what, How how);
  /// Emits the acquisition row of a holding unless it is no news. True when a row was made.
  bool announce(Instance& instance, Held& held);
  void mark_dirty(const InstanceRef& instance);
  void sync_holdings();
  bool hold_environment(const InstanceRef& instance, std::span<const FoundKey> found, std::uint64_t time_ns, How how,
                        const Instance* before);
  void apply(const std::vector<Rotation>& rotations, const Instance* reader);

  // engine_examine.cpp: opens, environments, looks
  Done on_open(const OpenEvent& event, const EventHead& head, const ProcessRef& who);
  void on_open_answer(const std::shared_ptr<Examination>& examination, const OpenEvent& event, const catalog::File& entry, bool baseline,
                      bool from_ring, ExamineAnswer& answer);
  /// An answer that could be read is remembered; one that came too late is replaced by what the same file, unchanged, was found to hold
  /// before. True when it was replaced.
  bool remember(const FileIdentity& file, ExamineAnswer& answer);
  void ask_environment(const InstanceRef& instance, std::uint64_t time_ns);
  void start_environments();
  void on_environment_answer(const std::shared_ptr<Examination>& examination, ExamineAnswer& answer);
  void finish_examination(const std::shared_ptr<Examination>& examination);
  void queue_looks(std::uint64_t now_ns);
  void start_looks();
  [[nodiscard]] std::vector<std::uint32_t> others_of_mount_ns(std::uint32_t mnt_ns, const InstanceId& who) const;
  /// Whether an open may have reached another file than the one that is followed: the same path in another mount namespace.
  [[nodiscard]] bool is_elsewhere(const KnownFile& file, const OpenEvent& event) const;

  // engine_connection.cpp: sockets, names, metadata, brokers
  ConnectionRef* connection_of(std::uint64_t cookie);
  Done on_connect(const ConnectEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_socket(const SocketEvent& event, const EventHead& head);
  Done on_payload(const PayloadEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_unix(const UnixConnectEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_metadata(const PayloadEvent& event, const Connection& connection, const InstanceRef& caller, std::uint64_t time_ns);
  void touch(Connection& connection, std::uint64_t time_ns);
  Done start_use(const ConnectionRef& connection, const InstanceRef& caller, const PayloadEvent* payload, std::uint64_t time_ns,
                 bool from_ring);

  // engine_use.cpp: from the held use to the row
  void judge_ready(std::uint64_t now_ns, bool all = false);
  [[nodiscard]] bool is_ready(const HeldUse& use, std::uint64_t now_ns) const;
  void judge_use(HeldUse& use, std::uint64_t now_ns);
  void release(const HeldUse& use);
  void note_issued(const HeldUse& use, const Verdict& verdict);

  const LinkOptions options_;
  const catalog::Catalog& catalog_;
  Examiner& examiner_;
  const Clock& clock_;
  const Link::FateCall fate_;
  const Link::SameMountNs same_mount_ns_;

  std::array<bool, kFamilies> armed_{};
  std::uint64_t armed_ns_ = 0;
  std::uint64_t last_event_ns_ = 0;
  std::uint64_t last_look_ns_ = 0;
  std::unordered_map<std::uint32_t, InstanceRef> live_;  ///< by tgid: one live process each
  LruMap<std::uint64_t, ConnectionRef> connections_;     ///< TCP, by socket cookie
  LruMap<std::uint64_t, ConnectionRef> datagrams_;       ///< UDP to 443
  std::list<HeldUse> held_uses_;
  Names names_;
  KeyIndex index_;
  Acquisitions acquisitions_;
  Slots slots_;
  LruMap<std::string, std::vector<KeyFact>> answered_;  ///< by the file's identity: what it held when it was read last
  GapList gaps_;

  std::unordered_set<std::shared_ptr<Examination>> unanswered_;  ///< asked or queued
  std::size_t examinations_ = 0;                                 ///< outstanding
  std::size_t environments_ = 0;
  std::size_t looks_ = 0;
  std::deque<std::pair<std::weak_ptr<Instance>, std::shared_ptr<Examination>>> environment_queue_;
  std::deque<std::pair<std::string, std::weak_ptr<Instance>>> look_queue_;

  std::vector<Row> rows_;
  std::vector<UseRow> uses_;
  std::vector<UseTouch> touches_;
  std::vector<HoldingChange> holding_changes_;
  std::vector<InstanceRef> dirty_;
  std::map<std::string, std::uint64_t> counters_{
      // all are there from the start: 0 is an answer
      {"entries_unparsed", 0},    {"environments_over_bound", 0}, {"environments_unread", 0},         {"held_uses_over_bound", 0},
      {"holdings_over_bound", 0}, {"processes_over_bound", 0},    {"payloads_without_connection", 0}, {"rotations", 0}};
  std::map<std::string, std::string> lives_;  ///< of an earlier run, until adopted
  std::map<std::string, std::string> state_;
  std::string drop_reason_;
};

}  // namespace keytrail::link
