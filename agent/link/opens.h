// SPDX-License-Identifier: Apache-2.0
// Opens of key files: which are examined, and what their answers make of them: holdings, marks, acquisitions, slots.
// Owns what files were found to hold before. Called by Engine (an open); answers come through Examinations. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

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
  };

  struct Content {
    std::vector<KeyFact> keys;
    std::uint32_t skipped = 0;
  };

  [[nodiscard]] const catalog::File* entry_of(const Instance& instance, const OpenEvent& event);
  Done on_cut_path(const InstanceRef& instance, const OpenEvent& event, const EventHead& head);
  Done examine(const InstanceRef& instance, Asked asked, std::uint64_t time_ns);
  void note_key_file(Instance& instance, const OpenEvent& event, std::uint64_t time_ns);
  /// It may hold a key of any kind.
  [[nodiscard]] Key usual_key(const catalog::File& entry) const;
  void mark_unknown(const InstanceRef& instance, std::uint64_t time_ns);
  void ask(const Asked& asked);
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
  base::LruMap<std::string, Content> answered_;
  base::LruMap<std::string, std::string> contents_;  ///< the same for FileAnswer::format
};

}  // namespace keytrail::link
