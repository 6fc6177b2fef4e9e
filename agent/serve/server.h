// SPDX-License-Identifier: Apache-2.0
// The local API on a Unix socket: HTTP/1.1, JSON, server-sent events. One thread of its own ("serve"); everything asked
// of the history runs there. Every connection is bounded in bytes and time, every user in connections and watches;
// every peer is checked by its kernel credentials; every query and refusal is logged.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/serve/peer.h"
#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"
#include "keytrail/result.h"
#include "keytrail/row.h"

namespace keytrail::serve {

struct ServeOptions {
  int listen_fd = -1;          ///< a listening Unix stream socket, taken over; -1: `path` is bound
  std::string path;            ///< only without listen_fd: bound with mode 0660; it must not exist
  std::optional<gid_t> group;  ///< who may ask besides root and our own user; nullopt: the group of the socket's file
  std::size_t max_rows = 10'000;                ///< of one page
  std::vector<std::string_view> finding_types;  ///< that may be asked for; empty = any
  // At once, of all users and of one. Where no connection is left, `reserve` more (half of them of one user) may ask
  // for the status only.
  std::size_t max_connections = 64, connections_of_one = 48;
  std::size_t first_ones = 16;  ///< more, for users that have none: several who have all keep nobody out
  std::size_t max_watches = 32, watches_of_one = 16;
  std::size_t reserve = 8;
  std::size_t watch_queue = 1024;  ///< rows that wait for a slow watcher; more are missed, and it is told how many
  std::chrono::milliseconds request_timeout{5000};      ///< for the whole request, and between two on one connection
  std::chrono::milliseconds reserve_timeout{1000};      ///< the same, for one of the reserve
  std::chrono::milliseconds write_timeout{10'000};      ///< for taking an answer
  std::chrono::milliseconds heartbeat{15'000};          ///< of a silent watch
  std::chrono::milliseconds not_taken_timeout{60'000};  ///< a watcher that takes nothing of what waits for it is ended
  /// After the end of a watch's period: until what was in it is stored. A use waits up to 3 s for its key, what was
  /// given up is summed for 5 s.
  std::chrono::milliseconds watch_settle{10'000};
  std::chrono::milliseconds now_settle{2000};   ///< a question about now waits so long for what happened before it
  std::function<Result<Peer>(int fd)> peer_of;  ///< replaceable by tests; empty = the kernel's word
};

class Server {
 public:
  /// All references must outlive the server. `history` and `status` are called on serve's thread only.
  Server(ServeOptions options, HistoryReader& history, AgentStatusSource& status, const catalog::Catalog& catalog);
  ~Server();  ///< stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Starts listening and the thread. Fails with kSystem or kInvalid (no socket).
  Result<void> start();
  /// Ends every connection and joins the thread. Safe to call twice.
  void stop();

  /// Rows were appended: those who watch get them, read from the history. Any thread; never blocks; cheap when nobody
  /// watches.
  void notify();
  /// The same when the stored rows (with their sequence) are at hand.
  void on_rows(std::vector<Row> rows);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keytrail::serve
