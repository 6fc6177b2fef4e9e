// SPDX-License-Identifier: Apache-2.0
// What the history keeps of a holder beside its holdings, as text: its doubts, and what files said of its keys'
// entries. A worker that is started again must not be surer than the one before. Pure; bad text is nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/link/instance.h"

namespace keytrail::link {

/// JSON: every member of Doubts that is not as at first, the pipes that its program began with, and "entries": what the
/// durable table has no column for; times in ns since boot, which holds as long as the process can live.
[[nodiscard]] std::string encode_life(const Instance& instance);
/// Whether the text says something of this holding.
[[nodiscard]] bool has_entry(const HeldKey& what);
/// Whether it says when the place of a key that was lost was opened last.
[[nodiscard]] bool has_opened(const Held& held);
/// Whether the text would say the same of both. Cheap; two equal lists that are not shared count as different.
[[nodiscard]] bool same_doubts(const Doubts& left, const Doubts& right);
/// Sets what was stored, also by earlier builds; text that cannot be read leaves the instance as one whose start was
/// not seen.
void apply_life(Instance& instance, const std::string& text);
/// What is known of a key beside it: the entry, which host it is for, how it is chosen, what else it may be. Taken from
/// the stored text; nothing is set when it does not name this holding. Returns Held::opened_ns.
std::uint64_t apply_entry(HeldKey& what, const std::string& text, const catalog::Catalog& catalog);
/// Of its file: see HeldKey; nothing when the text does not tell.
[[nodiscard]] std::optional<std::string> scope_in_entry(const std::string& text, std::string_view key_id,
                                                        const Slot& slot);

}  // namespace keytrail::link
