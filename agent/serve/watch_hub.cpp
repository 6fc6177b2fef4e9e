// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/watch_hub.h"

#include <fmt/format.h>

#include <utility>

#include "agent/serve/row_json.h"

namespace keytrail::serve {

std::string sse_event(const Row& row) {
  return fmt::format("id: {}\nevent: row\ndata: {}\n\n", row.seq, to_json_text(row));
}

void Watcher::offer(const Row& row, std::shared_ptr<const std::string>& text) {
  if (!matches(row, query_)) return;
  if (items_.size() >= bound_) {
    miss(1);
    return;
  }
  if (!text) text = std::make_shared<const std::string>(sse_event(row));
  items_.push_back({row.seq, text});
  wake_();
}

void Watcher::miss(std::uint64_t count) {
  missed_ += count;
  wake_();
}

std::string Watcher::take() {
  constexpr std::size_t kMaxBytes = 64U << 10U;
  std::string out;
  while (!items_.empty() && out.size() < kMaxBytes) {
    if (items_.front().seq > query_.filter.after_seq) {
      out += *items_.front().text;
      query_.filter.after_seq = items_.front().seq;
    }
    items_.pop_front();
  }
  if (items_.empty() && missed_ != 0)
    out += fmt::format("event: missed\ndata: {{\"missed\":{}}}\n\n", std::exchange(missed_, 0));
  return out;
}

void WatchHub::deliver(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (row.seq <= delivered_) continue;
    delivered_ = row.seq;
    std::shared_ptr<const std::string> text;  // made for the first that wants it
    for (Watcher* watcher : list_)
      watcher->offer(row, text);
  }
}

void WatchHub::miss(std::uint64_t count) {
  for (Watcher* watcher : list_)
    watcher->miss(count);
}

}  // namespace keytrail::serve
