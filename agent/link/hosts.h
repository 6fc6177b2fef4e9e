// SPDX-License-Identifier: Apache-2.0
// What hosts files say of names that only their caller claims. `HostNames` keeps them by mount namespace and is asked
// when a use is weighed; `HostsFiles` has them read, for a holder that claims such a name. A process with a root of its
// own within its mount namespace (chroot) is taken for its namespace's. Called by Connections and Uses. Bounded. One
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/lru_map.h"
#include "agent/link/destinations.h"
#include "agent/link/examinations.h"
#include "agent/link/uses.h"

namespace keytrail::link {

inline constexpr std::string_view kHostsFormat = "hosts_file";

struct HostsFile {
  struct Entry {
    std::string name, address;
  };
  FileIdentity identity;       ///< as last read
  std::uint64_t asked_ns = 0;  ///< ns since boot
  ExaminationRef asking;       ///< the last
  /// The number of a mount namespace is given again soon: what is known is of the one that this process lives in, and
  /// when it has ended the file is read again.
  std::weak_ptr<Instance> asker;
  std::vector<Entry> entries;
};

class HostNames {
 public:
  /// Of a claimed name: the file of the caller gives it this address, and it is claimed no more; or gives it only
  /// others, or gives the address only names of others, and the names contradict.
  void check(Resolved& where, const Instance& caller, const catalog::Catalog& catalog);
  [[nodiscard]] HostsFile& of(std::uint32_t mnt_ns) { return *files_.get(mnt_ns).first; }

 private:
  static constexpr std::size_t kFiles = 1'024;
  base::LruMap<std::uint32_t, HostsFile> files_{kFiles};
};

class HostsFiles {
 public:
  HostsFiles(HostNames& names, Examinations& examinations, Uses& uses)
      : names_(names), examinations_(examinations), uses_(uses) {}

  /// Has the caller's file read, unless that was done within the last seconds; its uses from now on wait for it.
  void look(const InstanceRef& caller, std::uint64_t time_ns);

 private:
  void on_answer(std::uint32_t mnt_ns, const ExaminationRef& asking, const FileAnswer& answer);

  HostNames& names_;
  Examinations& examinations_;
  Uses& uses_;
};

}  // namespace keytrail::link
