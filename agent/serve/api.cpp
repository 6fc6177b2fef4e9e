// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <exception>

#include "agent/base/host.h"
#include "agent/base/log.h"
#include "agent/catalog/ranges.h"
#include "agent/serve/meant.h"
#include "agent/serve/row_json.h"
#include "agent/serve/status_json.h"

namespace keytrail::serve {

namespace json = boost::json;

namespace {

constexpr int kMaxExplainPages = 16;

template <typename Items>
json::array to_array(const Items& items) {
  json::array out;
  out.reserve(items.size());
  for (const auto& item : items)
    out.push_back(to_json(item));
  return out;
}

/// Rows that are no key's own are given to everybody.
template <typename Item>
bool is_of_a_key(const Item& /*item*/) {
  return true;
}
bool is_of_a_key(const Row& row) {
  return !std::holds_alternative<GapRow>(row.body) && !std::holds_alternative<RevisionRow>(row.body);
}

template <typename Items>
Result<std::optional<bool>> key_known(HistoryReader& history, const HistoryFilter& asked, const Items& rows) {
  if (asked.key.empty()) return std::nullopt;
  if (std::ranges::any_of(rows, [](const auto& row) { return is_of_a_key(row); })) return true;
  HistoryFilter filter;
  filter.key = asked.key;
  filter.limit = 1;
  const auto keys = history.keys(filter);
  if (!keys) return std::unexpected(keys.error());
  return !keys->empty();
}

template <typename Items>
Result<Known> known_of(HistoryReader& history, const HistoryFilter& asked, const Items& rows) {
  const auto key = key_known(history, asked, rows);
  if (!key) return std::unexpected(key.error());
  Known out{*key, std::nullopt};
  if (asked.workload.empty()) return out;
  out.workload = std::ranges::any_of(rows, [](const auto& row) { return is_of_a_key(row); });
  if (*out.workload) return out;
  const auto workloads = history.workloads({.workload = asked.workload, .limit = 1});
  if (!workloads) return std::unexpected(workloads.error());
  out.workload = !workloads->empty();
  return out;
}

bool has_lifetime(const Key& key, Lifetime lifetime) { return key.lifetime == lifetime; }
bool has_lifetime(const std::vector<Candidate>& keys, Lifetime lifetime) {
  return std::ranges::any_of(keys, [&](const Candidate& one) { return one.key.lifetime == lifetime; });
}
bool has_lifetime(const KeySummary& one, Lifetime lifetime) { return has_lifetime(one.key, lifetime); }
bool has_lifetime(const KeyReader& one, Lifetime lifetime) { return has_lifetime(one.key, lifetime); }
bool has_lifetime(const Holding& one, Lifetime lifetime) { return has_lifetime(one.key, lifetime); }
bool has_lifetime(const Edge& one, Lifetime lifetime) { return has_lifetime(one.use.keys, lifetime); }
bool has_lifetime(const Row& row, Lifetime lifetime) {
  return std::visit(
      [&](const auto& body) {
        if constexpr (requires { body.key; }) return has_lifetime(body.key, lifetime);
        if constexpr (requires { body.keys; }) return has_lifetime(body.keys, lifetime);
        return false;
      },
      row.body);
}

/// Of keys asked for by their lifetime, those of which it is not known may be of them: they stand apart.
struct Apart {
  json::array rows;
  std::optional<json::array> undecided;
};
template <typename Items, typename ToJson>
Apart apart(const Items& items, const HistoryFilter& asked, const ToJson& make) {
  Apart out;
  if (asked.lifetime && *asked.lifetime != Lifetime::kUnknown) out.undecided.emplace();
  for (const auto& one : items) {
    const bool sure = !out.undecided || has_lifetime(one, *asked.lifetime);
    (sure ? out.rows : *out.undecided).push_back(make(one));
  }
  return out;
}
template <typename Items>
Apart apart(const Items& items, const HistoryFilter& asked) {
  return apart(items, asked, [](const auto& one) { return to_json(one); });
}

/// "Who has it now" has no period: one that is given is not silently passed over.
std::optional<ApiAnswer> not_now(const HistoryFilter& filter, const char* what) {
  if (filter.from_ns == 0 && filter.to_ns == 0) return std::nullopt;
  return failed(400, fmt::format("{}: this is a question about now; it takes no since and no until", what), kNowOnly);
}

/// Lists without pages: the first `limit` of them; gives how many were cut off.
template <typename Items>
std::size_t cut(Items& items, std::size_t limit) {
  if (items.size() <= limit) return 0;
  const std::size_t more = items.size() - limit;
  items.resize(limit);
  return more;
}

}  // namespace

struct Api::Request {
  Target target;
  Query query;
  const std::optional<LivesNow>* lives = nullptr;  ///< of a question about now
};

LivesNow Api::lives_of(const Request& request) {
  if (request.lives != nullptr && *request.lives) return **request.lives;
  return lives_now(status_, history_);
}

std::optional<ApiAnswer> Api::mistyped(const Request& request, const Known& known) {
  const Result<void> meant =
      check_meant(history_, catalog_, finding_types_, request.query.filter, known.workload.value_or(true));
  if (meant) return std::nullopt;
  return failed(meant.error());
}

template <typename Ask>
ApiAnswer Api::page(const Request& request, const Ask& ask) {
  const HistoryFilter& filter = request.query.filter;
  const auto page = ask(filter);
  if (!page) return failed(page.error());
  const Result<Known> known = known_of(history_, filter, page->items);
  if (!known) return failed(known.error());
  if (page->items.empty()) {
    if (auto why = mistyped(request, *known)) return *std::move(why);
  }
  Apart found = apart(page->items, filter);
  Coverage covered = coverage_.of(filter);
  return envelope(request.target, filter, std::move(found.rows), std::move(covered.json), covered.complete, page->next,
                  0, *known, std::nullopt, std::move(found.undecided));
}

ApiAnswer Api::rows(const Request& request) {
  return page(request, [&](const HistoryFilter& filter) { return history_.rows(filter, request.query.kinds); });
}

ApiAnswer Api::findings(const Request& request) {
  Request findings = request;
  findings.query.kinds = {false, false, true, false, false};
  return rows(findings);
}

ApiAnswer Api::uses(const Request& request) {
  return page(request, [this](const HistoryFilter& filter) { return history_.edges(filter); });
}

ApiAnswer Api::readers(const Request& request) {
  if (request.query.filter.key.empty()) return failed(400, "readers: a key ID is wanted, like /v1/readers?key=AKIA…");
  return page(request, [this](const HistoryFilter& filter) { return history_.readers(filter); });
}

ApiAnswer Api::keys(const Request& request) {
  const HistoryFilter& filter = request.query.filter;
  Result<std::vector<KeySummary>> list = history_.keys(filter);
  if (!list) return failed(list.error());
  const auto known = known_of(history_, filter, *list);
  if (!known) return failed(known.error());
  if (list->empty()) {
    if (auto why = mistyped(request, *known)) return *std::move(why);
  }
  const std::size_t more = cut(*list, filter.limit);
  Apart found = apart(*list, filter);
  Coverage covered = coverage_.of(filter);
  return envelope(request.target, filter, std::move(found.rows), std::move(covered.json), covered.complete, 0, more,
                  *known, std::nullopt, std::move(found.undecided));
}

ApiAnswer Api::holders(const Request& request) {
  if (auto why = not_now(request.query.filter, "holders")) return *std::move(why);
  const LivesNow lives = lives_of(request);  // before the list: what is examined by then is in it
  Result<std::vector<Holding>> list = history_.holders(request.query.filter);
  if (!list) return failed(list.error());
  const auto known = known_of(history_, request.query.filter, *list);
  if (!known) return failed(known.error());
  if (list->empty()) {
    if (auto why = mistyped(request, *known)) return *std::move(why);
  }
  Coverage covered = coverage_.of_the_living(request.query.filter);
  std::string kind = list->empty() ? "" : list->front().key.kind;
  if (list->empty() && known->key.value_or(false)) {
    const auto keys = history_.keys({.key = request.query.filter.key, .limit = 1});
    if (keys && !keys->empty()) kind = keys->front().key.kind;
  }
  CannotTell others = cannot_tell(lives, kind, *list, request.query.with_quiet);
  const std::size_t more = cut(*list, request.query.filter.limit);
  Apart found = apart(*list, request.query.filter, holder_json);
  return envelope(request.target, request.query.filter, std::move(found.rows), std::move(covered.json),
                  covered.complete && others.nobody, 0, more, *known, std::move(others.json),
                  std::move(found.undecided));
}

ApiAnswer Api::places(const Request& request) {
  if (request.query.filter.key.empty()) return failed(400, "places: a key ID is wanted, like /v1/places?key=AKIA…");
  Result<std::vector<KeyPlace>> list = history_.places(request.query.filter);
  if (!list) return failed(list.error());
  const auto known = known_of(history_, request.query.filter, *list);
  if (!known) return failed(known.error());
  if (list->empty()) {
    if (auto why = mistyped(request, *known)) return *std::move(why);
  }
  const std::size_t more = cut(*list, request.query.filter.limit);
  Coverage covered = coverage_.of(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(*list), std::move(covered.json), covered.complete, 0,
                  more, *known);
}

ApiAnswer Api::rotation(const Request& request) {
  const Query& query = request.query;
  if (query.old_key.empty() || query.new_key.empty())
    return failed(400, "rotation: the old and the new key ID are wanted, like /v1/rotation?old=AKIA…&new=AKIA…");
  if (auto why = not_now(query.filter, "rotation")) return *std::move(why);
  if (query.old_key == query.new_key) return failed(400, "rotation: the old and the new key are the same");
  for (const std::string* key : {&query.old_key, &query.new_key}) {
    if (const Result<void> meant = check_key_meant(history_, *key); !meant) return failed(meant.error());
  }
  Coverage covered = coverage_.of_the_living({});  // whenever the old key was taken
  const LivesNow lives = lives_of(request);
  Result<Rotation> found =
      rotation_of(history_, lives, {query.old_key, query.new_key, query.with_quiet, now_ns(), covered.complete});
  if (!found) return failed(found.error());
  json::array rows;
  rows.push_back(std::move(found->row));
  ApiAnswer answer =
      envelope(request.target, query.filter, std::move(rows), std::move(covered.json), found->complete, 0);
  answer.known_keys = std::move(found->known);
  return answer;
}

ApiAnswer Api::workloads(const Request& request) {
  Result<std::vector<WorkloadSummary>> list = history_.workloads(request.query.filter);
  if (!list) return failed(list.error());
  const auto known = known_of(history_, request.query.filter, *list);
  if (!known) return failed(known.error());
  if (list->empty()) {
    if (auto why = mistyped(request, *known)) return *std::move(why);
  }
  const std::size_t more = cut(*list, request.query.filter.limit);
  Coverage covered = coverage_.of(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(*list), std::move(covered.json), covered.complete, 0,
                  more, *known);
}

ApiAnswer Api::status_answer(const Request& request, bool doctor) {
  const AgentStatus agent = status_.status();
  const Result<HistoryStatus> history = history_.status();
  HistoryStatus shown;
  if (history)
    shown = *history;
  else
    shown.error = history.error().message;
  Coverage covered = coverage_.of(request.query.filter);
  json::array list;
  if (doctor)
    list = doctor_json(agent, status_.unseen().get(), shown);
  else
    list.push_back(status_json(agent, shown));
  return envelope(request.target, request.query.filter, std::move(list), std::move(covered.json), covered.complete, 0);
}

/// The row asked for, and what the same process acquired before it: what the evidence rests on.
ApiAnswer Api::explain(const Request& request) {
  std::uint64_t seq = 0;
  const std::string& text = request.target.path.at(2);
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seq);
  if (code != std::errc{} || end != text.data() + text.size() || seq == 0)
    return failed(400, "explain: a sequence number is wanted, like /v1/explain/17");
  const Result<std::optional<Row>> row = history_.row(seq);
  if (!row) return failed(row.error());
  if (!*row) return failed(404, fmt::format("there is no row {}; it may have been removed by retention", seq));
  json::array list;
  list.push_back(to_json(**row));
  HistoryFilter filter;
  if (const auto* use = std::get_if<UseRow>(&(*row)->body)) {
    list[0].as_object()["explanation"] = keytrail::explain(use->reason);
    const Destination& to = use->destination;
    // Through a proxy the address is the proxy's.
    const auto address = use->via.starts_with("proxy ") ? std::nullopt : base::parse_address(to.address);
    const std::string hint = address ? catalog::range_hint(to.provider, *address) : std::string();
    if (!hint.empty()) list[0].as_object()["note"] = hint;
    filter.pid = use->actor.id.tgid;
    filter.limit = std::min<std::size_t>(1000, max_rows_);
    for (int pages = 0; pages < kMaxExplainPages; ++pages) {
      const Result<Page<Row>> before = history_.rows(filter, RowKinds{true, false, false, false, false});
      if (!before) return failed(before.error());
      for (const Row& other : before->items) {
        const auto* acquired = std::get_if<AcquisitionRow>(&other.body);
        if (acquired != nullptr && acquired->actor.id.same_process(use->actor.id) && other.time_ns <= use->last_ns)
          list.push_back(to_json(other));
      }
      if (before->next == 0) break;
      filter.after_seq = before->next;
    }
    filter = {};
    filter.from_ns = use->first_ns;
    filter.to_ns = use->last_ns + 1;
  }
  Coverage covered = coverage_.of(filter);
  return envelope(request.target, request.query.filter, std::move(list), std::move(covered.json), covered.complete, 0);
}

ApiAnswer Api::watch(const Request& request, std::string_view last_event_id) {
  const auto known = known_of(history_, request.query.filter, std::vector<Row>{});
  if (!known) return failed(known.error());
  if (auto why = mistyped(request, *known)) return *std::move(why);  // it would wait for ever
  ApiAnswer answer;
  if (known->key.value_or(false)) answer.known_keys.push_back(request.query.filter.key);
  answer.content_type = "text/event-stream";
  answer.watch = request.query;
  if (!last_event_id.empty()) {
    std::uint64_t seq = 0;
    const auto [end, code] = std::from_chars(last_event_id.data(), last_event_id.data() + last_event_id.size(), seq);
    if (code != std::errc{} || end != last_event_id.data() + last_event_id.size())
      return failed(400, "Last-Event-ID must be a sequence number");
    answer.watch->filter.after_seq = seq;
    answer.watch->after_given = true;
  }
  return answer;
}

ApiAnswer Api::route(const Request& request) {
  using Handler = ApiAnswer (*)(Api&, const Request&);
  static constexpr std::array<std::pair<std::string_view, Handler>, 11> kRoutes = {{
      {"rows", [](Api& a, const Request& r) { return a.rows(r); }},
      {"uses", [](Api& a, const Request& r) { return a.uses(r); }},
      {"keys", [](Api& a, const Request& r) { return a.keys(r); }},
      {"holders", [](Api& a, const Request& r) { return a.holders(r); }},
      {"places", [](Api& a, const Request& r) { return a.places(r); }},
      {"readers", [](Api& a, const Request& r) { return a.readers(r); }},
      {"rotation", [](Api& a, const Request& r) { return a.rotation(r); }},
      {"workloads", [](Api& a, const Request& r) { return a.workloads(r); }},
      {"findings", [](Api& a, const Request& r) { return a.findings(r); }},
      {"status", [](Api& a, const Request& r) { return a.status_answer(r, false); }},
      {"doctor", [](Api& a, const Request& r) { return a.status_answer(r, true); }},
  }};
  const auto& path = request.target.path;
  if (path.size() == 3 && path[0] == "v1" && path[1] == "explain") return explain(request);
  if (path.size() == 2 && path[0] == "v1") {
    const auto* found =
        std::ranges::find(kRoutes, std::string_view(path[1]), [](const auto& entry) { return entry.first; });
    if (found != kRoutes.end()) return found->second(*this, request);
  }
  return failed(404,
                "there is no such path; known: /v1/rows, /v1/uses, /v1/keys, /v1/holders, /v1/places, /v1/readers, "
                "/v1/rotation, /v1/workloads, /v1/findings, /v1/status, /v1/doctor, /v1/explain/SEQ, /v1/watch, "
                "/v1/openapi.json");
}

ApiAnswer Api::answer(const Request& request, std::string_view method, std::string_view last_event_id) {
  if (method != "GET" && method != "HEAD")
    return failed(405, "only GET is answered here: the agent observes, it takes no orders");
  const auto& path = request.target.path;
  if (path.size() == 2 && path[0] == "v1" && path[1] == "openapi.json") {
    ApiAnswer answer;
    answer.body = std::string(openapi_json());
    return answer;
  }
  Result<Query> query = parse_query(request.target, catalog_, max_rows_);
  if (!query) return failed(query.error());
  if (query->from_after_to)
    return failed(400, "since must be before until: of an empty period nothing can be told", kFromAfterTo);
  const Request checked{request.target, *std::move(query), request.lives};
  if (path.size() == 2 && path[0] == "v1" && path[1] == "watch") return watch(checked, last_event_id);
  return route(checked);
}

ApiAnswer Api::handle(std::string_view method, std::string_view target, std::string_view last_event_id,
                      const std::optional<LivesNow>& lives) try {
  Result<Target> parsed = parse_target(target);
  if (!parsed) {
    ApiAnswer refused = failed(parsed.error());
    refused.for_log = "(malformed target)";
    return refused;
  }
  const Request request{*std::move(parsed), {}, &lives};
  ApiAnswer out = answer(request, method, last_event_id);
  out.for_log = for_log(request.target, catalog_, out.known_keys);
  return out;
} catch (const std::exception&) {  // what it says may be what was typed
  ApiAnswer answer = failed(500, "the query failed inside the agent");
  answer.for_log = "(internal error)";
  return answer;
}

}  // namespace keytrail::serve
