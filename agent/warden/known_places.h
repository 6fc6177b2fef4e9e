// SPDX-License-Identifier: Apache-2.0
// Looks what lies at the places of key files, so that it is known by its inode wherever a link, another name or a mount
// of it lies. In: the catalog's places, processes with mounts of their own. Out: inodes. A child looks, which may hang
// on a file system that does not answer, and is killed then; nothing is opened. Thread: the warden's only one.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

/// Who has a file system of his own may put many files at such places: the rest is left out.
inline constexpr std::size_t kMaxPlacesOfRoot = 256;
inline constexpr std::size_t kMaxPlacesOfRound = 2'048;

/// A file, by inode and the kernel's device number.
using OnePlace = std::function<void(std::uint64_t inode, std::uint32_t dev)>;
/// Told before each step: the places in no home, then root's home, then the list of /home, then each home in it.
using StepBegins = std::function<void(std::size_t step)>;
/// Regular files at these places below a root, in the home of root and those in /home: there only the files of the
/// home's owner, since he says where links lead. Homes on file systems that may not answer are left out, and nothing is
/// mounted by looking. `from`: the first step; the one behind a list of /home that hung is the end. False, and over,
/// when there are more than kMaxPlacesOfRoot.
bool look_at_places(int root, std::span<const std::string_view> places, const OnePlace& found, std::size_t from = 0,
                    const StepBegins& begins = {});

class KnownPlaces {
 public:
  static constexpr std::size_t kMaxRoots = 64;  ///< beside the machine's; the oldest go
  static constexpr std::uint64_t kEveryNs = 30'000'000'000;
  static constexpr std::uint64_t kFreshNs = 1'000'000'000;  ///< between rounds that look at new roots only

  explicit KnownPlaces(std::span<const std::string_view> places) : places_(places) {}
  ~KnownPlaces() { kill(); }
  KnownPlaces(const KnownPlaces&) = delete;
  KnownPlaces& operator=(const KnownPlaces&) = delete;

  /// A process with mounts of its own: its root is looked at soon, and with each later round while it lives.
  void add(const role::KeepMounts& process);
  /// Begins a round when one is due, ends one that hangs: the next one begins behind the home where it did. True when
  /// `results` is new and is to be watched.
  bool tick(std::uint64_t now_ns);
  /// When `tick` has something to do; 0: never.
  [[nodiscard]] std::uint64_t due() const;
  /// Readable when a round has found something or is over.
  [[nodiscard]] base::UniqueFd& results() { return results_; }
  /// What was found since; false when the round is over: then `results` is to be closed.
  bool take(const OnePlace& found);
  /// The caller reaped this process.
  void ended(pid_t process) {
    if (process == pid_) pid_ = -1;
  }
  void kill();

 private:
  struct Root {
    role::KeepMounts process;
    bool looked = false;
  };
  struct At {
    std::uint32_t mnt_ns = 0;  ///< 0: the machine's root
    std::size_t step = 0;
  };

  bool begin(std::uint64_t now_ns);
  void drop_ended();
  /// The roots to look at, in this order; the first one from the step `from`.
  std::vector<role::KeepMounts> roots_of_round(bool all, std::size_t& from);
  void say_full();

  std::span<const std::string_view> places_;
  std::deque<Root> roots_;
  bool fresh_ = false;  ///< some root was not looked at yet
  pid_t pid_ = -1;      ///< of the round that runs; the caller reaps it
  std::uint64_t began_ns_ = 0, next_ns_ = 1, deadline_ns_ = 0;
  base::UniqueFd results_;
  At at_;                     ///< of the round that runs
  bool cut_ = false;          ///< it did not come to its end
  std::optional<At> behind_;  ///< where the next round of all roots begins
  bool said_hung_ = false, said_full_ = false;
};

}  // namespace keytrail::warden
