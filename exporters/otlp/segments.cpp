// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/segments.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "exporters/otlp/attributes.h"

namespace keytrail::otlp {

namespace {

std::string instance_key(const InstanceId& who, const std::string& key_id) {
  return std::to_string(who.tgid) + "." + std::to_string(who.start_ns) + "." + std::to_string(who.exec) + " " + key_id;
}

}  // namespace

std::string SpanBuilder::hash(char domain, std::uint64_t seq, std::size_t bytes) const {
  const auto next = std::ranges::upper_bound(epochs_, seq, {}, &RowEpoch::first_seq);
  const std::uint64_t epoch = next == epochs_.begin() ? 0 : std::prev(next)->id;
  // Rows of before there were epochs keep their ids.
  const std::string input = domain + std::to_string(seq) + (epoch == 0 ? "" : " " + std::to_string(epoch));
  const auto digest =
      base::siphash_2_4_128(history_, {reinterpret_cast<const std::uint8_t*>(input.data()), input.size()});
  std::string id(digest.begin(), digest.begin() + static_cast<std::ptrdiff_t>(bytes));
  if (id.find_first_not_of('\0') == std::string::npos) id.back() = 1;  // all zero means "none" in OTLP
  return id;
}

std::string SpanBuilder::span_id(const Row& row) const { return hash('s', row.seq, 8); }

std::string SpanBuilder::trace_id(const Row& root) const { return hash('r', root.seq, 16); }

Place SpanBuilder::alone(const Row& row) const { return {{trace_id(row), span_id(row)}, {}, {}}; }

Place SpanBuilder::join(const Row& row, const InstanceId& who, const std::string& key_id, bool& began) {
  const std::string key = instance_key(who, key_id);
  Segment* live = segments_.find(key);
  began = live == nullptr || live->spans >= kSpansMax || row.time_ns - live->last_ns > kIdleNs ||
          row.time_ns - live->begun_ns > kAgeNs;
  if (!began) {
    ++live->spans;
    live->last_ns = std::max(live->last_ns, row.time_ns);
    return {{live->root.trace_id, span_id(row)}, live->root.span_id, {}};
  }
  Segment next{{trace_id(row), span_id(row)}, row.time_ns, row.time_ns, 1};
  Place place{next.root, {}, {}};
  if (live != nullptr) place.links.push_back({live->root, "previous_segment", key_id, {}});
  segments_.put(key, std::move(next));
  return place;
}

std::optional<SpanRef> SpanBuilder::origin_of(const InstanceId& who, const std::string& key_id) {
  if (const Segment* segment = segments_.find(instance_key(who, key_id))) return segment->root;
  if (const SpanRef* span = acquired_.find(key_id)) return *span;
  return std::nullopt;
}

Place SpanBuilder::place_acquisition(const Row& row, const AcquisitionRow& body) {
  if (body.key.id.empty()) return alone(row);
  bool began = false;
  Place place = join(row, body.actor.id, body.key.id, began);
  if (!body.key.parent.empty()) {
    const auto from = origin_of(body.actor.id, body.key.parent);
    if (from && from->trace_id != place.self.trace_id)
      place.links.push_back({*from, "issued_from", body.key.parent, {}});
  }
  acquired_.put(body.key.id, place.self);
  return place;
}

Place SpanBuilder::place_use(const Row& row, const UseRow& body) {
  if (body.keys.size() == 1 && !body.keys.front().key.id.empty()) {
    const Candidate& only = body.keys.front();
    bool began = false;
    Place place = join(row, body.actor.id, only.key.id, began);
    if (began && place.links.empty()) {  // this process was not seen taking the key: somebody else may have been
      if (const SpanRef* span = acquired_.find(only.key.id); span != nullptr && span->trace_id != place.self.trace_id) {
        place.links.push_back({*span, "acquired_elsewhere", only.key.id, to_string(only.reason)});
      }
    }
    return place;
  }
  Place place = alone(row);
  for (const Candidate& candidate : body.keys) {
    if (place.links.size() >= kCandidatesMax) break;
    if (auto span = origin_of(body.actor.id, candidate.key.id)) {
      place.links.push_back({std::move(*span), "candidate", candidate.key.id, to_string(candidate.reason)});
    }
  }
  return place;
}

Place SpanBuilder::place_row(const Row& row) {
  if (const auto* acquisition = std::get_if<AcquisitionRow>(&row.body)) return place_acquisition(row, *acquisition);
  if (const auto* use = std::get_if<UseRow>(&row.body)) return place_use(row, *use);
  Place place;
  if (const auto* finding = std::get_if<FindingRow>(&row.body); finding != nullptr && !finding->key.id.empty()) {
    // No span of its own: its log record points at the span it is about.
    if (auto span = origin_of(finding->actor.id, finding->key.id))
      place.links.push_back({std::move(*span), "subject", finding->key.id, {}});
  }
  return place;
}

std::vector<Place> SpanBuilder::place(std::span<const Row> rows) {
  std::vector<Place> places;
  places.reserve(rows.size());
  for (const Row& row : rows) {
    Place place = place_row(row);
    if (const Workload* of = workload_of(row); of != nullptr && !of->name.empty())
      place.other = !services_.admit(service_of(*of), row.time_ns);
    places.push_back(std::move(place));
  }
  return places;
}

}  // namespace keytrail::otlp
