// SPDX-License-Identifier: Apache-2.0
// The data, on one thread: capture → decode → identify → link → judge → record. Owns the stages, wires them
// by the ports of include/. In: the warden's rings. Out: batches for the recorder, a snapshot for status. Thread: that
// of its io_context.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/clock_watch.h"
#include "agent/capture/capture.h"
#include "agent/catalog/catalog.h"
#include "agent/decode/quic.h"
#include "agent/examine/client.h"
#include "agent/identify/fact_queue.h"
#include "agent/identify/identify.h"
#include "agent/identify/node_users.h"
#include "agent/identify/sources.h"
#include "agent/judge/judge.h"
#include "agent/link/link.h"
#include "agent/notices.h"
#include "agent/record/history.h"
#include "agent/restart.h"
#include "agent/session.h"
#include "agent/silence.h"
#include "keytrail/clock.h"

namespace keytrail {

/// What status shows of the pipeline; copied under a lock.
struct PipelineSnapshot {
  capture::FamilyCounters kernel{};
  WorkerCounters worker;                          ///< since the kernel's counters began
  std::uint64_t in_flight = 0;                    ///< in the rings, or without a fate yet
  std::map<std::string, std::uint64_t> tracking;  ///< link's counters, by name
  std::array<bool, kFamilies> silent{};
  bool warden_silent = false;
  std::vector<std::string> told;  ///< by the warden, within the last minute; by sources of identity, now
  std::vector<RoleStatus> roles;
};

struct PipelineOptions {
  base::IdentityConfig identity;
  std::map<std::string, base::FindingConfig> findings;
  std::uint32_t sample_s = 60;
  std::uint32_t slots_s = 5;
};

class Pipeline {
 public:
  Pipeline(const PipelineOptions& options, boost::asio::io_context& io, capture::Capture capture,
           examine::RoleLink& roles, record::History& history, const catalog::Catalog& catalog, const Clock& clock);

  /// Takes over what an earlier worker left (slots, lives, findings, holdings, losses), asks for the sweep, and runs.
  Result<void> start();
  /// Settles what waits and hands the last batch over.
  void stop();
  /// Any thread. At most 100 ms old where events come, else a second.
  [[nodiscard]] PipelineSnapshot snapshot() const;
  /// Any thread. What is known of the machine beside its name (kThisMachine); never null.
  [[nodiscard]] std::shared_ptr<const std::vector<Fact>> machine() const;
  /// Any thread but its own, which makes it: waits for that at most a second. Null: not known.
  [[nodiscard]] std::shared_ptr<const UnseenLives> unseen();

 private:
  void adopt();
  void book_restart();
  std::optional<std::uint64_t> book_loss();
  void resume_losses();
  /// Which of the kernel's losses these rows tell.
  void note_told(const std::vector<Row>& rows);
  void on_record(std::span<const std::byte> bytes);
  void deliver(const Event& event);
  void tick();
  void arm();
  void flush();
  void watch(std::vector<FoundPlace> found);
  /// How far the batch at hand settles what was seen; nothing when it goes no further than the last.
  std::optional<Watched> watched();
  /// What sources have learnt, for the batch.
  void tell_seen();
  std::vector<WorkloadFacts> learn_facts(const std::vector<TokenTold>& told);
  void learn_machine(std::vector<Fact> facts);
  /// What the kernel side lost, and whose it was; records that could not be read may have been anybody's.
  void tell_lost(std::uint64_t now);
  /// What bounds of identify turned away.
  void tell_given_up(std::uint64_t now);
  /// Tells of hooks and of the warden when they give no sign.
  void tell_silence(std::uint64_t now);
  void count_identity(std::map<std::string, std::uint64_t>& out) const;
  void publish();
  /// Where something came since the last time, and that is a while ago.
  void publish_news(std::uint64_t now);
  std::uint64_t to_boot(std::int64_t wall_ns) const;

  const PipelineOptions options_;
  boost::asio::steady_timer timer_;
  capture::Capture capture_;
  examine::RoleLink& roles_;
  record::History& history_;
  const Clock& clock_;
  decode::QuicHellos quic_;
  identify::Identify identify_;
  identify::NodeUsers node_users_;
  identify::FactQueue facts_;
  /// End before the queue that they post to.
  std::vector<std::unique_ptr<IdentitySource>> sources_;
  Session session_;
  link::Link link_;
  judge::Judge judge_;
  std::vector<FoundPlace> found_;  ///< that the warden did not take yet
  bool session_stored_ = false;
  bool stopped_ = false;
  std::uint64_t drained_ns_ = 0;                      ///< all records that are older were taken from the rings
  std::uint64_t watched_ns_ = 0;                      ///< settled up to: see Watched
  std::uint64_t corrupt_ = 0;                         ///< of the rings, told so far
  std::uint64_t undecodable_ = 0, lost_from_ns_ = 0;  ///< not told yet; all older records were taken by then
  std::uint64_t next_flush_ = 0, next_second_ = 0, next_sample_ = 0, next_trim_ = 0;
  std::uint64_t published_ns_ = 0, published_received_ = 0, published_pending_ = 0;
  std::array<Silence, kFamilies> hooks_silence_;  ///< by their heartbeats
  std::array<bool, kFamilies> beaten_{};          ///< in this life
  Silence warden_silence_;
  OwnStall own_stall_;
  base::ClockWatch clock_watch_;
  Notices notices_;
  StoredNotices stored_notices_;
  std::uint64_t warden_asked_ = 0;
  mutable std::mutex mutex_;  ///< guards `snapshot_` and `machine_`
  PipelineSnapshot snapshot_;
  std::shared_ptr<const std::vector<Fact>> machine_ = std::make_shared<const std::vector<Fact>>();
};

}  // namespace keytrail
