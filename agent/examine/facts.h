// SPDX-License-Identifier: Apache-2.0
// What a parser is given and what it may give back. No type here holds a secret: secret bytes stay views into the
// arena.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/siphash.h"
#include "agent/catalog/catalog.h"
#include "agent/examine/arena.h"
#include "keytrail/examiner.h"
#include "keytrail/role_abi.h"

namespace keytrail::examine {

/// What the catalog knows of the place.
struct Hints {
  std::string_view format;
  std::string_view key_kind;
  KeyClass key_class = KeyClass::kAccessKey;
  Lifetime lifetime = Lifetime::kUnknown;
  bool guessable = false;  ///< fingerprints of this kind stay here; the keys are numbered instead
  std::string_view kinds;  ///< every kind that the place may hold, separated by blanks
  /// What the place may hold besides: passwords where `key_kind` is none, else what is no password.
  std::string_view other_kind;
  KeyClass other_class = KeyClass::kAccessKey;
  Lifetime other_lifetime = Lifetime::kUnknown;
};

/// The entry of a file that a key belongs to. What is no name (is_name) is left out of the facts.
struct Entry {
  std::string_view selector;  ///< profile, context, section, host …
  std::string_view host;      ///< "host" or "host:port" it is for
  std::string_view login;
  bool current = false;  ///< the file names it as the one in use
};

/// Numbers for keys whose fingerprint must not leave: "kind #1", "kind:login@host #2". They last as long as the
/// examiner.
class Numbering {
 public:
  /// The same label and fingerprint give the same id. When more than 4096 are known, all further ones of a label are
  /// "#?".
  [[nodiscard]] std::string id(const std::string& label, const Fingerprint& secret);

 private:
  std::map<std::string, std::vector<Fingerprint>> known_;
  std::size_t count_ = 0;
};

/// What lives as long as the examiner.
struct ExaminerState {
  base::SipKey key{};
  Numbering numbers;
  std::span<const catalog::EnvName> env;        ///< variables that may leave, and how
  std::span<const catalog::ArgFormat> formats;  ///< tokens that begin with what they are
};

struct Found {
  std::vector<KeyFact> keys;
  std::vector<EnvItem> env;
  std::uint32_t skipped = 0;  ///< malformed or superfluous entries
  role::Unread unread = role::Unread::kNone;
};

/// What a value in a key's place is.
enum class Standing : std::uint8_t {
  kKey,
  kReference,  ///< it names a key that is kept elsewhere ("op://…", "${TOKEN}")
  kDummy,      ///< a template's or a documentation's stand-in, or nothing that a key of its kind may look like
};

/// One file's work: the parsers' only access to the outside.
class Work {
 public:
  Work(ExaminerState& state, Arena& scratch, const Hints& hints, Found& found)
      : state_(state), scratch_(scratch), hints_(hints), found_(found) {}

  [[nodiscard]] const Hints& hints() const { return hints_; }
  [[nodiscard]] const ExaminerState& state() const { return state_; }
  [[nodiscard]] Arena& scratch() { return scratch_; }
  [[nodiscard]] Found& found() { return found_; }

  /// A fact of this kind; class and lifetime as the catalog says when `kind` is the hinted one, else as given.
  [[nodiscard]] KeyFact fact(std::string_view kind, KeyClass key_class, Lifetime lifetime) const;
  /// A fact of the kind that such a place holds, for a key that does not tell its own.
  [[nodiscard]] KeyFact usual_fact(bool password = false) const;
  /// The same work with other hints, for a part of the file; `hints` must live as long.
  [[nodiscard]] Work with(const Hints& hints) const {
    Work out(state_, scratch_, hints, found_);
    out.entry_ = entry_;
    return out;
  }
  /// The entry that the keys added from now on belong to. Its texts must live as long.
  void at(const Entry& entry) { entry_ = entry; }
  [[nodiscard]] const Entry& entry() const { return entry_; }
  /// Adds it, with the fingerprint and, when `fact.key.id` is empty, an id made from `secret` (may be empty: then none
  /// is made). `label`: who the key is for ("login@host"), for keys that are numbered. A name that is itself a secret
  /// is left out.
  void add(KeyFact fact, std::string_view secret, std::string_view label = {});
  /// The entry's key is elsewhere (a helper program, another file): a fact without id, where the entry says for which
  /// host it is, or with which entry's key (`source`) its own is bought.
  void add_elsewhere(std::string_view source = {});
  /// What `value` is, by the catalog's formats; `kind`: of the key that it is said to be, where that is known.
  [[nodiscard]] Standing standing(std::string_view value, std::string_view kind = {}) const;
  /// Whether a value is no key; a dummy is added as what it is. `label` as for `add`.
  bool is_no_key(std::string_view value, std::string_view kind = {});
  void skip() { ++found_.skipped; }
  [[nodiscard]] bool full() const { return found_.keys.size() >= role::kMaxKeysPerFile; }

 private:
  void place(KeyFact& fact) const;

  ExaminerState& state_;
  Arena& scratch_;
  const Hints& hints_;
  Found& found_;
  Entry entry_;
};

/// Without white space at both ends, and without a byte-order mark.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// True for printable UTF-8 without control characters, of at most `max` bytes: what may leave as a name.
[[nodiscard]] bool is_name(std::string_view text, std::size_t max);
/// Decodes base64 (`url`: base64url; padding optional, line ends skipped) into the scratch memory. False when it is
/// neither.
[[nodiscard]] bool decode_base64(std::string_view text, bool url, Arena& scratch, std::string_view& out);

}  // namespace keytrail::examine
