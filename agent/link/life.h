// SPDX-License-Identifier: Apache-2.0
// What the history keeps of a holder beside its holdings, as text: its doubts, and what files said of its keys'
// entries. A worker that is started again must not be surer than the one before. Pure; bad text is nothing.
#pragma once

#include <string>

#include "agent/link/instance.h"

namespace keytrail::link {

/// JSON: every member of Doubts that is not as at first, and "entries"; times in ns since boot, which holds as long as
/// the process can live.
[[nodiscard]] std::string encode_life(const Instance& instance);
/// Whether the text says something of this holding.
[[nodiscard]] bool has_entry(const HeldKey& what);
/// Whether the text would say the same of both. Cheap; two equal lists that are not shared count as different.
[[nodiscard]] bool same_doubts(const Doubts& left, const Doubts& right);
/// Sets what was stored, also by earlier builds; text that cannot be read leaves the instance as one whose start was
/// not seen.
void apply_life(Instance& instance, const std::string& text);
/// What a file said of an entry beside its key: which host it is for, whether it is the one in use. Taken from the
/// stored text; nothing is set when it does not name this holding.
void apply_entry(HeldKey& what, const std::string& text);

}  // namespace keytrail::link
