// SPDX-License-Identifier: Apache-2.0
// Initial environments of processes that ran before the agent, whose exec showed only a part, or that hold URLs with
// keys in them: asked of the examiner in fair turns, not all at once. Owns the queue. Called by Engine (an exec, the
// sweep, an adoption, ticks). One thread.
#pragma once

#include <cstdint>

#include "agent/base/fair_queue.h"
#include "agent/catalog/catalog.h"
#include "agent/link/examinations.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Environments {
 public:
  Environments(const LinkOptions& options, const catalog::Catalog& catalog, const Watch& watch, KeyIndex& index,
               Holders& holders, Examinations& examinations, Uses& uses, Outbox& outbox)
      : options_(options),
        catalog_(catalog),
        watch_(watch),
        index_(index),
        holders_(holders),
        examinations_(examinations),
        uses_(uses),
        outbox_(outbox),
        shares_(options.max_environment_queue) {}

  void ask(const InstanceRef& instance, std::uint64_t time_ns);
  /// Asks the next of the queue, as far as bounds allow.
  void start();
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

 private:
  /// An environment was given up, or a part of it. It is told of programs that began while this was watched.
  void tell_given_up(const char* cause, const Instance& instance, std::uint64_t time_ns);
  struct Waiting {
    std::weak_ptr<Instance> instance;
    ExaminationRef examination;
    base::FairShares::Share share;
  };
  void on_answer(const ExaminationRef& examination, EnvironmentAnswer& answer);
  static void check(const Instance& instance, EnvironmentAnswer& answer);
  /// The environment was not read: what its exec showed is all that is known.
  void give_up(const ExaminationRef& examination);
  [[nodiscard]] std::vector<FoundKey> untold_of(const Instance& instance) const;
  [[nodiscard]] std::vector<FoundKey> keys_of(const Instance& instance, const EnvironmentAnswer& answer);

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  const Watch& watch_;
  KeyIndex& index_;
  Holders& holders_;
  Examinations& examinations_;
  Uses& uses_;
  Outbox& outbox_;
  std::size_t running_ = 0;
  base::FairShares shares_;
  base::FairQueue<Waiting> queue_;
};

}  // namespace keytrail::link
