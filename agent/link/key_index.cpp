// SPDX-License-Identifier: Apache-2.0
#include "agent/link/key_index.h"

namespace keytrail::link {
namespace {

bool is_bare(const Key& key) { return key.id.empty() || key.id.starts_with("fp:"); }

std::string index_key(const Fingerprint& fingerprint) {
  return {reinterpret_cast<const char*>(fingerprint.bytes.data()), fingerprint.bytes.size()};
}

}  // namespace

void KeyIndex::learn(const Key& key) {
  if (key.fingerprint.empty()) return;
  const auto [known, fresh] = by_fingerprint_.get(index_key(key.fingerprint));
  // An id is never replaced by a bare fingerprint, and the first id stays: two ids with one secret are told apart by
  // their slots.
  if (fresh || (is_bare(*known) && !is_bare(key))) *known = key;
}

Key KeyIndex::best(const Key& key) {
  if (!is_bare(key)) return key;
  const Key* known = find(key.fingerprint);
  return known != nullptr && !is_bare(*known) ? *known : key;
}

const Key* KeyIndex::find(const Fingerprint& fingerprint) {
  return fingerprint.empty() ? nullptr : by_fingerprint_.find(index_key(fingerprint));
}

}  // namespace keytrail::link
