// SPDX-License-Identifier: Apache-2.0
// Link's bounds. Each has a counter for what it turned away (Link::counters), none grows with what a hostile process
// does.
#pragma once

#include <cstddef>
#include <cstdint>

namespace keytrail::link {

struct LinkOptions {
  std::uint64_t hold_use_ms = 500;  ///< a use waits at most this long for the examination of earlier opens
  /// An SSH client and git read their key after they connected: weighed at the end, or after this.
  std::uint64_t hold_late_ms = 3'000;
  std::uint64_t look_every_ms = 10'000;  ///< known files of live holders are looked at this often
  /// A name asked for by another process of the network namespace is believed this long.
  std::uint64_t dns_name_s = 3'600;
  std::uint64_t bulk_window_ms = 10'000;  ///< this many distinct key files …
  std::size_t bulk_files = 8;             ///< … within the window make a bulk reader
  bool goes_on = false;          ///< an earlier run's history is there: what was before it is that one's to say
  std::uint32_t own_mnt_ns = 0;  ///< the agent's mount namespace: the machine's, where init's is not known
  std::size_t max_processes = 65'536;
  std::size_t max_connections = 65'536;
  /// UDP sockets that may speak QUIC: nothing tells their end, and each keeps its process in memory.
  std::size_t max_datagrams = 4'096;
  std::size_t max_holdings = 256;          ///< of one process
  std::size_t max_all_holdings = 131'072;  ///< of all, shared fairly (FairShares), as are the next and the two queues
  std::size_t max_held_uses = 4'096;
  /// Asked of the examiner at once, all kinds. The rest waits in link, in fair turns: what waits further on is in the
  /// order in which it was asked.
  std::size_t max_examinations = 256;
  std::size_t max_questions = 16'384;  ///< asked or waiting; one process alone may have a quarter of them
  std::size_t max_environments = 64;   ///< asked at once: initial environments of processes found by the sweep
  std::size_t max_environment_queue = 65'536;
  std::size_t max_looks = 32;           ///< outstanding looks at known files
  std::size_t max_names = 16'384;       ///< addresses with a name, all network namespaces
  std::size_t max_news = 65'536;        ///< remembered (workload, user, program, key, slot)
  std::size_t max_containers = 16'384;  ///< of which it is remembered that something runs there
  std::size_t max_files = 8'192;        ///< known key files
  std::size_t max_answers = 256;        ///< contents of key files remembered, by identity
  std::size_t max_contents = 4'096;     ///< files at no known place of which is remembered what they look like
  std::size_t max_found = 2'048;        ///< files, and places, that held a key: the kernel has room for 4 of each
  std::size_t max_gaps = 1'024;
  std::size_t max_places = 64;     ///< unknown destinations of one workload's program …
  std::uint64_t places_s = 3'600;  ///< … within this time that have rows of their own
  std::size_t max_place_owners = 1'024;
};

}  // namespace keytrail::link
