// SPDX-License-Identifier: Apache-2.0
// Gives new rows to those who watch: one bounded queue each, one text of a row for all. Thread: serve's only one,
// except `watchers`.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/serve/query.h"
#include "keytrail/row.h"

namespace keytrail::serve {

/// One server-sent event of a row: "id: 7\nevent: row\ndata: {…}\n\n".
[[nodiscard]] std::string sse_event(const Row& row);

class Watcher {
 public:
  Watcher(Query query, std::size_t bound, std::function<void()> wake)
      : query_(std::move(query)), bound_(bound), wake_(std::move(wake)) {}

  void offer(const Row& row, std::shared_ptr<const std::string>& text);
  void miss(std::uint64_t count);
  /// Rows up to this one have been sent from the history.
  void sent_up_to(std::uint64_t seq) { query_.filter.after_seq = std::max(query_.filter.after_seq, seq); }
  /// The next bytes to send, or "" when there is nothing. How many were missed is said after what was kept before them.
  [[nodiscard]] std::string take();
  [[nodiscard]] const Query& query() const { return query_; }

 private:
  struct Item {
    std::uint64_t seq;
    std::shared_ptr<const std::string> text;
  };
  Query query_;
  std::size_t bound_;
  std::function<void()> wake_;
  std::deque<Item> items_;
  std::uint64_t missed_ = 0;
};

class WatchHub {
 public:
  void add(Watcher* watcher) {
    list_.push_back(watcher);
    watchers_.store(list_.size());
  }
  void remove(Watcher* watcher) {
    std::erase(list_, watcher);
    watchers_.store(list_.size());
  }
  /// Rows in the order of their sequence; those delivered before are passed over.
  void deliver(const std::vector<Row>& rows);
  void miss(std::uint64_t count);
  [[nodiscard]] std::size_t watchers() const { return watchers_.load(); }
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  /// Where delivery begins, when the first watcher comes.
  void begin_after(std::uint64_t seq) { delivered_ = seq; }

 private:
  std::vector<Watcher*> list_;
  std::atomic<std::size_t> watchers_ = 0;
  std::uint64_t delivered_ = 0;
};

}  // namespace keytrail::serve
