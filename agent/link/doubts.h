// SPDX-License-Identifier: Apache-2.0
// What weakens a claim about the keys of one program in one process, as one value: a fork copies it, a restart stores
// it, an exec begins a new one, the closed world reads it. Owned by its Instance; changed by whoever sees the event
// (processes, connections, examinations).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "agent/link/closed_world.h"
#include "keytrail/event.h"
#include "keytrail/fingerprint.h"
#include "keytrail/shared_list.h"

namespace keytrail::link {

inline constexpr std::uint16_t kDnsPort = 53;

/// A key file, or an entry in one, that was opened and not identified; or an entry whose key is elsewhere.
struct Unidentified {
  std::uint64_t time_ns = 0;
  std::string kind;           ///< the only kind (one mark each) that may stand there; empty = any
  std::string host;           ///< host (and port) that the entry is for; empty = any
  std::string selector_rule;  ///< catalog id of its file's selector, where there is a host
  std::uint64_t last_ns = 0;  ///< of several the latest; 0: there is one

  [[nodiscard]] std::uint64_t latest_ns() const { return std::max(time_ns, last_ns); }
  bool operator==(const Unidentified&) const = default;
};

/// An entry whose key is bought with that of another one: a profile with `role_arn` and `source_profile`.
struct Lead {
  std::string selector_rule;  ///< of both entries' files
  std::string from;
  Fingerprint from_hash;
  std::string to;
  bool first = false;  ///< it counts before a key of the entry's own

  bool operator==(const Lead&) const = default;
};

/// A place that a file which it read names: what is read there belongs to an entry of that file. Or an address that a
/// file or its arguments name, as a variable could.
struct ToldPlace {
  std::string path;           ///< absolute; of an address "host:port"
  std::string file;           ///< catalog id of what lies there; of an address the variable
  std::string selector_rule;  ///< of the file that names it
  std::string selector;       ///< of the entry there
  Fingerprint selector_hash;
  std::string host;
  bool current = false;

  bool operator==(const ToldPlace&) const = default;
};

/// A call to an issuer whose action was not seen: it may have given a key. Not a key until a use shows it.
struct MaybeIssued {
  std::uint64_t time_ns = 0;
  std::string kind;     ///< of what may have been given
  std::string parent;   ///< id of the key that the call was made with
  std::string host;     ///< the issuer's
  bool always = false;  ///< whoever calls there with such a key is given one
  bool handed = false;  ///< it was given to a child, who may have handed it over through a pipe
  bool first = false;   ///< that key was the likeliest there

  bool operator==(const MaybeIssued&) const = default;
};

/// A TCP endpoint on a loopback address that this process sent something to.
struct LocalTalk {
  SocketAddress remote;
  std::uint64_t time_ns = 0;

  bool operator==(const LocalTalk&) const = default;
};

/// A name that this process itself asked for.
struct OwnName {
  SocketAddress address;  ///< port 0
  std::string name;

  bool operator==(const OwnName&) const = default;
};

/// A key file that was opened within the window that makes a bulk reader.
struct KeyFileOpened {
  std::uint64_t inode = 0;
  std::uint64_t time_ns = 0;

  bool operator==(const KeyFileOpened&) const = default;
};

/// All times are ns since boot; 0 = never. A new member is named in doubt_members() below, else nothing compiles.
struct Doubts {
  bool exec_seen = false;                  ///< of its program, by hook; a forked process has its parent's
  bool seen_whole = false;                 ///< no argument and no variable of its exec was left unread
  bool bulk = false;                       ///< it read keys in bulk
  std::uint64_t life_from_ns = 0;          ///< exec of its program (a forked process: its parent's)
  std::uint64_t gap_ns = 0;                ///< first gap in its life, as far as it was told: for a later worker
  std::uint64_t cut_ns = 0;                ///< first time that something of it was more than is read or kept
  std::uint64_t broker_ns = 0;             ///< first talk to an unclassified Unix socket
  std::vector<LocalTalk> local_talks;      ///< at most 16, then broker_ns is set
  std::vector<Unidentified> unidentified;  ///< at most 33: see mark_unidentified()
  std::vector<Lead> leads;                 ///< of the files it read; at most 64
  std::vector<ToldPlace> told_places;      ///< at most 32
  std::vector<MaybeIssued> maybe_issued;   ///< newest last; at most 64
  std::vector<KeyFileOpened> opened;       ///< as many as make a bulk reader
  SharedList<OwnName> names;               ///< newest last; at most 64, shared by those that inherited them

  /// A forked process has its parent's memory, so everything that may be in it: all of them.
  [[nodiscard]] Doubts inherit() const { return *this; }

  /// A program that begins: what the one before it did is not in its memory. Keys that it held are carried over as
  /// lost, with their own evidence (see Processes); names, talks and files of the program before say nothing of this
  /// one.
  [[nodiscard]] static Doubts of_new_program(std::uint64_t exec_ns, bool seen, bool whole) {
    Doubts doubts;
    doubts.exec_seen = seen;
    doubts.seen_whole = seen && whole;
    doubts.life_from_ns = exec_ns;
    return doubts;
  }

  /// The arguments of a process that outlived the agent are not read again: what they might override is not seen any
  /// more.
  void weaken_by_restart() { seen_whole = false; }

  void mark_unidentified(Unidentified mark);
  /// Something unknown of one of these kinds; empty: of any.
  void mark_unidentified(std::uint64_t time_ns, std::span<const std::string_view> kinds);
  /// Arguments, variables or holdings were more than is read or kept: there may be a key among the rest.
  void mark_cut(std::uint64_t time_ns) { earliest(cut_ns, time_ns); }
  /// Something was sent to a loopback port that is no destination of the catalog: a broker or proxy may sit there.
  void note_local_talk(const SocketAddress& remote, std::uint64_t time_ns);
  /// True when that is new: another name, or another order of them.
  bool note_name(const SocketAddress& address, const std::string& name);
  void note_key_file(std::uint64_t inode, std::uint64_t time_ns, std::uint64_t window_ns, std::size_t bulk_files);
  void note_lead(Lead lead);
  /// False when another one was given up for it.
  bool note_told_place(ToldPlace place);
  void note_maybe_issued(MaybeIssued note);

  /// Writes what they say of one use into the closed world's facts. `remote`: what is called; `concerns`: whether a
  /// mark could hide a key that this destination takes.
  template <typename Concerns>
  void facts(WorldFacts& world, const SocketAddress& remote, Concerns&& concerns) const {
    world.exec_seen = exec_seen;
    world.life_from_ns = life_from_ns;
    world.gap_ns = gap_ns;
    world.broker_ns = broker_ns;
    world.cut_ns = cut_ns;
    for (const LocalTalk& talk : local_talks) {
      if (talk.remote != remote) earliest(world.broker_ns, talk.time_ns);
    }
    for (const Unidentified& mark : unidentified) {
      if (concerns(mark)) earliest(world.unidentified_ns, mark.time_ns);
    }
  }
};

/// A member and the name under which the history keeps it.
template <typename T>
struct NamedDoubt {
  std::string_view name;
  T& value;
};

/// The one list of all members (D: Doubts or const Doubts), from which encode, decode and the test that walks them are
/// made. Names are stored: never change one.
template <typename D>
[[nodiscard]] auto doubt_members(D& doubts) {
  auto& [exec_seen, seen_whole, bulk, life_from_ns, gap_ns, cut_ns, broker_ns, local_talks, unidentified, leads,
         told_places, maybe_issued, opened, names] = doubts;
  return std::tuple(NamedDoubt{"exec_seen", exec_seen}, NamedDoubt{"seen_whole", seen_whole}, NamedDoubt{"bulk", bulk},
                    NamedDoubt{"life_from", life_from_ns}, NamedDoubt{"gap", gap_ns}, NamedDoubt{"cut", cut_ns},
                    NamedDoubt{"broker", broker_ns}, NamedDoubt{"local_talks", local_talks},
                    NamedDoubt{"unidentified", unidentified}, NamedDoubt{"leads", leads},
                    NamedDoubt{"told_places", told_places}, NamedDoubt{"maybe_issued", maybe_issued},
                    NamedDoubt{"opened", opened}, NamedDoubt{"names", names});
}

}  // namespace keytrail::link
