// SPDX-License-Identifier: Apache-2.0
// Target: the arguments of a program (agent/examine), with the catalog's own rules. The first line of an input is the
// program, each further one an argument; without a line end behind it the last is cut.
#include <algorithm>
#include <string>

#include "agent/catalog/catalog.h"
#include "agent/examine/formats.h"
#include "keytrail/event_abi.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::examine {
namespace {

using fuzz::require;

void check(const KeyFact& fact, std::string_view arguments) {
  const role::KeyFact wire;
  const std::pair<std::string_view, std::size_t> names[] = {
      {fact.key.id, wire.id.bytes.size()},         {fact.key.principal, wire.principal.bytes.size()},
      {fact.key.parent, wire.parent.bytes.size()}, {fact.selector, wire.selector.bytes.size()},
      {fact.variable, wire.variable.bytes.size()}, {fact.host, wire.host.bytes.size()}};
  for (const auto& [name, most] : names)
    require(name.size() <= most && (name.empty() || is_name(name, most)), "a name is plain and fits its message");
  require(!fact.key.id.empty() && !fact.key.kind.empty() && !fact.variable.empty(), "a key has id, kind and flag");
  require(fact.key.key_class != KeyClass::kPassword || fact.key.fingerprint.empty(), "a password's fingerprint stays");
  // What has a fingerprint is a secret of 16 bytes or more, and stands nowhere.
  if (fact.key.fingerprint.empty()) return;
  require(arguments.size() >= kMinFingerprintedBytes, "a short value has no fingerprint");
  for (const auto& [name, most] : names)
    require(name.size() < kMinFingerprintedBytes || base::fingerprint_of({1, 2, 3, 4}, name) != fact.key.fingerprint,
            "no name is the secret");
}

}  // namespace
}  // namespace keytrail::examine

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  static examine::Arena scratch(4U << 20U);
  const catalog::KernelTables& tables = catalog::kernel_tables();
  examine::ExaminerState state{
      .key = {1, 2, 3, 4}, .formats = tables.formats, .programs = tables.programs, .carried = tables.carried};
  std::string bytes(fuzz::text_of(data, std::min<std::size_t>(size, KT_KEPT_MAX)));
  std::ranges::replace(bytes, '\n', '\0');
  const std::string program = bytes.substr(0, std::min<std::size_t>(bytes.find('\0'), 15));
  examine::Found found;
  examine::parse_arguments(program, bytes, state, scratch, found);
  scratch.wipe();
  fuzz::require(found.env.empty() && found.keys.size() <= role::kMaxKeysPerFile, "at most 256 keys");
  for (const KeyFact& fact : found.keys)
    examine::check(fact, bytes);
  return 0;
}
