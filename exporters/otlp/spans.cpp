// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/spans.h"

#include <algorithm>
#include <map>

#include "exporters/otlp/attributes.h"

namespace keytrail::otlp {

namespace {

namespace trace = opentelemetry::proto::trace::v1;

std::uint64_t unix_nano(std::int64_t ns) { return ns > 0 ? static_cast<std::uint64_t>(ns) : 0; }

std::string use_name(const Destination& to) {
  if (!to.service.empty() && !to.action.empty()) return clean(to.service + "." + to.action);
  if (!to.action.empty()) return clean(to.action);
  if (!to.host.empty()) return clean(to.host);
  return to.address.empty() ? "key.use" : clean(to.address);
}

void fill_kind(trace::Span& span, const Row& row, const AcquisitionRow&) {
  span.set_name("key.acquire");
  span.set_kind(trace::Span::SPAN_KIND_INTERNAL);
  span.set_start_time_unix_nano(unix_nano(row.time_ns));
  span.set_end_time_unix_nano(unix_nano(row.time_ns));
}

void fill_kind(trace::Span& span, const Row& row, const UseRow& use) {
  span.set_name(use_name(use.destination));
  span.set_kind(trace::Span::SPAN_KIND_CLIENT);
  const std::uint64_t first = unix_nano(use.first_ns > 0 ? use.first_ns : row.time_ns);
  span.set_start_time_unix_nano(first);
  span.set_end_time_unix_nano(std::max(first, unix_nano(use.last_ns)));
  if (use.outcome == Outcome::kRefused || use.outcome == Outcome::kFailed) {
    span.mutable_status()->set_code(trace::Status::STATUS_CODE_ERROR);
    span.mutable_status()->set_message(to_string(use.outcome));
  }
}

void fill_links(trace::Span& span, const Place& place, const UseRow* use) {
  for (const SpanLink& from : place.links) {
    trace::Span::Link* link = span.add_links();
    link->set_trace_id(from.to.trace_id);
    link->set_span_id(from.to.span_id);
    Attributes put(link->mutable_attributes());
    put.text("keytrail.link.relation", from.relation);
    put.text("keytrail.key.id", from.key_id);
    if (use != nullptr) put.text("keytrail.evidence", to_string(use->evidence));
    put.text("keytrail.evidence.reason", from.reason);
  }
}

}  // namespace

TraceRequest build_trace_request(std::span<const Row> rows, std::span<const Place> places, const Sender& sender) {
  TraceRequest request;
  std::map<std::string, trace::ScopeSpans*> by_resource;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (places[i].self.span_id.empty()) continue;
    trace::ScopeSpans*& scope = by_resource[resource_key(row, places[i].other)];
    if (scope == nullptr) {
      trace::ResourceSpans* group = request.add_resource_spans();
      fill_resource(*group->mutable_resource(), row, sender, places[i].other);
      scope = group->add_scope_spans();
      fill_scope(*scope->mutable_scope());
    }
    trace::Span& span = *scope->add_spans();
    span.set_trace_id(places[i].self.trace_id);
    span.set_span_id(places[i].self.span_id);
    span.set_parent_span_id(places[i].parent);
    const auto* use = std::get_if<UseRow>(&row.body);
    if (use != nullptr) {
      fill_kind(span, row, *use);
    } else if (const auto* acquisition = std::get_if<AcquisitionRow>(&row.body)) {
      fill_kind(span, row, *acquisition);
    }
    Attributes put(span.mutable_attributes());
    put_row(put, row);
    fill_links(span, places[i], use);
  }
  return request;
}

}  // namespace keytrail::otlp
