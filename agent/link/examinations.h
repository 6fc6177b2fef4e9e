// SPDX-License-Identifier: Apache-2.0
// What was asked of the examiner and is not answered: how many there are, and which processes wait for which. Opens,
// Environments and Looks ask through it; it bounds them together, and no answer reaches them after link is gone. One
// thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/link/holders.h"
#include "agent/link/instance.h"
#include "keytrail/examiner.h"

namespace keytrail::link {

using ExaminationRef = std::shared_ptr<Examination>;

class Examinations {
 public:
  Examinations(const LinkOptions& options, Examiner& examiner, Link::SameMountNs same_mount_ns, Holders& holders)
      : options_(options), examiner_(examiner), same_mount_ns_(std::move(same_mount_ns)), holders_(holders) {}
  ~Examinations();
  Examinations(const Examinations&) = delete;
  Examinations& operator=(const Examinations&) = delete;

  [[nodiscard]] bool full() const { return outstanding_ >= options_.max_examinations; }
  /// Half of the room is kept for files at known places.
  [[nodiscard]] bool crowded() const { return outstanding_ >= options_.max_examinations / 2; }
  /// `done` gets the answer, later; never when link ended before.
  template <typename Question>
  void ask(Reach reach, Question question, std::function<void(typename Question::Answer&)> done) {
    ++outstanding_;
    examiner_.ask(std::move(reach), std::move(question),
                  [this, alive = std::weak_ptr(alive_), done = std::move(done)](typename Question::Answer answer) {
                    if (alive.expired()) return;
                    --outstanding_;
                    done(answer);
                  });
  }
  [[nodiscard]] std::size_t outstanding() const { return outstanding_; }

  /// An examination for which processes wait: uses of a receiver are weighed when it is finished.
  [[nodiscard]] ExaminationRef begin(std::uint64_t time_ns, std::span<const std::string_view> kinds);
  static void add_receiver(const ExaminationRef& examination, const InstanceRef& instance, How how);
  void finish(const ExaminationRef& examination);

  /// Other live processes of a mount namespace, to open a file through; at most 8.
  [[nodiscard]] std::vector<std::uint32_t> others_of_mount_ns(std::uint32_t mnt_ns, const InstanceId& who) const;

 private:
  const LinkOptions& options_;
  Examiner& examiner_;
  const Link::SameMountNs same_mount_ns_;
  Holders& holders_;
  std::size_t outstanding_ = 0;
  std::unordered_set<ExaminationRef> unanswered_;
  std::shared_ptr<const char> alive_ = std::make_shared<const char>();  ///< answers that outlive it are dropped
};

/// The kinds of key that can stand in this file; empty: any. Only a format that can hold nothing else says so: its
/// place does not tell what stands in a .netrc, a .env or a configuration.
[[nodiscard]] std::span<const std::string_view> kinds_in(const catalog::File& file);

/// Whoever got what was in a file that could not be read holds something unknown, of one of `kinds` (empty: of any); a
/// program that came by exec did not read it.
void mark_receivers(const Examination& examination, std::span<const std::string_view> kinds);

}  // namespace keytrail::link
