// SPDX-License-Identifier: Apache-2.0
// What a parser is given and what it may give back. No type here holds a secret: secret bytes stay views into the
// arena.
#pragma once

#include <cstdint>
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
  bool guessable = false;  ///< fingerprints of this kind stay here; the keys have a tag instead
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

/// What lives as long as the examiner.
struct ExaminerState {
  base::SipKey key{};
  std::span<const catalog::EnvName> env;          ///< variables that may leave, and how
  std::span<const catalog::ArgFormat> formats;    ///< tokens that begin with what they are
  std::span<const catalog::ArgProgram> programs;  ///< whose arguments may hold keys
  std::span<const catalog::CarriedKey> carried;   ///< what headers and fields of these names carry; sorted
};

struct Found {
  std::vector<KeyFact> keys;
  std::vector<EnvItem> env;
  std::uint32_t skipped = 0;  ///< malformed or superfluous entries
  role::Unread unread = role::Unread::kNone;
  std::string_view format;        ///< see FileAnswer::format
  bool shown = false;             ///< a key showed by its value, or its variable's name, what it is
  bool bare = false;              ///< nothing but ids leaves: nobody but the worker says what the file is (believed.h)
  std::vector<BundleFact> facts;  ///< of a container
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
  Work(const ExaminerState& state, Arena& scratch, const Hints& hints, Found& found)
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
  /// is made). `label`: who the key is for ("login@host"), for keys that have a tag. A name that is itself a secret
  /// is left out.
  void add(KeyFact fact, std::string_view secret, std::string_view label = {});
  /// The entry's key is elsewhere (a helper program, another file): a fact without id, where the entry says for which
  /// host it is, or with which entry's key (`source`) its own is bought.
  void add_elsewhere(std::string_view source = {});
  /// The entry's key stands in the variable `name`; or with `path`, as written, in that file, as the option `name`
  /// says.
  void add_place(std::string_view name, std::string_view path = {});
  /// The program calls this address ("host:port"), as the variable `name` would say.
  void add_address(std::string_view name, std::string_view address);
  /// What `value` is, by the catalog's formats; `kind`: of the key that it is said to be, where that is known.
  [[nodiscard]] Standing standing(std::string_view value, std::string_view kind = {}) const;
  /// Whether a value is no key; a dummy is added as what it is. `label` as for `add`.
  bool is_no_key(std::string_view value, std::string_view kind = {});
  void skip() { ++found_.skipped; }
  void show() { found_.shown = true; }
  [[nodiscard]] bool full() const { return found_.keys.size() >= role::kMaxKeysPerFile; }

 private:
  void place(KeyFact& fact) const;
  void add_elsewhere(std::string_view source, std::string_view name, std::string_view path);
  [[nodiscard]] bool expands_variables() const;

  const ExaminerState& state_;
  Arena& scratch_;
  const Hints& hints_;
  Found& found_;
  Entry entry_;
};

/// Leaves its ids, numbers, and hashes that the node's key guards.
void strip_texts(KeyFact& fact);
/// The 16 hexadecimal digits behind '#' in the id of a key that could be guessed. The same for equal secrets, however
/// often the examiner starts; without the node's key, which stays here and with the warden, no guess can be tried.
[[nodiscard]] std::string tag_of(const base::SipKey& key, std::string_view secret);
/// Without white space at both ends, and without a byte-order mark.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// True for printable UTF-8 without control characters, of at most `max` bytes: what may leave as a name.
[[nodiscard]] bool is_name(std::string_view text, std::size_t max);
/// A JWT, or a token of the catalog's formats: it shows by itself that it is a secret.
[[nodiscard]] bool is_secret_by_shape(std::string_view text, std::span<const catalog::ArgFormat> formats);
/// Decodes base64 (`url`: base64url; padding optional, line ends skipped) into the scratch memory. False when it is
/// neither.
[[nodiscard]] bool decode_base64(std::string_view text, bool url, Arena& scratch, std::string_view& out);

}  // namespace keytrail::examine
