// SPDX-License-Identifier: Apache-2.0
// Target: the initial environment of a process (agent/examine), with the catalog's own variables.
#include <algorithm>

#include "agent/catalog/catalog.h"
#include "agent/examine/formats.h"
#include "keytrail/event_abi.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::examine {
namespace {

using fuzz::require;

bool has_user_information(std::string_view value) {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view rest = value.substr(scheme + 3);
  return rest.substr(0, rest.find_first_of("/?#")).contains('@');
}

void check(const EnvItem& item) {
  require(item.name.size() <= KT_ITEM_NAME_MAX && is_name(item.name, KT_ITEM_NAME_MAX),
          "a variable's name is plain and short");
  require(item.value.size() <= KT_ITEM_VALUE_MAX, "a shown value is short");
  require(item.value.empty() || item.fingerprint.empty() || !item.value.contains('@'),
          "of a hashed variable at most its address is shown");
  require(item.fingerprint.empty() || item.length >= kMinFingerprintedBytes, "a short value has no fingerprint");
  require(!has_user_information(item.value), "a shown value has no user information");
}

}  // namespace
}  // namespace keytrail::examine

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  examine::ExaminerState state{.key = {1, 2, 3, 4}, .env = catalog::kernel_tables().env};
  examine::Found found;
  static examine::Arena scratch(1U << 20U);
  scratch.wipe();
  examine::parse_environment(fuzz::text_of(data, size), state, scratch, found);
  fuzz::require(found.env.size() <= role::kMaxKeysPerFile && found.keys.size() <= role::kMaxKeysPerFile,
                "an environment has at most 256 variables and keys");
  for (const KeyFact& fact : found.keys)
    fuzz::require(!fact.variable.empty() && !fact.key.id.empty(), "a key of a URL is of its variable");
  for (const EnvItem& item : found.env)
    examine::check(item);
  return 0;
}
