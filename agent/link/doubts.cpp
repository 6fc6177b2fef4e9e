// SPDX-License-Identifier: Apache-2.0
#include "agent/link/doubts.h"

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxLocalTalks = 16;
constexpr std::size_t kMaxMarks = 32;
constexpr std::size_t kMaxLeads = 64;
constexpr std::size_t kMaxToldPlaces = 32;
constexpr std::size_t kMaxIssued = 64;
constexpr std::size_t kMaxNames = 64;

bool same_address(const SocketAddress& a, const SocketAddress& b) { return a.v6 == b.v6 && a.address == b.address; }

}  // namespace

/// Bounded: the marks of one kind and host are one mark; what does not fit concerns every kind.
void Doubts::mark_unidentified(Unidentified mark) {
  const auto is_known = [&] {
    for (Unidentified& known : unidentified) {
      if (known.kind != mark.kind || known.host != mark.host) continue;
      const std::uint64_t latest_ns = std::max(known.latest_ns(), mark.latest_ns());
      known.time_ns = std::min(known.time_ns, mark.time_ns);
      known.last_ns = latest_ns > known.time_ns ? latest_ns : 0;
      return true;
    }
    return false;
  };
  if (is_known()) return;
  if (unidentified.size() >= kMaxMarks) {
    mark = {.time_ns = mark.time_ns, .last_ns = mark.last_ns};
    if (is_known()) return;
  }
  if (unidentified.size() < kMaxMarks + 1) unidentified.push_back(std::move(mark));
}

void Doubts::mark_unidentified(std::uint64_t time_ns, std::span<const std::string_view> kinds) {
  if (kinds.empty()) mark_unidentified({.time_ns = time_ns});
  for (const std::string_view kind : kinds)
    mark_unidentified({.time_ns = time_ns, .kind = std::string(kind)});
}

void Doubts::note_local_talk(const SocketAddress& remote, std::uint64_t time_ns) {
  if (remote.port == kDnsPort) return;
  if (std::ranges::any_of(local_talks, [&](const LocalTalk& talk) { return talk.remote == remote; })) return;
  if (local_talks.size() < kMaxLocalTalks) {
    local_talks.push_back({remote, time_ns});
  } else if (broker_ns == 0) {
    broker_ns = time_ns;
  }
}

bool Doubts::note_name(const SocketAddress& address, const std::string& name) {
  const auto same = [&](const OwnName& own) { return own.name == name && same_address(own.address, address); };
  if (!names.empty() && same(names.back())) return false;
  std::vector<OwnName> now;
  now.reserve(std::min(names.size() + 1, kMaxNames));
  std::ranges::remove_copy_if(names, std::back_inserter(now), same);
  if (now.size() >= kMaxNames) now.erase(now.begin());
  now.push_back({address, name});
  names = std::move(now);
  return true;
}

void Doubts::note_key_file(std::uint64_t inode, std::uint64_t time_ns, std::uint64_t window_ns,
                           std::size_t bulk_files) {
  std::erase_if(opened,
                [&](const KeyFileOpened& file) { return file.inode == inode || file.time_ns + window_ns < time_ns; });
  opened.push_back({inode, time_ns});
  if (opened.size() >= bulk_files) bulk = true;
  if (opened.size() > bulk_files) opened.erase(opened.begin());
}

void Doubts::note_lead(Lead lead) {
  std::erase_if(
      leads, [&](const Lead& known) { return known.selector_rule == lead.selector_rule && known.from == lead.from; });
  if (!lead.to.empty() && leads.size() < kMaxLeads) leads.push_back(std::move(lead));
}

bool Doubts::note_told_place(ToldPlace place) {
  std::erase_if(told_places, [&](const ToldPlace& known) {
    return known.path == place.path && known.selector_rule == place.selector_rule && known.selector == place.selector;
  });
  const bool room = told_places.size() < kMaxToldPlaces;
  if (!room) told_places.erase(told_places.begin());
  told_places.push_back(std::move(place));
  return room;
}

void Doubts::note_maybe_issued(MaybeIssued note) {
  const auto same = [&](const MaybeIssued& known) {
    return known.kind == note.kind && known.parent == note.parent && known.host == note.host;
  };
  if (std::ranges::any_of(maybe_issued, same)) return;
  if (maybe_issued.size() >= kMaxIssued) maybe_issued.erase(maybe_issued.begin());
  maybe_issued.push_back(std::move(note));
}

}  // namespace keytrail::link
