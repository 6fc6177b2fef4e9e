// SPDX-License-Identifier: Apache-2.0
// Repeated strings as numbers: workloads, programs, keys, slots, destinations, key sets. Written by the store inside
// its transaction; the cache is bounded and forgotten after a rollback. A workload's number is that of its id; its
// facts and shown name may change.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/record/sqlite.h"
#include "keytrail/row.h"

namespace keytrail::record {

/// `issued_s` of an entry that stands for a key's identity and describes nothing.
inline constexpr std::int64_t kIdentityMark = -1;

/// The parts of a key, destination and actor that make two uses the same edge.
[[nodiscard]] Key identity_of(const Key& key);
[[nodiscard]] Destination identity_of(const Destination& destination);

/// What of an actor an entry of `program` holds: all of one process; what makes a reader of keys the same one (without
/// the comm, which a process may change, and without which file it ran, which an update changes); what makes a use the
/// same (without its session either).
enum class Ran : std::uint8_t { kProcess, kReader, kUse };

class Dictionary {
 public:
  /// An entry is marked again when its mark is older than `mark_every` rows.
  Dictionary(Database& db, std::uint64_t mark_every) : db_(db), mark_every_(mark_every) {}

  Result<std::int64_t> workload(const Workload& workload);
  /// What ran, as which users, and what it came in by.
  Result<std::int64_t> program(const Actor& actor, Ran of);
  Result<std::int64_t> key(const Key& key);
  Result<std::int64_t> slot(const Slot& slot);
  Result<std::int64_t> destination(const Destination& destination);
  /// With `identity`, keys count by id and kind only.
  Result<std::int64_t> keyset(const std::vector<Candidate>& candidates, bool identity);

  /// What earlier rows did not say of their workloads.
  struct News {
    std::vector<std::int64_t> workloads;
    std::string text;  ///< "k8s.namespace.name=payments, k8s.pod.name=api-1 (cluster)"; empty: there is none
  };
  /// Facts of a workload, or of all containers of a pod. Those that are kept already stay; names are made anew where
  /// something changed. News is what was not known in this way, another value of what nobody can claim, and what is no
  /// longer true: whoever changes a claim all the time makes no rows by it.
  Result<News> learn(const WorkloadFacts& facts);

  /// The sequence of the next row, for the marks.
  void at(std::uint64_t seq) { seq_ = seq; }
  /// After a rollback or a removal of rows.
  void forget();
  /// Removes entries that no row at or above `oldest_seq`, no edge, holding or sighting needs: some thousand per call.
  /// The caller forgets the cache afterwards.
  Result<std::int64_t> remove_unused(std::uint64_t oldest_seq);

 private:
  struct Entry {
    std::int64_t id = 0;
    std::uint64_t seq = 0;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Cache = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;

  Result<bool> put_facts(std::string_view wid, std::span<const Fact> facts);
  Result<std::string> news_of(const WorkloadFacts& facts);
  /// What is no longer true of it or its containers; the text says what it was.
  Result<std::string> withdraw(const WorkloadFacts& facts);
  Result<void> rename(std::string_view wid);
  /// A record whose table is made from its description.
  template <typename Record>
  Result<std::int64_t> intern_record(Cache& cache, const Record& record);
  template <typename... Values>
  Result<std::int64_t> intern(Cache& cache, const char* sql, const Values&... values);

  Database& db_;
  const std::uint64_t mark_every_;
  std::uint64_t seq_ = 1;
  std::string scratch_;
  bool asked_ = false;  ///< whether the last intern() asked the file
  Cache workloads_, programs_, keys_, slots_, destinations_, keysets_;
};

}  // namespace keytrail::record
