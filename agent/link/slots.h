// SPDX-License-Identifier: Apache-2.0
// Known key files: what each of their slots held last. A slot that goes from key A to B is a rotation. Bounded. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/lru_map.h"
#include "agent/link/instance.h"
#include "keytrail/examiner.h"
#include "keytrail/recorder.h"

namespace keytrail::link {

/// A file, in the container it belongs to. Mount namespaces without a container (a unit's private mounts, `unshare`)
/// may have different files under one path: a file is followed in the namespace where it was first seen, as long as a
/// process lives there.
struct KnownFile {
  std::string container;  ///< container id, empty on the host
  std::string path;
  std::uint32_t mnt_ns = 0;                     ///< where it is followed; 0 = not known yet (after a restart)
  std::uint32_t dev = 0;                        ///< kernel encoding; 0 = not known yet (after a restart)
  FileIdentity identity;                        ///< as last opened
  std::string format, kind, other_kind, kinds;  ///< for the examiner
  std::map<std::string, std::string> keys;      ///< selector → key id
  std::int64_t seen_ns = 0;                     ///< Unix ns: when it was last known to hold them; 0 = not known
  bool looking = false;
};

/// When a file was read: its content is of some moment between. Unix ns.
struct ReadTime {
  std::int64_t from_ns = 0, to_ns = 0;
};

class Slots {
 public:
  explicit Slots(std::size_t limit);

  [[nodiscard]] static std::string file_key(std::string_view container, std::string_view path);
  [[nodiscard]] static std::string container_of(const Instance& instance);
  /// The name of a file that outlives its rotation: without the generation that kubelet's volumes put into the path
  /// ("..2026_11_21_…").
  [[nodiscard]] static std::string place_of(std::string_view path);

  /// What a file holds now. Returns the slots that went from one key to another. The file's own times say nothing of
  /// when that was: a file that takes another's name may be old.
  std::vector<SlotChange> update(KnownFile& file, const FileIdentity& identity, const std::vector<KeyFact>& facts,
                                 ReadTime read);
  /// The file, made when unknown.
  KnownFile& file(std::string_view container, std::string_view path);
  /// The file is followed in this mount namespace. Another device under the same path is another file: what it held is
  /// forgotten, no rotation.
  static void follow(KnownFile& file, std::uint32_t mnt_ns, std::uint32_t dev);
  [[nodiscard]] KnownFile* find(const std::string& key) { return files_.find(key); }
  /// Takes over what the slots of an earlier run held, or the changes of one in order.
  void load(std::span<const SlotChange> slots);
  /// Since the last call, in order: first keys, other keys, slots that are forgotten.
  [[nodiscard]] std::vector<SlotChange> take_changes() { return std::exchange(changes_, {}); }
  [[nodiscard]] std::uint64_t forgotten() const { return files_.evicted(); }

 private:
  base::LruMap<std::string, KnownFile> files_;
  std::vector<SlotChange> changes_;
};

}  // namespace keytrail::link
