// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <exception>

#include "agent/base/log.h"
#include "agent/serve/meant.h"
#include "agent/serve/rotation.h"
#include "agent/serve/row_json.h"
#include "agent/serve/secret_guard.h"
#include "agent/serve/status_json.h"

namespace keytrail::serve {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxGaps = 10'000;    // remembered
constexpr std::size_t kMaxGapsShown = 100;  // in one answer
constexpr int kMaxExplainPages = 16;
constexpr int kMaxGapPages = 64;  // read for one answer

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ApiAnswer failed(unsigned status, std::string_view message) {
  ApiAnswer answer;
  answer.status = status;
  answer.body = Api::error_body(status, message);
  return answer;
}

ApiAnswer failed(const Error& error) {
  switch (error.code) {
    case Error::Code::kInvalid:
    case Error::Code::kRefused:
      return failed(400, error.message);
    case Error::Code::kNotFound:
    case Error::Code::kGone:
      return failed(404, error.message);
    case Error::Code::kTooLarge:
      return failed(413, error.message);
    case Error::Code::kUnavailable:
      return failed(503, error.message);
    case Error::Code::kSystem:
      break;
  }
  return failed(500, error.message);
}

template <typename Items>
json::array to_array(const Items& items) {
  json::array out;
  out.reserve(items.size());
  for (const auto& item : items)
    out.push_back(to_json(item));
  return out;
}

}  // namespace

struct Api::Request {
  Target target;
  Query query;
};

/// What stands behind an answer: the period, and what may be missing in it.
struct Api::Coverage {
  json::object json;
  bool complete = false;
};

std::string Api::error_body(unsigned status, std::string_view message) {
  return json::serialize(
             json::object{{"schema", "1.0"}, {"error", {{"status", status}, {"message", base::printable(message)}}}}) +
         "\n";
}

Result<void> Api::load_gaps() {
  HistoryFilter filter;
  filter.limit = std::min<std::size_t>(1000, max_rows_);
  filter.after_seq = gaps_.empty() ? 0 : gaps_.rbegin()->first;
  for (int page = 0; page < kMaxGapPages; ++page) {
    Result<Page<Row>> got = history_.rows(filter, RowKinds{false, false, false, true, false});
    if (!got) return std::unexpected(got.error());
    for (Row& row : got->items) {
      if (auto* gap = std::get_if<GapRow>(&row.body)) gaps_.insert_or_assign(row.seq, std::move(*gap));
    }
    for (; gaps_.size() > kMaxGaps; gaps_forgotten_ = true)
      gaps_.erase(gaps_.begin());
    if (got->next == 0) return {};
    filter.after_seq = got->next;
  }
  return {};
}

Api::Coverage Api::coverage(const HistoryFilter& filter) {
  const AgentStatus agent = status_.status();
  const Result<HistoryStatus> history = history_.status();
  const Result<void> gaps_read = load_gaps();
  const std::int64_t now = now_ns();
  std::int64_t oldest = history ? history->oldest_ns : 0;
  if (oldest == 0) oldest = agent.armed_since_ns != 0 ? agent.armed_since_ns : now;
  const std::int64_t from = filter.from_ns == 0 ? oldest : std::max(filter.from_ns, oldest);
  const std::int64_t to = filter.to_ns == 0 ? now : std::min(filter.to_ns, now);

  Coverage out;
  out.complete = history && history->error.empty() && gaps_read && !gaps_forgotten_ && agent.armed_since_ns != 0 &&
                 (filter.from_ns == 0 || filter.from_ns >= oldest);
  json::array families, not_armed, fallbacks, gaps;
  for (const FamilyStatus& family : agent.families) {
    const HookReport& hook = family.hook;
    const bool armed = hook.armed() && !family.silent;
    (armed ? families : not_armed).emplace_back(to_string(hook.family));
    if (armed && hook.sees_less)  // a fallback that sees all that the best way sees costs no answer anything
      fallbacks.push_back(json::object{{"family", to_string(hook.family)},
                                       {"uses", base::printable(hook.chosen)},
                                       {"missing", base::printable(hook.missing)}});
    if (!armed && !entry_of(hook.family).optional) out.complete = false;
  }
  if (agent.families.empty()) out.complete = false;
  std::uint64_t lost = 0;
  bool lost_known = true;
  std::size_t overlapping = 0;
  for (const auto& [seq, gap] : gaps_) {
    if (gap.to_ns < from || gap.from_ns >= to) continue;
    ++overlapping;
    if (gap.lost) lost += *gap.lost;
    lost_known = lost_known && gap.lost;
    if (!gap.lost || *gap.lost != 0) out.complete = false;  // a gap that the counters prove empty hides nothing
    if (gaps.size() < kMaxGapsShown) gaps.push_back(to_json(gap));
  }
  out.json = {{"scope", base::printable(agent.host)},
              {"from", time_or_null(from)},
              {"to", time_or_null(to)},
              {"gaps", std::move(gaps)},
              {"gaps_total", overlapping},
              {"lost", lost_known ? json::value(lost) : json::value()},
              {"families", std::move(families)},
              {"not_armed", std::move(not_armed)},
              {"fallbacks", std::move(fallbacks)},
              {"nodes", {{"asked", 1}, {"answered", 1}}}};
  return out;
}

namespace {

/// The envelope of every answer. `what` is the path.
ApiAnswer envelope(const Target& target, const HistoryFilter& filter, json::array rows, json::object coverage,
                   bool complete, std::uint64_t cursor, std::size_t more = 0,
                   std::optional<bool> key_known = std::nullopt) {
  json::object parameters;
  for (const auto& [name, value] : target.parameters)
    parameters[base::printable(name)] = base::printable(value);
  std::string path;
  for (const std::string& segment : target.path)
    path += "/" + base::printable(segment);
  ApiAnswer answer;
  json::object body{{"schema", "1.0"},
                    {"asked",
                     {{"path", path},
                      {"parameters", std::move(parameters)},
                      {"since", time_or_null(filter.from_ns)},
                      {"until", time_or_null(filter.to_ns)},
                      {"limit", filter.limit}}},
                    {"rows", std::move(rows)},
                    {"coverage", std::move(coverage)},
                    {"complete", complete},
                    {"more", more},
                    {"cursor", cursor == 0 ? json::value() : json::value(std::to_string(cursor))}};
  if (key_known) body["key_known"] = *key_known;
  answer.body = json::serialize(body) + "\n";
  return answer;
}

/// Whether the key that was asked for was ever seen on this node: that nobody holds a key which nobody knows says
/// nothing. Empty where no key was asked for.
template <typename Items>
Result<std::optional<bool>> key_known(HistoryReader& history, const HistoryFilter& asked, const Items& rows) {
  if (asked.key.empty()) return std::nullopt;
  if (!rows.empty()) return true;
  HistoryFilter filter;
  filter.key = asked.key;
  filter.limit = 1;
  const auto keys = history.keys(filter);
  if (!keys) return std::unexpected(keys.error());
  return !keys->empty();
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

std::optional<ApiAnswer> Api::mistyped(const Request& request) {
  const Result<void> meant = check_meant(history_, catalog_, finding_types_, request.query.filter);
  if (meant) return std::nullopt;
  return failed(meant.error());
}

ApiAnswer Api::rows(const Request& request) {
  const Result<Page<Row>> page = history_.rows(request.query.filter, request.query.kinds);
  if (!page) return failed(page.error());
  if (page->items.empty()) {
    if (auto why = mistyped(request)) return *std::move(why);
  }
  Coverage covered = coverage(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(page->items), std::move(covered.json),
                  covered.complete, page->next);
}

ApiAnswer Api::findings(const Request& request) {
  Request findings = request;
  findings.query.kinds = {false, false, true, false, false};
  return rows(findings);
}

ApiAnswer Api::uses(const Request& request) {
  const Result<Page<Edge>> page = history_.edges(request.query.filter);
  if (!page) return failed(page.error());
  if (page->items.empty()) {
    if (auto why = mistyped(request)) return *std::move(why);
  }
  Coverage covered = coverage(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(page->items), std::move(covered.json),
                  covered.complete, page->next);
}

ApiAnswer Api::keys(const Request& request) {
  Result<std::vector<KeySummary>> list = history_.keys(request.query.filter);
  if (!list) return failed(list.error());
  if (list->empty()) {
    if (auto why = mistyped(request)) return *std::move(why);
  }
  const std::size_t more = cut(*list, request.query.filter.limit);
  Coverage covered = coverage(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(*list), std::move(covered.json), covered.complete, 0,
                  more);
}

ApiAnswer Api::holders(const Request& request) {
  Result<std::vector<Holding>> list = history_.holders(request.query.filter);
  if (!list) return failed(list.error());
  if (list->empty()) {
    if (auto why = mistyped(request)) return *std::move(why);
  }
  const auto known = key_known(history_, request.query.filter, *list);
  if (!known) return failed(known.error());
  const std::size_t more = cut(*list, request.query.filter.limit);
  Coverage covered = coverage(request.query.filter);
  json::array rows;
  for (const Holding& holding : *list)
    rows.push_back(holder_json(holding));
  return envelope(request.target, request.query.filter, std::move(rows), std::move(covered.json), covered.complete, 0,
                  more, *known);
}

ApiAnswer Api::places(const Request& request) {
  if (request.query.filter.key.empty()) return failed(400, "places: a key ID is wanted, like /v1/places?key=AKIA…");
  Result<std::vector<KeyPlace>> list = history_.places(request.query.filter);
  if (!list) return failed(list.error());
  if (list->empty()) {
    if (auto why = mistyped(request)) return *std::move(why);
  }
  const auto known = key_known(history_, request.query.filter, *list);
  if (!known) return failed(known.error());
  const std::size_t more = cut(*list, request.query.filter.limit);
  Coverage covered = coverage(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(*list), std::move(covered.json), covered.complete, 0,
                  more, *known);
}

ApiAnswer Api::rotation(const Request& request) {
  const Query& query = request.query;
  if (query.old_key.empty() || query.new_key.empty())
    return failed(400, "rotation: the old and the new key ID are wanted, like /v1/rotation?old=AKIA…&new=AKIA…");
  if (query.old_key == query.new_key) return failed(400, "rotation: the old and the new key are the same");
  for (const std::string* key : {&query.old_key, &query.new_key}) {
    if (const Result<void> meant = check_key_meant(history_, *key); !meant) return failed(meant.error());
  }
  Coverage covered = coverage({});  // whenever the old key was taken
  Result<json::object> row = rotation_json(history_, query.old_key, query.new_key, now_ns(), covered.complete);
  if (!row) return failed(row.error());
  json::array rows;
  rows.push_back(std::move(*row));
  return envelope(request.target, query.filter, std::move(rows), std::move(covered.json), covered.complete, 0);
}

ApiAnswer Api::workloads(const Request& request) {
  Result<std::vector<WorkloadSummary>> list = history_.workloads(request.query.filter);
  if (!list) return failed(list.error());
  const std::size_t more = cut(*list, request.query.filter.limit);
  Coverage covered = coverage(request.query.filter);
  return envelope(request.target, request.query.filter, to_array(*list), std::move(covered.json), covered.complete, 0,
                  more);
}

ApiAnswer Api::status_answer(const Request& request, bool doctor) {
  const AgentStatus agent = status_.status();
  const Result<HistoryStatus> history = history_.status();
  HistoryStatus shown;
  if (history)
    shown = *history;
  else
    shown.error = history.error().message;
  Coverage covered = coverage(request.query.filter);
  json::array list;
  if (doctor)
    list = doctor_json(agent, shown);
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
  Coverage covered = coverage(filter);
  return envelope(request.target, request.query.filter, std::move(list), std::move(covered.json), covered.complete, 0);
}

ApiAnswer Api::watch(const Request& request, std::string_view last_event_id) {
  if (auto why = mistyped(request)) return *std::move(why);  // it would wait for ever
  ApiAnswer answer;
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
  static constexpr std::array<std::pair<std::string_view, Handler>, 10> kRoutes = {{
      {"rows", [](Api& a, const Request& r) { return a.rows(r); }},
      {"uses", [](Api& a, const Request& r) { return a.uses(r); }},
      {"keys", [](Api& a, const Request& r) { return a.keys(r); }},
      {"holders", [](Api& a, const Request& r) { return a.holders(r); }},
      {"places", [](Api& a, const Request& r) { return a.places(r); }},
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
                "there is no such path; known: /v1/rows, /v1/uses, /v1/keys, /v1/holders, /v1/places, /v1/rotation, "
                "/v1/workloads, "
                "/v1/findings, /v1/status, /v1/doctor, /v1/explain/SEQ, /v1/watch, /v1/openapi.json");
}

ApiAnswer Api::handle(std::string_view method, std::string_view target, std::string_view last_event_id) try {
  Request request;
  Result<Target> parsed = parse_target(target, catalog_);
  if (!parsed) {
    ApiAnswer answer = failed(parsed.error());
    answer.for_log = "(malformed target)";
    return answer;
  }
  request.target = std::move(*parsed);
  const auto logged = [&](ApiAnswer answer) {
    answer.for_log = request.target.for_log;
    return answer;
  };
  if (method != "GET" && method != "HEAD")
    return logged(failed(405, "only GET is answered here: the agent observes, it takes no orders"));
  const auto& path = request.target.path;
  if (path.size() == 2 && path[0] == "v1" && path[1] == "openapi.json") {
    ApiAnswer answer;
    answer.body = std::string(openapi_json());
    return logged(std::move(answer));
  }
  Result<Query> query = parse_query(request.target, catalog_, max_rows_);
  if (!query) return logged(failed(query.error()));
  request.query = std::move(*query);
  if (path.size() == 2 && path[0] == "v1" && path[1] == "watch") return logged(watch(request, last_event_id));
  return logged(route(request));
} catch (const std::exception& error) {
  ApiAnswer answer = failed(500, "the query failed inside the agent; its log says more");
  answer.for_log = std::string("(internal error: ") + error.what() + ")";
  return answer;
}

}  // namespace keytrail::serve
