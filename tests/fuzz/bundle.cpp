// SPDX-License-Identifier: Apache-2.0
// Target: what a container runtime wrote of a container (agent/examine/bundle). An input is "FORMAT ID PLACE\n" and the
// file. What leaves is the known facts, each once and plain, and nothing that stands as a secret does.
#include "agent/examine/bundle.h"

#include <bitset>
#include <string>

#include "tests/fuzz/fuzz.h"

namespace keytrail::examine {
namespace {

using fuzz::require;

void run(std::string_view input) {
  static const ExaminerState state{.key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                                   .env = catalog::kernel_tables().env,
                                   .formats = catalog::kernel_tables().formats,
                                   .programs = catalog::kernel_tables().programs,
                                   .carried = catalog::kernel_tables().carried};
  static Arena scratch(4U << 20U);
  std::string_view head = fuzz::take_until(input, "\n");
  const std::string_view format = fuzz::take_until(head, " ");
  const std::string_view id = fuzz::take_until(head, " ");
  Found found;
  parse_bundle(format, id, head, input.substr(0, role::kMaxFileBytes), state, scratch, found);
  scratch.wipe();
  require(scratch.clean(), "nothing of the file stays");
  require(found.unread == role::Unread::kNone || found.facts.empty(), "what was not read gives nothing");
  std::bitset<kBundleFacts.size()> seen;
  for (const BundleFact& fact : found.facts) {
    require(fact.what < kBundleFacts.size(), "a known fact");
    const bool listed = kBundleFacts[fact.what] == bundle::kUser || kBundleFacts[fact.what] == bundle::kNamed;
    require(!seen[fact.what] || listed, "once, but for those of a list");
    seen.set(fact.what);
    role::Text<510> text;
    require(!fact.value.empty() && text.assign(fact.value) && text.plain(), "a value fits its message, and is plain");
    const std::string_view value = fact.value;
    require(!is_secret_by_shape(value, state.formats), "no value is a secret by its looks");
  }
}

}  // namespace
}  // namespace keytrail::examine

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keytrail::examine::run(keytrail::fuzz::text_of(data, size));
  return 0;
}
