// SPDX-License-Identifier: Apache-2.0
// What names a file that the worker asks for. The warden opens nothing that nothing names, and says no more of what it
// found than that names: an event of the kernel side (this process opened this file, as it was then); a place where a
// file that an event named lay; a file that the process has read. In: questions, and what the openers found. Out: what
// may be done, and told. Thread: the warden's only one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/base/lru_map.h"
#include "agent/base/siphash.h"
#include "bpf/lib/control.h"
#include "keytrail/result.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

enum class NamedBy : std::uint8_t {
  kNothing,
  kEvent,    ///< that very file, wherever it is found
  kPlace,    ///< what lies at its place now, of the same owner, and no link led there
  kTeller,   ///< a file that the process has read; whether it does tell of it the opener looks
  kHosts,    ///< /etc/hosts of a mount namespace
  kProcess,  ///< no file: an environment or arguments, which are the process's
  kRuntime,  ///< what a container runtime keeps of a container: a path of the warden's own making
};

/// The opening of a file that a question, or one that a file's word led to, is about.
[[nodiscard]] kt_opened opened_of(const role::Open& asked);
/// A path as a place that a slot has: without the parts that Kubernetes renews with each version ("/..2026_03_01").
[[nodiscard]] std::string slot_place(std::string_view path);

class Named {
 public:
  static constexpr std::size_t kMaxPlaces = 8'192;
  static constexpr std::size_t kMaxLed = 4'096;
  static constexpr std::string_view kHostsPlace = "/etc/hosts";

  using WasOpened = std::function<bool(const kt_opened&)>;

  /// `key`: nobody else knows which places have one number. `machine_mnt_ns`: of the machine's first process: another
  /// number after the next boot, the same places.
  Named(const base::SipKey& key, std::uint32_t machine_mnt_ns, WasOpened was_opened);

  /// Before anything is opened.
  [[nodiscard]] NamedBy what_names(const role::Open& asked);
  /// Leaves in `found` what may be known of it: what is not what was named is `gone`, without a size or a time. Keeps
  /// in mind where a named file lay, and which file was told of. False: nothing of it may be handed over.
  [[nodiscard]] bool limit(NamedBy by, const role::Open& asked, role::Opened& found);

  /// The places, for a warden that begins later; `boot`: this machine's boot id. Written when something is new.
  [[nodiscard]] Result<void> store(const std::string& path, std::string_view boot);
  /// What is stored there; of an earlier boot the machine's own places only. A damaged or missing file is none: then a
  /// place is known again when it is read.
  void load(const std::string& path, std::string_view boot);
  [[nodiscard]] std::size_t places() const { return places_.size(); }

 private:
  struct Place {
    std::uint32_t owner = role::kNobody;
    std::uint32_t lasting = 0;  ///< 1: of the machine's mount namespace
  };
  struct Stored {
    std::uint64_t place = 0;
    Place what;
  };

  [[nodiscard]] std::uint64_t number_of(std::uint32_t mnt_ns, std::string_view path) const;
  [[nodiscard]] const Place* find(std::uint32_t mnt_ns, std::string_view path);
  void note_place(std::uint32_t mnt_ns, std::string_view path, std::uint32_t owner);
  [[nodiscard]] std::uint64_t number_of(const kt_opened& what) const;

  base::SipKey key_;
  std::uint32_t machine_mnt_ns_;
  WasOpened was_opened_;
  base::LruMap<std::uint64_t, Place> places_{kMaxPlaces};
  base::LruMap<std::uint64_t, char> led_{kMaxLed};  ///< files that were told of and read for a process
  bool fresh_ = false;                              ///< not stored yet
};

}  // namespace keytrail::warden
