// SPDX-License-Identifier: Apache-2.0
#include "agent/record/coalescer.h"

#include <algorithm>

namespace keytrail::record {

std::size_t EdgeIdentityHash::operator()(const EdgeIdentity& id) const noexcept {
  std::uint64_t h = 0xCBF29CE484222325U;
  const std::uint64_t tail = static_cast<std::uint64_t>(id.outcome) | (static_cast<std::uint64_t>(id.evidence) << 8U) |
                             (static_cast<std::uint64_t>(id.reason) << 16U);
  for (std::uint64_t part : {static_cast<std::uint64_t>(id.workload), static_cast<std::uint64_t>(id.program),
                             static_cast<std::uint64_t>(id.keyset), static_cast<std::uint64_t>(id.destination), tail}) {
    h = (h ^ part) * 0x9E3779B97F4A7C15U;
    h ^= h >> 29U;
  }
  return static_cast<std::size_t>(h);
}

// The number of requests is known only while every part of the sum knows its own.
void Amount::add(const Amount& other) {
  requests = !has_calls()                 ? other.requests
             : requests && other.requests ? std::optional(*requests + *other.requests)
                                          : std::nullopt;
  connections += other.connections;
  touch(other);
}

void Amount::touch(const Amount& other) {
  first_ns = first_ns == 0 ? other.first_ns : std::min(first_ns, other.first_ns);
  last_ns = std::max(last_ns, other.last_ns);
  bytes_sent += other.bytes_sent;
  bytes_received += other.bytes_received;
}

// The one seen last stands at the end, so that what is forgotten is the one not seen for longest.
void EdgeState::saw(const InstanceId& instance) {
  auto found = std::find(instances.begin(), instances.end(), instance);
  if (found != instances.end()) {
    std::rotate(found, found + 1, instances.end());
    return;
  }
  if (instances.size() >= kMaxInstances) {
    instances.erase(instances.begin());
    ++cut;
  }
  instances.push_back(instance);
}

EdgeState* Coalescer::find(const EdgeIdentity& identity) {
  auto found = edges_.find(identity);
  return found == edges_.end() ? nullptr : found->second.get();
}

EdgeState& Coalescer::adopt(EdgeState edge) {
  auto& place = edges_[edge.identity];
  if (place) ends_.erase({place->window_end_ns, place.get()});
  place = std::make_unique<EdgeState>(std::move(edge));
  if (place->window_end_ns != 0) ends_.insert({place->window_end_ns, place.get()});
  return *place;
}

void Coalescer::open_window(EdgeState& edge, std::int64_t end_ns) {
  if (edge.window_end_ns != 0) ends_.erase({edge.window_end_ns, &edge});
  edge.window_end_ns = end_ns;
  if (end_ns != 0) ends_.insert({end_ns, &edge});
}

std::optional<Amount> Coalescer::use(EdgeState& edge, const Amount& amount, std::int64_t now_ns) {
  const bool open = edge.window_end_ns != 0;
  const bool lately = edge.total.connections != 0 && now_ns - edge.total.last_ns <= windows_.back();
  edge.total.add(amount);
  if (!edge.pending.has_calls()) edge.pending.first_ns = amount.first_ns;  // its bytes may be older: a row is of calls
  edge.pending.add(amount);
  if (open) return std::nullopt;
  // After a quiet window the next use is shown at once, but an edge used every few minutes still gets longer windows.
  edge.level = lately ? std::min(edge.level + 1, windows_.size() - 1) : 0;
  open_window(edge, now_ns + windows_[edge.level]);
  return std::exchange(edge.pending, Amount{});
}

void Coalescer::touch(EdgeState& edge, const Amount& amount) {
  edge.total.touch(amount);
  edge.pending.touch(amount);
}

std::vector<EdgeState*> Coalescer::due(std::int64_t now_ns) {
  std::vector<EdgeState*> out;
  for (const auto& [end, edge] : ends_) {
    if (end > now_ns) break;
    out.push_back(edge);
  }
  // An end further away than any window is long: the clock was set back, and it would not be due for as long as that.
  for (auto it = ends_.rbegin(); it != ends_.rend() && it->first - now_ns > windows_.back(); ++it)
    out.push_back(it->second);
  return out;
}

std::vector<EdgeState*> Coalescer::soonest(std::size_t count) {
  std::vector<EdgeState*> out;
  for (auto it = ends_.begin(); it != ends_.end() && out.size() < count; ++it)
    out.push_back(it->second);
  return out;
}

std::optional<Amount> Coalescer::close(EdgeState& edge, std::int64_t now_ns) {
  if (!edge.pending.has_calls()) {
    open_window(edge, 0);
    if (!edge.pending.has_bytes() || edge.last_seq == 0) return std::nullopt;
    return std::exchange(edge.pending, Amount{});
  }
  edge.level = std::min(edge.level + 1, windows_.size() - 1);
  open_window(edge, now_ns + windows_[edge.level]);
  return std::exchange(edge.pending, Amount{});
}

std::optional<Amount> Coalescer::flush(EdgeState& edge) {
  open_window(edge, 0);
  if (!edge.pending.has_calls()) return std::nullopt;
  return std::exchange(edge.pending, Amount{});
}

void Coalescer::release(const EdgeIdentity& identity) {
  auto found = edges_.find(identity);
  if (found == edges_.end() || found->second->window_end_ns != 0) return;
  edges_.erase(found);
}

void Coalescer::clear() {
  ends_.clear();
  edges_.clear();
}

}  // namespace keytrail::record
