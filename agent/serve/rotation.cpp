// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "agent/base/log.h"
#include "agent/serve/row_json.h"

namespace keytrail::serve {

namespace json = boost::json;
using base::printable;

namespace {

constexpr std::int64_t kCallsWindow = 600'000'000'000;  // ten minutes
constexpr std::size_t kPage = 1'000;
constexpr std::uint64_t kBacklog = 32'768;  // what is taken from the rings at once, see capture.h
constexpr std::size_t kMost = 10'000;

/// One of the two keys.
struct Side {
  std::string id;
  std::optional<Key> key;  ///< nothing: never seen here
  std::set<std::pair<std::uint32_t, std::uint64_t>> processes;
  std::uint64_t calls = 0, refused = 0;
  std::int64_t last_use_ns = 0, last_refused_ns = 0, last_ok_ns = 0;
  bool outcome_seen = false;
  std::uint64_t issued = 0;  ///< processes that hold a key issued from it
};

std::pair<std::uint32_t, std::uint64_t> process_of(const Holding& holding) {
  return {holding.actor.id.tgid, holding.actor.id.start_ns};
}

/// "restart the pod payments/api": what a person would restart to end this process.
std::string restart_words(const Actor& actor) {
  const std::string name = printable(actor.workload.name);
  switch (actor.workload.kind) {
    case WorkloadKind::kPod:
      return "restart the pod " + name;
    case WorkloadKind::kContainer:
      return "restart the container " + name;
    case WorkloadKind::kSystemdUnit:
      return "systemctl restart " + name;
    case WorkloadKind::kCiJob:
      return "let the job end";
    default:
      return fmt::format("restart {}[{}]", printable(actor.program.empty() ? actor.comm : actor.program),
                         actor.id.tgid);
  }
}

struct Stuck {
  std::string why, to_move;
};

Stuck stuck(const Holding& holding) {
  const std::string restart = restart_words(holding.actor);
  if (holding.how == How::kLostAtExec)
    return {"the program before its exec had it; whether this one has is not visible", restart};
  if (holding.how == How::kTold)
    return {"a file that it read names the place of the key; whether it read that is not visible", restart};
  if (holding.how == How::kHelper) return {"its helper read it and may have handed it over", restart};
  switch (holding.slot.from) {
    case From::kEnvironment:
      return {"the environment is fixed at start", "change it where it is set, then " + restart};
    case From::kArgument:
      return {"arguments are fixed at start", "change the command line, then " + restart};
    case From::kFile:
      if (holding.slot_changed) return {"the file has another key by now, and it has not read it again", restart};
      return {"the file still has this key",
              "put the new key into the file, then " + restart + " if it does not reread"};
    case From::kMetadata:
    case From::kIssued:
      return {"it was issued to it", "it ends by itself when it expires; or " + restart};
    case From::kBroker:
      return {"a local broker gave it", "change it at the broker, then " + restart};
    default:
      return {"where it got it is not visible", restart};
  }
}

/// All uses that list the key, in pages.
template <typename Each>
Result<void> each_edge(HistoryReader& history, const std::string& key, std::int64_t from_ns, const Each& each) {
  HistoryFilter filter;
  filter.key = key;
  filter.chain = false;
  filter.from_ns = from_ns;
  filter.limit = kPage;
  while (true) {
    const Result<Page<Edge>> page = history.edges(filter);
    if (!page) return std::unexpected(page.error());
    for (const Edge& edge : page->items)
      each(edge.use);
    if (page->next == 0) return {};
    filter.after_seq = page->next;
  }
}

std::uint64_t count_of(const UseRow& use) { return use.requests.value_or(use.connections); }

Result<void> add_uses(HistoryReader& history, Side& side, std::int64_t now_ns) {
  auto all = each_edge(history, side.id, 0, [&](const UseRow& use) {
    side.last_use_ns = std::max(side.last_use_ns, use.last_ns);
    side.outcome_seen = side.outcome_seen || use.outcome != Outcome::kUnknown;
    if (use.outcome == Outcome::kOk) side.last_ok_ns = std::max(side.last_ok_ns, use.last_ns);
    if (use.outcome != Outcome::kRefused) return;
    side.refused += count_of(use);
    side.last_refused_ns = std::max(side.last_refused_ns, use.last_ns);
  });
  if (!all) return all;
  return each_edge(history, side.id, now_ns - kCallsWindow, [&](const UseRow& use) { side.calls += count_of(use); });
}

/// Fills a side; the holdings of the key itself are given.
Result<std::vector<Holding>> look_at(HistoryReader& history, Side& side, std::int64_t now_ns) {
  HistoryFilter filter;
  filter.key = side.id;
  filter.chain = false;
  filter.limit = kMost;
  const auto keys = history.keys(filter);
  if (!keys) return std::unexpected(keys.error());
  if (!keys->empty()) side.key = keys->front().key;
  auto holders = history.holders(filter);
  if (!holders) return holders;
  for (const Holding& one : *holders)
    side.processes.insert(process_of(one));
  filter.chain = true;
  const auto chain = history.holders(filter);
  if (!chain) return std::unexpected(chain.error());
  std::set<std::pair<std::uint32_t, std::uint64_t>> issued;
  for (const Holding& one : *chain) {
    if (one.key.parent == side.id) issued.insert(process_of(one));
  }
  side.issued = issued.size();
  if (auto uses = add_uses(history, side, now_ns); !uses) return std::unexpected(uses.error());
  return holders;
}

json::object side_json(const Side& side) {
  return {{"id", printable(side.id)},
          {"known", side.key.has_value()},
          {"processes", side.processes.size()},
          {"calls", side.calls},
          {"last_use", time_or_null(side.last_use_ns)},
          {"refused", side.outcome_seen ? json::value(side.refused) : json::value()},
          {"last_refused", time_or_null(side.last_refused_ns)},
          {"last_ok", time_or_null(side.last_ok_ns)},
          {"issued_holders", side.issued}};
}

json::value share(std::uint64_t moved, std::uint64_t left) {
  return moved + left == 0 ? json::value()
                           : json::value(static_cast<double>(moved) / static_cast<double>(moved + left));
}

}  // namespace

json::object holder_json(const Holding& holding) {
  json::object out = to_json(holding);
  const Stuck words = stuck(holding);
  out["why"] = words.why;
  out["to_move"] = words.to_move;
  return out;
}

namespace {

bool concerns(const std::vector<std::string>& kinds, std::string_view kind) {
  return kind.empty() || kinds.empty() || std::ranges::find(kinds, kind) != kinds.end();
}

/// Adds those that connected to nobody; gives how many they are.
std::uint64_t add_quiet(json::object& out, const UnseenLives& lives, std::string_view kind) {
  std::uint64_t processes = lives.quiet_not_listed;
  json::array programs;
  for (const UnseenProgram& one : lives.quiet) {
    if (!concerns(one.kinds, kind)) continue;
    processes += one.processes;
    programs.push_back(json::object{
        {"program", printable(one.program)}, {"workload", printable(one.workload)}, {"processes", one.processes}});
  }
  out["quiet"] = processes;
  out["quiet_programs"] = std::move(programs);
  return processes;
}

}  // namespace

LivesNow lives_now(AgentStatusSource& status) {
  LivesNow out{.unseen = status.unseen()};
  const AgentStatus now = status.status();
  if (const auto found = now.tracking.find("examinations"); found != now.tracking.end()) out.under_way = found->second;
  // More comes than is taken from the rings: opens may wait there.
  if (now.in_flight > kBacklog) ++out.under_way;
  return out;
}

LivesNow lives_now(AgentStatusSource& status, HistoryReader& history) {
  LivesNow out = lives_now(status);
  if (history.batches()) ++out.under_way;
  return out;
}

CannotTell cannot_tell(const LivesNow& now, std::string_view kind, std::span<const Holding> holders, bool with_quiet) {
  json::object out{{"processes", json::array()},
                   {"not_listed", 0},
                   {"not_followed", 0},
                   {"quiet", nullptr},
                   {"quiet_programs", json::array()},
                   {"quiet_counts", with_quiet},
                   {"under_way", now.under_way}};
  const UnseenLives* lives = now.unseen.get();
  if (lives == nullptr) return {std::move(out), false};
  std::set<std::pair<std::uint32_t, std::uint64_t>> known;
  for (const Holding& one : holders)
    known.insert(process_of(one));
  json::array& processes = out["processes"].as_array();
  for (const UnseenLife& life : lives->callers) {
    if (!concerns(life.kinds, kind) || known.contains({life.actor.id.tgid, life.actor.id.start_ns})) continue;
    processes.push_back(json::object{{"actor", to_json(life.actor)},
                                     {"reason", to_string(life.reason)},
                                     {"why", explain(life.reason)},
                                     {"to_move", restart_words(life.actor)}});
  }
  out["not_listed"] = lives->callers_not_listed;
  out["not_followed"] = lives->not_followed;
  const bool callers = !processes.empty() || lives->callers_not_listed + lives->not_followed != 0;
  const bool quiet = add_quiet(out, *lives, kind) != 0;
  return {std::move(out), !callers && !(quiet && with_quiet) && now.under_way == 0};
}

Result<Rotation> rotation_of(HistoryReader& history, const LivesNow& lives, const RotationAsked& asked) {
  Side old_side{.id = asked.old_key}, new_side{.id = asked.new_key};
  const auto holders = look_at(history, old_side, asked.now_ns);
  if (!holders) return std::unexpected(holders.error());
  if (auto r = look_at(history, new_side, asked.now_ns); !r) return std::unexpected(r.error());
  // Who has both is not moved: it may use either.
  for (const auto& process : old_side.processes)
    new_side.processes.erase(process);
  json::array rows;
  for (const Holding& one : *holders)
    rows.push_back(holder_json(one));
  const bool known = old_side.key && new_side.key;
  CannotTell others =
      cannot_tell(lives, old_side.key ? std::string_view(old_side.key->kind) : "", *holders, asked.with_quiet);
  const bool complete = asked.complete && others.nobody;
  const char* state = "not_done";
  if (old_side.processes.empty()) state = !known ? "unknown_key" : complete ? "done" : "cannot_tell";
  json::object row{{"type", "rotation"},
                   {"state", state},
                   {"old", side_json(old_side)},
                   {"new", side_json(new_side)},
                   {"moved_processes", share(new_side.processes.size(), old_side.processes.size())},
                   {"moved_calls", share(new_side.calls, old_side.calls)},
                   {"calls_since", time_or_null(asked.now_ns - kCallsWindow)},
                   {"holders", std::move(rows)},
                   {"cannot_tell", std::move(others.json)}};
  Rotation out{std::move(row), complete, {}};
  for (Side* side : {&old_side, &new_side})
    if (side->key) out.known.push_back(side->id);
  return out;
}

}  // namespace keytrail::serve
