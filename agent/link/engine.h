// SPDX-License-Identifier: Apache-2.0
// The dispatcher of link: owns the owners, passes each event to the one whose data it concerns, and puts calls in order
// where one event concerns two. Keeps no state of its own. Private to this folder. One thread.
#pragma once

#include "agent/link/arguments.h"
#include "agent/link/connections.h"
#include "agent/link/environments.h"
#include "agent/link/examinations.h"
#include "agent/link/facts.h"
#include "agent/link/found.h"
#include "agent/link/gaps.h"
#include "agent/link/holders.h"
#include "agent/link/hosts.h"
#include "agent/link/key_index.h"
#include "agent/link/link.h"
#include "agent/link/looks.h"
#include "agent/link/opens.h"
#include "agent/link/outbox.h"
#include "agent/link/pipes.h"
#include "agent/link/pointers.h"
#include "agent/link/processes.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Engine {
 public:
  Engine(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock,
         Link::FateCall fate, Link::SameMountNs same_mount_ns);

  void on_event(const Event& event, const ProcessRef& who, const ProcessRef& other);
  void on_tick(std::uint64_t now_ns);
  void adopt(const Holding& holding, const ProcessRef& who);
  void gap(const Gap& gap, std::string cause, std::string text = {});
  void give_up(std::string cause, std::string family, std::string scope, std::uint64_t count, std::uint64_t time_ns) {
    outbox_.give_up(std::move(cause), std::move(family), std::move(scope), count, time_ns);
  }
  /// Of whomever `scope` names; empty: of anybody.
  void lose(const Gap& gap, std::string cause, std::string scope);
  void count(const std::string& name, std::uint64_t more) { outbox_.count(name, more); }
  [[nodiscard]] std::uint64_t settled_ns(std::uint64_t now_ns) const;
  [[nodiscard]] std::uint64_t untold() const { return outbox_.untold(); }
  void finish(std::uint64_t now_ns);
  [[nodiscard]] Link::Output take();
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const;
  [[nodiscard]] std::optional<UnseenLives> unseen(std::uint64_t now_ns) const;
  void load(const Earlier& earlier);
  void set_armed(Family family, bool armed) { watch_.armed[static_cast<std::size_t>(family)] = armed; }
  void set_armed_ns(std::uint64_t armed_ns) { watch_.armed_ns = armed_ns; }

 private:
  [[nodiscard]] Done dispatch(const Event& event, const ProcessRef& who, const ProcessRef& other);
  Done on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who);
  void ask_for_address(const EventHead& head);
  Done on_exit(const EventHead& head);
  Done on_task(const EventHead& head, const ProcessRef& who);
  Done on_baseline_done(const BaselineDoneEvent& event);

  // In the order of who uses whom: each knows those above it.
  const LinkOptions options_;
  const catalog::Catalog& catalog_;
  std::uint64_t now_ns_ = UINT64_MAX;  // of the last tick
  Watch watch_;
  KeyIndex index_;
  Outbox outbox_;
  Holders holders_;
  Processes processes_;
  HostNames host_names_;
  Uses uses_;
  Examinations examinations_;
  HostsFiles hosts_;
  Pipes pipes_;
  Looks looks_;
  Environments environments_;
  Arguments arguments_;
  Found found_;
  Facts facts_;
  Pointers pointers_;
  Opens opens_;
  Connections connections_;
};

}  // namespace keytrail::link
