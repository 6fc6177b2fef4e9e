// SPDX-License-Identifier: Apache-2.0
// The opener's children, four of them: a file that does not answer holds one, for a second, and nobody else. One that
// hangs is killed and replaced at once; what it waited for is not waited for again for a while. In: jobs. Out: opened
// copies. Thread: the warden's only one; it never waits for a child.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/warden/hang_guard.h"
#include "agent/warden/named.h"
#include "agent/warden/opener.h"
#include "keytrail/hooks.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

/// A request for the opener: of the worker's, or the warden's own for a target.
struct Job {
  role::Open open;
  std::optional<HookTarget> target;
  NamedBy by = NamedBy::kNothing;
  uid_t user = 0;              ///< user_of: whose file systems it may hang on
  std::uint64_t asked_ns = 0;  ///< when it came, by CLOCK_MONOTONIC
  bool again = false;          ///< the child that had it never began: it may be tried once more
};

class Openers {
 public:
  static constexpr std::uint64_t kDeadlineNs = 1'000'000'000;  ///< the machine's sleep does not count
  static constexpr std::uint64_t kShunNs = 60'000'000'000;     ///< a mount that hung, for him; of two users', for all
  static constexpr std::uint64_t kShunWayNs = 5'000'000'000;   ///< a way that hung: it may be another's by then
  static constexpr std::size_t kMostAbandoned = 16;            ///< killed and still there: then all others are careful
  static constexpr std::size_t kMostAbandonedOfOne = 4;        ///< the same, of one user: then those that work for him
  static constexpr std::size_t kMostOfOne = kOpenerChildren / 2;    ///< children that work for one user
  static constexpr std::size_t kMostOfUsers = kOpenerChildren - 1;  ///< that work for others than root

  /// `started` is told each child, by its place among them.
  explicit Openers(std::function<void(std::size_t child, pid_t pid)> started);
  ~Openers();
  Openers(const Openers&) = delete;
  Openers& operator=(const Openers&) = delete;

  /// Readable when a child has answered or is gone; -1 where the system gave none.
  [[nodiscard]] int ready() const { return ready_.get(); }
  /// Whether `ask` has a child for it now.
  [[nodiscard]] bool room_for(const Job& job) const;
  /// False when no child can be had: the caller answers.
  bool ask(Job job, std::uint64_t now_ns);
  /// Tells every child (KeptMounts); lost, a file of a process that ends at once may be gone: its row says so.
  void keep(const role::KeepMounts& asked);

  /// One that came back; a child that died instead gives kRefused. `opened` may be of anything: the job is what counts.
  struct Answer {
    Job job;
    role::Opened opened;
    base::UniqueFd descriptor;
  };
  [[nodiscard]] std::vector<Answer> take();
  /// One that did not come back in time: its child was killed.
  struct Late {
    Job job;
    std::uint64_t since_ns = 0;
    bool begun = false;  ///< false: the child itself did not run (it was stopped)
  };
  [[nodiscard]] std::vector<Late> tick(std::uint64_t now_ns);
  /// When `tick` has something to do, if the machine does not sleep before; 0: never.
  [[nodiscard]] std::uint64_t due() const;

  /// The caller reaped this process.
  void ended(pid_t pid);
  /// Somebody stopped this process. True when it is one that waits for work: it was replaced. One at work is `tick`'s.
  bool stopped(pid_t pid);
  /// The worker that asked for targets is gone: those on their way are to be attached nowhere.
  void forget_targets();
  /// Kills them all and forgets what they had; waits for none.
  void kill();
  [[nodiscard]] std::size_t abandoned() const { return abandoned_.size(); }

 private:
  struct Child {
    OpenerChild process;
    std::optional<Job> job;
    uid_t user = 0;  ///< of its last job
    std::uint64_t since_ns = 0;
    std::uint64_t slept_ns = 0;  ///< how long the machine had slept by then
  };
  struct Abandoned {
    pid_t pid = 0;
    uid_t user = 0;
  };
  struct Shunned {
    std::uint64_t key = 0, until_ns = 0;
    std::uint64_t mount = 0;  ///< of which it is one user's share; else 0
    uid_t user = 0;
  };

  bool start(std::size_t index);
  void end(std::size_t index);
  void shun_what_hung(std::uint64_t key, uid_t user, std::uint64_t now_ns);
  void shun(const Shunned& what);
  [[nodiscard]] static std::uint64_t deadline_of(const Child& child);
  void publish_shunned();

  std::function<void(std::size_t, pid_t)> started_;
  base::UniqueFd ready_;
  HangBoard* board_ = nullptr;  ///< shared with the children
  std::array<Child, kOpenerChildren> children_;
  std::vector<Abandoned> abandoned_;  ///< killed, not reaped
  std::vector<Shunned> shunned_;
};

}  // namespace keytrail::warden
