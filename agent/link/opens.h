// SPDX-License-Identifier: Apache-2.0
// Opens of key files: which are examined, and what their answers make of them: holdings, marks, acquisitions, slots.
// Many opens of a file in one state are one question. Owns what files were found to hold before. Called by Engine (an
// open); answers come through Examinations. One thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/fair_queue.h"
#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "agent/link/examinations.h"
#include "agent/link/facts.h"
#include "agent/link/found.h"
#include "agent/link/looks.h"
#include "agent/link/pointers.h"
#include "agent/link/processes.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Opens {
 public:
  Opens(const LinkOptions& options, const catalog::Catalog& catalog, Holders& holders, Processes& processes,
        Examinations& examinations, Looks& looks, Facts& facts, Pointers& pointers, Found& found, Uses& uses,
        Outbox& outbox)
      : options_(options),
        catalog_(catalog),
        holders_(holders),
        processes_(processes),
        examinations_(examinations),
        looks_(looks),
        facts_(facts),
        pointers_(pointers),
        found_(found),
        uses_(uses),
        outbox_(outbox),
        answered_(options.max_answers),
        contents_(options.max_contents) {}

  /// The keys that are in another process's environment or memory become this one's, too.
  Done on_peek(const PeekEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_open(const OpenEvent& event, const EventHead& head, const ProcessRef& who);

 private:
  /// An open of a file that is examined.
  struct Asked {
    ExaminationRef examination;
    OpenEvent event;
    const catalog::File* entry = nullptr;  ///< nullptr: its place says nothing, so its content is asked for first
    bool baseline = false;
    bool from_ring = false;
    Room room;
  };
  /// One state of one file, and as what it is read.
  using State = std::pair<FileIdentity, const catalog::File*>;
  /// By which path, in which mount namespace.
  using Way = std::pair<std::string, std::uint32_t>;
  /// Who waits for what is in one state. Each has a question by its own way that is out, or waits for its own turn.
  struct Waiting {
    std::uint64_t round = 0;  ///< questions of an earlier round of this state are none of this one
    std::vector<Asked> all;   ///< in the order of the opens; each has Room
    std::set<Way> out;        ///< asked of the examiner
    std::set<std::pair<Way, base::Owners>> queued;
  };

  struct Content {
    std::vector<KeyFact> keys;
    std::uint32_t skipped = 0;
  };
  struct HashOf {
    std::size_t operator()(const FileIdentity& file) const {
      std::uint64_t out = file.dev;
      for (const std::uint64_t part :
           {file.inode, static_cast<std::uint64_t>(file.ctime_s), std::uint64_t{file.ctime_ns}, file.size})
        out = (out ^ part) * 0x9E3779B97F4A7C15U;
      return out ^ (out >> 32U);
    }
  };

  [[nodiscard]] const catalog::File* entry_of(const Instance& instance, const OpenEvent& event);
  Done on_cut_path(const InstanceRef& instance, const OpenEvent& event, const EventHead& head);
  Done examine(const InstanceRef& instance, Asked asked, std::uint64_t time_ns);
  /// An open for which there is no room: its process may hold anything.
  Done drop(const InstanceRef& instance, const EventHead& head);
  void note_key_file(Instance& instance, const OpenEvent& event, std::uint64_t time_ns);
  /// It may hold a key of any kind.
  [[nodiscard]] Key usual_key(const catalog::File& entry) const;
  void mark_unknown(const InstanceRef& instance, std::uint64_t time_ns);
  /// The same, and it is told that its file was given up.
  void give_up(const char* cause, const InstanceRef& instance, std::uint64_t time_ns);
  static Way way_of(const OpenEvent& event) { return {event.path, event.namespace_of_path()}; }
  /// Asks, or joins those who have asked the same.
  void ask(const Asked& asked);
  /// Whether there is still something to ask, now that it is somebody's turn.
  [[nodiscard]] bool goes_out(const State& state, std::uint64_t round, const Way& way, const base::Owners& whose);
  void on_answer_for_all(const State& state, std::uint64_t round, const Way& way, const FileAnswer& answer);
  /// What the file's content shows; then it is read as such.
  void on_content(Asked asked, const FileAnswer& answer);
  void on_answer(const Asked& asked, FileAnswer& answer);
  /// An answer that could be read is remembered; one that came too late is replaced by what the same file, unchanged,
  /// was found to hold before. True when it was replaced.
  bool remember(const FileIdentity& file, FileAnswer& answer);

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  Holders& holders_;
  Processes& processes_;
  Examinations& examinations_;
  Looks& looks_;
  Facts& facts_;
  Pointers& pointers_;
  Found& found_;
  Uses& uses_;
  Outbox& outbox_;
  /// By the file's identity: what it held when it was read last.
  base::LruMap<FileIdentity, Content, HashOf> answered_;
  base::LruMap<FileIdentity, std::string, HashOf> contents_;  ///< the same for FileAnswer::format
  std::map<State, Waiting> waiting_;
  std::uint64_t rounds_ = 0;
};

}  // namespace keytrail::link
