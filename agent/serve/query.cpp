// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/url.hpp>
#include <charconv>
#include <span>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/nearest.h"
#include "agent/base/times.h"
#include "agent/base/workload_pattern.h"
#include "agent/catalog/secret_guard.h"
#include "agent/serve/meant.h"

namespace keytrail::serve {
namespace {

constexpr std::size_t kMaxTarget = 4096;
constexpr std::size_t kMaxValue = 512;

constexpr std::string_view kPaths[] = {"rows",    "uses",     "keys",      "holders",     "places",
                                       "readers", "rotation", "workloads", "findings",    "status",
                                       "doctor",  "explain",  "watch",     "openapi.json"};
constexpr std::string_view kParameters[] = {
    "key",   "workload", "kind",  "provider", "service", "host", "pid", "evidence", "finding_type", "chain",
    "kinds", "since",    "until", "after",    "limit",   "old",  "new", "quiet",    "lifetime"};

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}
bool is_key(std::string_view name) { return name == "key" || name == "old" || name == "new"; }

std::unexpected<Error> invalid(std::string text) { return fail(Error::Code::kInvalid, std::move(text)); }

template <typename T>
bool to_number(const std::string& text, T& out, T least, T most) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  return code == std::errc{} && end == text.data() + text.size() && out >= least && out <= most;
}

/// "; did you mean inferred?"
template <typename E>
std::string meant(std::string_view word) {
  const auto known = all_words<E>();
  const std::vector<std::string_view> words(known.begin(), known.end());
  const std::string_view near = base::nearest(word, words);
  return near.empty() ? "" : fmt::format("; did you mean {}?", near);
}

Result<void> set_kinds(const std::string& text, RowKinds& kinds) {
  kinds = {false, false, false, false, false};
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view word = std::string_view(text).substr(begin, end - begin);
    const auto kind = from_word<RowKind>(word);
    if (!kind) return invalid("kinds: a list of " + words_text<RowKind>() + meant<RowKind>(word));
    kinds.set(*kind);
    begin = end + 1;
  }
  return {};
}

Result<void> set_time(const std::string& name, const std::string& text, std::int64_t& out) {
  const auto time = base::parse_rfc3339(text);
  if (!time || *time <= 0) return invalid(name + ": must be a time like 2026-11-21T04:00:00Z");
  out = *time;
  return {};
}

Result<void> set_evidence(const std::string& text, std::optional<Evidence>& out) {
  out = from_word<Evidence>(text);
  if (!out) return invalid("evidence: must be " + words_text<Evidence>() + meant<Evidence>(text));
  return {};
}

Result<void> set_lifetime(std::string text, std::optional<Lifetime>& out) {
  std::ranges::replace(text, '-', '_');  // as tables write it
  out = from_word<Lifetime>(text);
  if (!out) return invalid("lifetime: must be " + words_text<Lifetime>() + meant<Lifetime>(text));
  return {};
}

Result<void> set_workload(const std::string& text, std::string& out) {
  if (text.empty() || text.size() > kMaxValue)
    return invalid(fmt::format("workload: must be 1 to {} bytes", kMaxValue));
  if (const auto pattern = base::WorkloadPattern::parse(text); !pattern) return std::unexpected(pattern.error());
  out = text;
  return {};
}

Result<void> set_flag(const std::string& name, const std::string& text, bool& out) {
  if (text != "true" && text != "false") return invalid(name + ": must be true or false");
  out = text == "true";
  return {};
}

Result<void> set_text(const std::string& name, const std::string& text, std::string& out) {
  if (text.empty() || text.size() > kMaxValue)
    return invalid(fmt::format("{}: must be 1 to {} bytes", name, kMaxValue));
  out = text;
  return {};
}

/// In the letters that rows have: words of the catalog and host names are low, a key id as its kind has it.
std::string folded(const catalog::Catalog& catalog, const std::string& name, const std::string& value) {
  if (is_key(name)) return folded_key(catalog, value);
  constexpr std::string_view kWordsOf[] = {"provider", "service",      "kind",  "host",
                                           "evidence", "finding_type", "kinds", "lifetime"};
  return is_one_of(name, kWordsOf) ? folded_word(value) : value;
}

Result<void> set_parameter(const catalog::Catalog& catalog, const std::string& name, const std::string& given,
                           Query& query, std::size_t max_rows) {
  const std::string value = folded(catalog, name, given);
  HistoryFilter& f = query.filter;
  const std::pair<std::string_view, std::string*> plain[] = {
      {"key", &f.key},         {"kind", &f.kind},      {"provider", &f.provider},
      {"service", &f.service}, {"host", &f.host},      {"finding_type", &f.finding_type},
      {"old", &query.old_key}, {"new", &query.new_key}};
  const auto* text =
      std::ranges::find(plain, std::string_view(name), &std::pair<std::string_view, std::string*>::first);
  if (text != std::end(plain)) return set_text(name, value, *text->second);
  if (name == "workload") return set_workload(value, f.workload);
  if (name == "lifetime") return set_lifetime(value, f.lifetime);
  if (name == "kinds") return set_kinds(value, query.kinds);
  if (name == "since") return set_time(name, value, f.from_ns);
  if (name == "until") return set_time(name, value, f.to_ns);
  if (name == "evidence") return set_evidence(value, f.evidence);
  if (name == "chain") return set_flag(name, value, f.chain);
  if (name == "quiet") return set_flag(name, value, query.with_quiet);
  if (name == "pid") {
    if (!to_number<std::uint32_t>(value, f.pid, 1, 4'194'304))
      return invalid("pid: must be a whole number from 1 to 4194304");
    return {};
  }
  if (name == "after") {
    query.after_given = true;
    if (!to_number<std::uint64_t>(value, f.after_seq, 0, INT64_MAX))
      return invalid("after: must be a cursor from an earlier answer");
    return {};
  }
  if (name == "limit") {
    constexpr std::size_t kMost = 10'000;
    if (!to_number<std::size_t>(value, f.limit, 1, kMost))
      return invalid(fmt::format("limit: must be a whole number from 1 to {}", kMost));
    f.limit = std::min(f.limit, max_rows);  // a smaller page than asked for: the cursor goes on
    return {};
  }
  return invalid(fmt::format("unknown parameter; known: {}", fmt::join(kParameters, ", ")));
}

bool key_fits(const HistoryFilter& f, const Key& key) {
  const bool id =
      f.key.empty() || key.id == f.key || key.fingerprint.text() == f.key || (f.chain && key.parent == f.key);
  const bool lives = !f.lifetime || key.lifetime == *f.lifetime || key.lifetime == Lifetime::kUnknown;
  return id && (f.kind.empty() || key.kind == f.kind) && lives;
}

bool workload_fits(const HistoryFilter& f, const Workload& workload) {
  if (f.workload.empty()) return true;
  const auto pattern = base::WorkloadPattern::parse(f.workload);
  return pattern && pattern->matches(workload);
}

bool actor_fits(const HistoryFilter& f, const Actor& actor) {
  return (f.pid == 0 || actor.id.tgid == f.pid) && workload_fits(f, actor.workload);
}

bool about_destination(const HistoryFilter& f) {
  return !f.provider.empty() || !f.service.empty() || !f.host.empty() || f.evidence;
}
bool about_key_or_actor(const HistoryFilter& f) {
  return !f.key.empty() || !f.kind.empty() || f.lifetime || f.pid != 0 || !f.workload.empty();
}

bool body_fits(const AcquisitionRow& row, const Query& q) {
  return q.kinds.acquisitions && !about_destination(q.filter) && actor_fits(q.filter, row.actor) &&
         key_fits(q.filter, row.key);
}

bool body_fits(const UseRow& row, const Query& q) {
  const HistoryFilter& f = q.filter;
  const Destination& d = row.destination;
  const bool key = (f.key.empty() && f.kind.empty() && !f.lifetime) ||
                   std::ranges::any_of(row.keys, [&](const Candidate& c) { return key_fits(f, c.key); });
  return q.kinds.uses && key && actor_fits(f, row.actor) && (!f.evidence || row.evidence == *f.evidence) &&
         (f.provider.empty() || d.provider == f.provider) && (f.service.empty() || d.service == f.service) &&
         (f.host.empty() || d.host == f.host);
}

bool body_fits(const FindingRow& row, const Query& q) {
  return q.kinds.findings && !about_destination(q.filter) && actor_fits(q.filter, row.actor) &&
         key_fits(q.filter, row.key) && (q.filter.finding_type.empty() || row.type == q.filter.finding_type);
}

bool body_fits(const GapRow&, const Query& q) { return q.kinds.gaps && q.filter.finding_type.empty(); }
bool body_fits(const RevisionRow& row, const Query& q) {
  HistoryFilter others = q.filter;
  if (!row.workload.id.empty()) others.workload.clear();  // what is known of a workload is of it alone
  return q.kinds.revisions && !about_destination(others) && !about_key_or_actor(others) &&
         workload_fits(q.filter, row.workload);
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (target.size() > kMaxTarget) return invalid("the request target is longer than 4 KiB");
  const auto parsed = boost::urls::parse_origin_form(target);
  if (!parsed) return invalid("the request target is malformed");
  Target out;
  for (const auto& segment : parsed->segments())
    out.path.push_back(segment);
  for (const auto& parameter : parsed->params()) {
    if (!out.parameters.emplace(parameter.key, parameter.value).second) return invalid("a parameter is there twice");
  }
  return out;
}

std::string for_log(const Target& target, const catalog::Catalog& catalog, std::span<const std::string> known) {
  const auto& path = target.path;
  const bool there = path.size() > 1 && path.size() <= 3 && path[0] == "v1" && is_one_of(path[1], kPaths);
  std::string out = there ? "/v1/" + path[1] : "(unknown path)";
  char separator = '?';
  for (const auto& [name, value] : target.parameters) {
    out += std::exchange(separator, '&');
    if (!is_one_of(name, kParameters)) {
      out += "(unknown parameter)";
      continue;
    }
    out += name;
    if (!is_key(name)) continue;
    const std::string id = folded_key(catalog, value);
    out += "=" + (std::ranges::find(known, id) != known.end() ? base::printable(id) : std::string("(unknown)"));
  }
  return out;
}

Result<Query> parse_query(const Target& target, const catalog::Catalog& catalog, std::size_t max_rows) {
  Query query;
  query.filter.limit = std::min<std::size_t>(query.filter.limit, max_rows);
  for (const auto& [name, value] : target.parameters) {
    if (value.size() > kMaxValue) return invalid(fmt::format("{}: must be 1 to {} bytes", name, kMaxValue));
    if (looks_like_secret(catalog, value)) {  // whatever it stands for: the answer repeats what was asked
      return fail(Error::Code::kRefused,
                  std::string(catalog::kSecretTyped) +
                      ". It was not logged or stored; the program that sent it may keep it in its own history.");
    }
    if (Result<void> set = set_parameter(catalog, name, value, query, max_rows); !set)
      return std::unexpected(set.error());
  }
  query.from_after_to = query.filter.to_ns != 0 && query.filter.from_ns >= query.filter.to_ns;
  return query;
}

bool matches(const Row& row, const Query& query) {
  const HistoryFilter& f = query.filter;
  if (row.seq <= f.after_seq || row.time_ns < f.from_ns || (f.to_ns != 0 && row.time_ns >= f.to_ns)) return false;
  return std::visit([&](const auto& body) { return body_fits(body, query); }, row.body);
}

}  // namespace keytrail::serve
