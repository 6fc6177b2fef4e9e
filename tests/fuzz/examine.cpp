// SPDX-License-Identifier: Apache-2.0
// Target: a key file (agent/examine). The first line of an input says "FORMAT [KIND] [guessable] [xN]", the rest is the
// file, N times in a row. Every format of the examiner's table takes part: the mutator keeps the first line and now and
// then writes another format into it.
#include <algorithm>
#include <charconv>
#include <random>

#include "agent/examine/formats.h"
#include "agent/examine/pem_blocks.h"
#include "tests/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed);

namespace keytrail::examine {
namespace {

using fuzz::require;

constexpr std::size_t kMaxRepeats = 1U << 16U;
// A parser whose cost is the square of the size shows, and a run stays fast.
constexpr std::size_t kMaxRepeatedBytes = 256U << 10U;

struct Case {
  Hints hints;
  std::string bytes;
};

Case read_case(std::string_view input) {
  Case out;
  std::string_view head = fuzz::take_until(input, "\n");
  out.hints.format = fuzz::take_until(head, " ");
  std::size_t repeats = 1;
  while (!head.empty()) {
    const std::string_view word = fuzz::take_until(head, " ");
    if (word == "guessable") {
      out.hints.guessable = true;
    } else if (word.starts_with('x') && word.size() > 1) {
      std::from_chars(word.data() + 1, word.data() + word.size(), repeats);
    } else if (word.contains('.') && word.size() <= 62) {
      if (out.hints.key_kind.empty()) {
        out.hints.key_kind = word;
        out.hints.kinds = {word.data(), word.size() + head.size() + (head.empty() ? 0 : 1)};
      }
    }
  }
  repeats = std::clamp<std::size_t>(repeats, 1, kMaxRepeats);
  for (std::size_t i = 0; i < repeats && (i == 0 || out.bytes.size() + input.size() <= kMaxRepeatedBytes); ++i)
    out.bytes += input;
  return out;
}

/// No part of a name may be what a fingerprint was made of.
bool shows(std::string_view name, const Fingerprint& secret, const base::SipKey& key) {
  constexpr std::string_view kSeparators = ":/@ #,=\"'";
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find_first_of(kSeparators, begin), name.size());
    if (end - begin >= kMinFingerprintedBytes && base::fingerprint_of(key, name.substr(begin, end - begin)) == secret)
      return true;
    begin = end + 1;
  }
  return name.size() >= kMinFingerprintedBytes && base::fingerprint_of(key, name) == secret;
}

/// A token of the catalog's formats, in the place of a name or as a part of it.
bool is_token(std::string_view name) {
  constexpr std::string_view kSeparators = ":/@ ";
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find_first_of(kSeparators));
    name.remove_prefix(std::min(part.size() + 1, name.size()));
    for (const catalog::ArgFormat& format : catalog::kernel_tables().formats) {
      if (!format.is_public && !format.kind.empty() && !format.weak && part.starts_with(format.prefix) &&
          part.size() >= format.min_len && part.size() <= format.max_len)
        return true;
    }
  }
  return false;
}

void check_fact(const KeyFact& fact, const ExaminerState& state, const Hints& hints) {
  struct Name {
    std::string_view text;
    std::size_t max;
  };
  const role::KeyFact wire;
  const Name names[] = {{fact.key.id, wire.id.bytes.size()},
                        {fact.key.kind, wire.kind.bytes.size()},
                        {fact.key.principal, wire.principal.bytes.size()},
                        {fact.key.parent, wire.parent.bytes.size()},
                        {fact.selector, wire.selector.bytes.size()},
                        {fact.variable, wire.variable.bytes.size()},
                        {fact.host, wire.host.bytes.size()},
                        {fact.path, wire.path.bytes.size()}};
  for (const Name& name : names) {
    require(name.text.size() <= name.max, "a name fits its message");
    require(name.text.empty() || is_name(name.text, name.max), "a name is UTF-8 without control characters");
    require(fact.key.fingerprint.empty() || !shows(name.text, fact.key.fingerprint, state.key),
            "no name is the secret");
    require(!is_token(name.text), "no name is a token");
  }
  // The entry's key is; what is told is its server, or the entry that buys it.
  const bool elsewhere = fact.key.id.empty();
  require(elsewhere == fact.key.kind.empty() && (!elsewhere || fact.key.fingerprint.empty()),
          "a key has an id and a kind");
  require(fact.path.empty() || (elsewhere && !fact.variable.empty()), "an option says where the key of an entry is");
  require(!elsewhere || !fact.host.empty() || !fact.variable.empty() ||
              (!fact.selector.empty() && !fact.key.parent.empty()),
          "a fact without a key tells something");
  require(!hints.guessable || fact.key.kind != hints.key_kind || fact.key.fingerprint.empty(),
          "a guessable key's fingerprint stays");
}

void run(std::string_view input) {
  static ExaminerState state{.key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                             .formats = catalog::kernel_tables().formats};
  static Arena scratch(4U << 20U);
  const Case one = read_case(input);
  Found found;
  parse(one.hints, one.bytes, state, scratch, found);
  require(found.keys.size() <= role::kMaxKeysPerFile, "a file has at most 256 keys");
  for (const KeyFact& fact : found.keys)
    check_fact(fact, state, one.hints);
  scratch.wipe();
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

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  static const std::vector<std::string_view> formats = keytrail::examine::format_names();
  std::minstd_rand random(seed);
  std::string_view file = keytrail::fuzz::text_of(data, size);
  std::string head(keytrail::fuzz::take_until(file, "\n"));
  const std::string_view format = std::string_view(head).substr(0, head.find(' '));
  if (std::ranges::find(formats, format) == formats.end() || random() % 64 == 0)
    head = formats[random() % formats.size()];
  if (random() % 4 != 0)
    head.resize(std::min(head.size(), head.find(" x")));  // repeated files are slow: most children are single again
  if (random() % 512 == 0) head += " x" + std::to_string(1U << (random() % 17U));
  head += '\n';
  if (head.size() >= max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::string out(file.substr(0, max_size - head.size()));
  const std::size_t had = out.size();
  out.resize(max_size - head.size());
  const std::size_t has = LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(out.data()), had, out.size());
  std::copy_n(head.data(), head.size(), data);
  std::copy_n(out.data(), has, data + head.size());
  return head.size() + has;
}
