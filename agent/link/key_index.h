// SPDX-License-Identifier: Apache-2.0
// One secret, one key: a place that shows only the fingerprint and a place that shows the id name the same key. One
// thread.
#pragma once

#include <string>

#include "agent/base/lru_map.h"
#include "keytrail/key.h"

namespace keytrail::link {

class KeyIndex {
 public:
  explicit KeyIndex(std::size_t limit) : by_fingerprint_(limit) {}

  /// Remembers a key that has both an id and a fingerprint.
  void learn(const Key& key);
  /// The key as it is best known: with the id instead of the bare fingerprint, with kind and chain where they were
  /// learnt elsewhere.
  [[nodiscard]] Key best(const Key& key);
  /// A key with this fingerprint, or nullptr.
  [[nodiscard]] const Key* find(const Fingerprint& fingerprint);

 private:
  base::LruMap<std::string, Key> by_fingerprint_;
};

}  // namespace keytrail::link
