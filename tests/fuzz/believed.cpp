// SPDX-License-Identifier: Apache-2.0
// Target: the examiner's message and the file that comes with it. An input is "FORMAT PLACE\n" and the file: the worker
// says what it is, the warden where it lies. What only the worker says gives no text of the file.
#include "agent/examine/believed.h"

#include <cstring>

#include "agent/examine/formats.h"
#include "agent/examine/pem_blocks.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::examine {
namespace {

using fuzz::require;

/// Any bytes as the messages that the examiner reads.
void decode_any(std::string_view bytes) {
  role::Examine asked;
  std::string fitted(bytes.substr(0, sizeof(asked)));
  fitted.resize(sizeof(asked));
  if (role::decode(fitted.data(), fitted.size(), asked)) {
    require(asked.hints.asks < role::kAsks && asked.named <= 1, "a question that is carried out is of a known kind");
    require(asked.place.view().size() <= role::kMaxPlace, "a text lies within its message");
  }
  role::FingerprintKey key;
  fitted.resize(sizeof(key));
  (void)role::decode(fitted.data(), fitted.size(), key);
}

void run(std::string_view input) {
  static ExaminerState state{.key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                             .env = catalog::kernel_tables().env,
                             .formats = catalog::kernel_tables().formats,
                             .programs = catalog::kernel_tables().programs,
                             .carried = catalog::kernel_tables().carried};
  static Arena scratch(4U << 20U);
  decode_any(input);
  auto asked = role::make<role::Examine>(role::Type::kExamine, 1);
  std::string_view head = fuzz::take_until(input, "\n");
  asked.hints.format.assign(fuzz::take_until(head, " "));
  asked.place.assign(head);
  asked.hints.key_kind.assign("acme.any");
  Belief belief;
  believe(asked, input, catalog::Catalog::builtin(), state, scratch, belief);
  Found found;
  found.bare = belief.bare;
  parse(belief.hints, input, state, scratch, found);
  scratch.wipe();
  const catalog::File* const entry = catalog::Catalog::builtin().match_file(asked.place.view());
  const bool content = asked.hints.format.view() == kContentFormat || asked.hints.format.view() == "hosts_file";
  require(entry == nullptr || entry->format.empty() || content || belief.hints.format == entry->format,
          "a known place is read as its entry says");
  if (!belief.bare) return;
  for (const KeyFact& fact : found.keys) {
    for (const std::string* text :
         {&fact.key.principal, &fact.key.parent, &fact.selector, &fact.variable, &fact.host, &fact.path})
      require(text->empty(), "nobody's word gives nothing but ids");
    require(fact.claims.empty() && !fact.key.id.empty(), "nobody's word gives ids");
  }
}

}  // namespace
}  // namespace keytrail::examine

int LLVMFuzzerInitialize(int*, char***) {
  keytrail::fuzz::require(keytrail::examine::openssl_wipe(), "OpenSSL is set up as in the examiner");
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keytrail::examine::run(keytrail::fuzz::text_of(data, size));
  return 0;
}
