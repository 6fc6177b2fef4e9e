// SPDX-License-Identifier: Apache-2.0
// What is asked of the examiner: who has room for how many questions, whose turn it is, and which processes wait for
// which answer. All questions of link go through it, a few at once and in fair turns, so that nobody's thousands are
// before another's one; and no answer reaches who asked after link is gone. One thread.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fair_queue.h"
#include "agent/link/holders.h"
#include "agent/link/instance.h"
#include "keytrail/examiner.h"

namespace keytrail::link {

using ExaminationRef = std::shared_ptr<Examination>;
/// Room for one question, kept until its answer has been worked on; null: its asker has too many.
using Room = std::shared_ptr<const base::FairShares::Share>;

class Examinations {
 public:
  Examinations(const LinkOptions& options, Examiner& examiner, Link::SameMountNs same_mount_ns, Holders& holders)
      : options_(options),
        examiner_(examiner),
        same_mount_ns_(std::move(same_mount_ns)),
        holders_(holders),
        shares_(options.max_questions) {}
  ~Examinations();
  Examinations(const Examinations&) = delete;
  Examinations& operator=(const Examinations&) = delete;

  [[nodiscard]] bool has_room(const Instance& asker) const { return shares_.has_room(owners_of(asker)); }
  [[nodiscard]] Room room_for(const Instance& asker);
  /// Half of an asker's room is kept for files at known places.
  [[nodiscard]] bool crowded(const Instance& asker) const { return shares_.is_half_full(owners_of(asker)); }
  /// When it is `whose` turn, the question goes out; `done` gets the answer, later; never when link ended before. Other
  /// processes of the mount namespace that a file can be opened through are added, as they are then. Not bounded: who
  /// asks keeps Room for it, or has a bound of its own. `needed`: called once, when it is its turn; false: nothing is
  /// asked any more.
  template <typename Question>
  void ask(const base::Owners& whose, Reach reach, Question question,
           std::function<void(typename Question::Answer&)> done, std::function<bool()> needed = {}) {
    turns_.push(whose, [this, reach = std::move(reach), question = std::move(question), done = std::move(done),
                        needed = std::move(needed)] {
      if (needed && !needed()) {
        --asked_;
        return;
      }
      Reach through = reach;
      if constexpr (std::same_as<Question, FileQuestion>) {
        if (through.same_mount_ns.empty()) through.same_mount_ns = others_of_mount_ns(through.mnt_ns, through.who);
      }
      examiner_.ask(std::move(through), question,
                    [this, alive = std::weak_ptr(alive_), done](typename Question::Answer answer) {
                      if (alive.expired()) return;
                      --asked_;
                      done(answer);
                      take_turns();
                    });
    });
    take_turns();
  }
  /// Asked or waiting.
  [[nodiscard]] std::size_t outstanding() const { return asked_ + turns_.size(); }

  /// When the oldest event happened whose examination is not finished, ns since boot; 0 = all are.
  [[nodiscard]] std::uint64_t oldest_ns() const { return unanswered_.empty() ? 0 : unanswered_.begin()->first; }

  /// An examination for which processes wait: uses of a receiver are weighed when it is finished.
  [[nodiscard]] ExaminationRef begin(std::uint64_t time_ns, std::span<const std::string_view> kinds);
  static void add_receiver(const ExaminationRef& examination, const InstanceRef& instance, How how);
  void finish(const ExaminationRef& examination);

  /// Other live processes of a mount namespace, to open a file through; at most 8.
  [[nodiscard]] std::vector<std::uint32_t> others_of_mount_ns(std::uint32_t mnt_ns, const InstanceId& who) const;

 private:
  void take_turns();

  const LinkOptions& options_;
  Examiner& examiner_;
  const Link::SameMountNs same_mount_ns_;
  Holders& holders_;
  base::FairShares shares_;
  base::FairQueue<std::function<void()>> turns_;
  std::size_t asked_ = 0;
  std::set<std::pair<std::uint64_t, ExaminationRef>> unanswered_;       ///< with the time of each
  std::shared_ptr<const char> alive_ = std::make_shared<const char>();  ///< answers that outlive it are dropped
};

/// The kinds of key that can stand in this file; empty: any. Only a format that can hold nothing else says so: its
/// place does not tell what stands in a .netrc, a .env or a configuration.
[[nodiscard]] std::span<const std::string_view> kinds_in(const catalog::File& file);
/// Every kind that a key of this file may be known by; empty: any. Other than kinds_in(): whoever asks for a key asks
/// for what it was taken for, here or elsewhere, while a use asks which destinations may take it.
[[nodiscard]] std::vector<std::string> kinds_found_in(const catalog::File& file);

/// Whoever got what was in a file that could not be read holds something unknown, of one of `kinds` (empty: of any); a
/// program that came by exec did not read it.
void mark_receivers(const Examination& examination, std::span<const std::string_view> kinds);

}  // namespace keytrail::link
