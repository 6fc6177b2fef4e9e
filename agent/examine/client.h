// SPDX-License-Identifier: Apache-2.0
// The worker's side of the role sockets: asks the warden to open, gets facts from the examiner, hears what the warden
// has to say. Thread: that of its io_context, for all calls and callbacks.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/base/fd.h"
#include "agent/examine/inherited.h"
#include "agent/examine/questions.h"
#include "keytrail/agent_status.h"
#include "keytrail/examiner.h"
#include "keytrail/hooks.h"
#include "keytrail/result.h"
#include "keytrail/role_abi.h"

namespace keytrail::examine {

/// A period in which something may be missing, as the warden measured it.
struct WardenNotice {
  std::string cause;          ///< GapRow::cause: "examiner_restart", "worker_restart"
  std::string text;           ///< one sentence
  std::uint64_t from_ns = 0;  ///< ns since boot
  std::uint64_t to_ns = 0;
  std::string family;        ///< GapRow::family
  std::uint64_t number = 0;  ///< see RoleLink::note_stored
};

class RoleLink final : public Examiner {
 public:
  static constexpr std::size_t kMaxOutstanding = 4096;
  static constexpr std::chrono::milliseconds kDeadline{2000};

  /// Takes "control" and "examiner" from `fds` and waits (at most 5 s, blocking) for the warden's greeting. Then
  /// `hooks` and its neighbours are known, and the rest happens when `io` runs. Fails when a descriptor is missing or
  /// the warden does not speak.
  static Result<std::unique_ptr<RoleLink>> connect(boost::asio::io_context& io, InheritedFds& fds, KindLookup kinds);
  ~RoleLink() override;
  RoleLink(const RoleLink&) = delete;
  RoleLink& operator=(const RoleLink&) = delete;

  /// See the port. More than kMaxOutstanding at once: unread "busy". No answer in time: "timeout", or "examiner
  /// restarted".
  void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) override;
  /// Calls with each answer, before the one who asked gets it.
  void on_answer(std::function<void(const InstanceId& who, const ExamineAnswer&)> handler) {
    answer_handler_ = std::move(handler);
  }

  [[nodiscard]] const std::vector<HookReport>& hooks() const { return hooks_; }
  /// ns since boot when the warden began.
  [[nodiscard]] std::uint64_t started_ns() const { return started_ns_; }
  /// ns since boot when the last hook family was attached.
  [[nodiscard]] std::uint64_t armed_ns() const { return armed_ns_; }
  /// 32 hexadecimal digits, drawn when rings and counters were made: the counters begin at 0 with it, and both outlive
  /// a worker.
  [[nodiscard]] const std::string& session_id() const { return session_id_; }
  /// Counter blocks in the counters map.
  [[nodiscard]] std::uint32_t cpus() const { return cpus_; }
  /// 1 for the first worker of this warden, then 2, …
  [[nodiscard]] std::uint32_t life() const { return life_; }
  /// Rings and counters are those of a warden before this one, which was killed: what has a time before started_ns()
  /// came through its hooks.
  [[nodiscard]] bool resumed() const { return resumed_; }
  /// The agent's processes as the warden last told of them.
  [[nodiscard]] const std::vector<RoleStatus>& processes() const { return processes_; }
  /// What could not be had (a sandbox, the user): sentences for `status`.
  [[nodiscard]] const std::vector<std::string>& remarks() const { return remarks_; }

  /// Calls for each notice; those that came with the greeting are delivered at once (posted).
  void on_notice(std::function<void(WardenNotice)> handler);
  /// All notices up to this number are in the history: the next worker is not told of them.
  void note_stored(std::uint64_t number);
  /// Calls once when the warden is gone: the worker should write what it has and end.
  void on_closed(std::function<void()> handler) { closed_handler_ = std::move(handler); }

  /// Asks the warden; what comes of it comes through the rings. False when the warden does not take it now.
  bool sample_sockets();
  bool sweep();
  /// Asks for the mounts of this process to be held for a moment after its end.
  bool keep_mounts(const InstanceId& who, std::uint32_t mnt_ns);
  bool watch_name(std::string_view base_name);
  bool watch_found(const FoundPlace& place);

  /// Asks the warden to run a family's programs at places of this file: `reach` says through whom it is found, and
  /// which process is meant when `target.pid` is that of `reach.who`. Gives the number that the answer (on_target) has;
  /// 0: it does not go out.
  std::uint64_t attach_target(const Reach& reach, const std::string& path, const FileIdentity& file,
                              const HookTarget& target);
  /// `id` from the report of an attached target; what is left of it comes to on_target.
  bool detach_target(std::uint32_t id);
  /// Asks for all targets with their hits; then on_target_counts is called.
  bool report_targets();
  /// Calls for each report; `request`: what attach_target gave, else 0.
  void on_target(std::function<void(std::uint64_t request, const TargetReport&)> handler) {
    target_handler_ = std::move(handler);
  }
  void on_target_counts(std::function<void(const TargetCounts&)> handler) {
    target_counts_handler_ = std::move(handler);
  }

  /// How often the warden asked whether the worker is there: it is, when this grows.
  [[nodiscard]] std::uint64_t asked() const { return asked_; }
  [[nodiscard]] std::size_t outstanding() const { return pending_.size(); }
  /// Malformed or unexpected messages that were left out.
  [[nodiscard]] std::uint64_t ignored() const { return ignored_; }

 private:
  struct Pending {
    InstanceId who;
    role::Asks asks = role::Asks::kFile;
    std::function<void(ExamineAnswer)> done;
    Gathered gathered;
    std::size_t most_facts = 0;  ///< kBundleFact messages that its answer may have
    bool examiner_lost = false;
  };
  using Time = std::chrono::steady_clock::time_point;

  RoleLink(boost::asio::io_context& io, base::UniqueFd control, base::UniqueFd facts, KindLookup kinds);

  Result<void> greet();
  void wait_control();
  void wait_facts();
  void wait_writable();
  void flush();
  void arm_timer();
  void on_timer();
  bool read_control();
  bool read_facts();
  void on_control_message(const char* data, std::size_t size);
  void on_facts_message(const char* data, std::size_t size);
  void take_notice(const role::Notice& notice);
  void take_process(const role::RoleState& state);
  void take_key(const role::KeyFact& fact);
  void take_claim(const role::ClaimFact& fact);
  void finish(std::uint64_t id, std::string unread);
  void refuse_later(role::Asks asks, std::function<void(ExamineAnswer)> done, std::string unread);
  bool send(const void* data, std::size_t size);

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor control_, facts_;
  boost::asio::steady_timer timer_;
  KindLookup kinds_;
  std::uint64_t stored_notice_ = 0;  ///< said again with each sign: the warden may not have taken it
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::deque<std::pair<Time, std::uint64_t>> deadlines_;
  std::deque<role::Open> outbox_;  ///< requests that the socket did not take yet; bounded by kMaxOutstanding
  bool waiting_writable_ = false;
  std::uint64_t next_id_ = 0;
  bool timer_armed_ = false;
  bool greeted_ = false;
  std::vector<HookReport> hooks_;
  std::uint64_t started_ns_ = 0, armed_ns_ = 0;
  std::string session_id_;
  std::uint32_t cpus_ = 0, life_ = 0;
  bool resumed_ = false;
  std::vector<std::string> remarks_;
  std::vector<RoleStatus> processes_;
  std::vector<WardenNotice> early_notices_;
  std::function<void(const InstanceId&, const ExamineAnswer&)> answer_handler_;
  std::function<void(WardenNotice)> notice_handler_;
  std::function<void()> closed_handler_;
  std::function<void(std::uint64_t, const TargetReport&)> target_handler_;
  std::function<void(const TargetCounts&)> target_counts_handler_;
  std::uint64_t asked_ = 0, ignored_ = 0;
};

}  // namespace keytrail::examine
