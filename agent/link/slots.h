// SPDX-License-Identifier: Apache-2.0
// Known key files: what each of their slots held last. A slot that goes from key A to B is a rotation. Bounded. One
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/base/fair_map.h"
#include "agent/link/instance.h"
#include "keytrail/examiner.h"
#include "keytrail/recorder.h"

namespace keytrail::link {

/// A file, in its scope: whoever means that file by its path. A mount namespace of the same scope (`unshare`) that has
/// another file under that path is a scope of its own.
struct KnownFile {
  std::string scope;          ///< see SlotChange
  std::uint32_t only_in = 0;  ///< the mount namespace in its scope; 0 = any
  std::string path;
  std::uint32_t mnt_ns = 0;                 ///< where it is followed; 0 = not known yet (after a restart)
  std::uint32_t dev = 0;                    ///< kernel encoding; 0 = not known yet (after a restart)
  FileIdentity identity;                    ///< as last opened
  const catalog::File* entry = nullptr;     ///< as what it is read; nullptr = not known yet (after a restart)
  std::map<std::string, std::string> keys;  ///< selector → key id
  std::int64_t seen_ns = 0;                 ///< Unix ns: when it was last known to hold them; 0 = not known
  bool looking = false;
};

/// When a file was read: its content is of some moment between. Unix ns.
struct ReadTime {
  std::int64_t from_ns = 0, to_ns = 0;
};

class Slots {
 public:
  explicit Slots(std::size_t limit);

  using Live = std::unordered_map<std::uint32_t, InstanceRef>;  ///< by tgid

  [[nodiscard]] static std::string file_key(std::string_view scope, std::string_view path);
  /// The id of its container; else, of a service with mounts of its own (another mount namespace than the machine's),
  /// the workload id of its unit, which outlives its restarts; else empty: the machine.
  [[nodiscard]] static std::string scope_of(const Instance& instance, std::uint32_t machine_mnt_ns);
  /// The part of a scope that lives in this mount namespace, when the path is another file there.
  [[nodiscard]] static std::string scope_in(std::string_view scope, std::uint32_t mnt_ns);
  /// That of a file that is mounted nowhere, by who opened it: its path means no other file.
  [[nodiscard]] static std::string scope_of_detached(const Instance& opener, std::uint32_t machine_mnt_ns) {
    return scope_in(scope_of(opener, machine_mnt_ns), 0);
  }
  /// Whether the process has the files of this scope in its own root.
  [[nodiscard]] static bool is_own(const Instance& instance, std::string_view scope, std::uint32_t machine_mnt_ns);
  /// Init's mount namespace; the agent's own where init is not shown (not every kernel shows it to whoever goes through
  /// its tasks).
  [[nodiscard]] static std::uint32_t machine_mnt_ns(const Live& live, std::uint32_t own_mnt_ns);
  /// The name of a file that outlives its rotation: without the generation that kubelet's volumes put into the path
  /// ("..2026_11_21_…").
  [[nodiscard]] static std::string place_of(std::string_view path);

  /// What a file holds now. Returns the slots that went from one key to another. The file's own times say nothing of
  /// when that was: a file that takes another's name may be old.
  std::vector<SlotChange> update(KnownFile& file, const FileIdentity& identity, const std::vector<KeyFact>& facts,
                                 ReadTime read);
  /// The file, made when unknown. `owner`: who reads it; no owner's files push out those of others.
  KnownFile& file(std::string_view scope, std::string_view path, const std::string& owner = {});
  /// The file is followed in this mount namespace. On the machine another device under the same path is another file:
  /// what it held is forgotten, no rotation. A container or service has mounts of its own, made anew when it starts.
  static void follow(KnownFile& file, std::uint32_t mnt_ns, std::uint32_t dev);
  /// What it held says nothing of what is there now.
  static void start_anew(KnownFile& file);
  /// Files of mount namespaces that have ended.
  void forget_ended(const std::function<bool(std::uint32_t)>& lives);
  [[nodiscard]] KnownFile* find(const std::string& key) { return files_.find(key); }
  /// Takes over what the slots of an earlier run held, or the changes of one in order.
  void load(std::span<const SlotChange> slots);
  /// Since the last call, in order: first keys, other keys, slots that are forgotten.
  [[nodiscard]] std::vector<SlotChange> take_changes() { return std::exchange(changes_, {}); }
  [[nodiscard]] std::uint64_t forgotten() const { return files_.evicted(); }

 private:
  void tell_forgotten(const KnownFile& file);

  base::FairMap<KnownFile> files_;
  std::vector<SlotChange> changes_;
};

}  // namespace keytrail::link
