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
#include "agent/link/looks.h"
#include "agent/link/processes.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Opens {
 public:
  Opens(const LinkOptions& options, const catalog::Catalog& catalog, KeyIndex& index, Holders& holders,
        Processes& processes, Examinations& examinations, Looks& looks, Uses& uses, Outbox& outbox)
      : options_(options),
        catalog_(catalog),
        index_(index),
        holders_(holders),
        processes_(processes),
        examinations_(examinations),
        looks_(looks),
        uses_(uses),
        outbox_(outbox),
        answered_(options.max_answers) {}

  Done on_open(const OpenEvent& event, const EventHead& head, const ProcessRef& who);

 private:
  /// An open of a file that is examined.
  struct Asked {
    ExaminationRef examination;
    OpenEvent event;
    const catalog::File& entry;
    bool baseline = false;
    bool from_ring = false;
  };

  struct Content {
    std::vector<KeyFact> keys;
    std::uint32_t skipped = 0;
  };

  [[nodiscard]] const catalog::File* entry_of(const Instance& instance, const OpenEvent& event) const;
  Done on_cut_path(const InstanceRef& instance, const OpenEvent& event, const EventHead& head);
  void on_answer(const Asked& asked, FileAnswer& answer);
  /// An answer that could be read is remembered; one that came too late is replaced by what the same file, unchanged,
  /// was found to hold before. True when it was replaced.
  bool remember(const FileIdentity& file, FileAnswer& answer);
  /// True when a row was made.
  bool hold_fact(const Asked& asked, KeyFact& fact);

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  KeyIndex& index_;
  Holders& holders_;
  Processes& processes_;
  Examinations& examinations_;
  Looks& looks_;
  Uses& uses_;
  Outbox& outbox_;
  /// By the file's identity: what it held when it was read last.
  base::LruMap<std::string, Content> answered_;
};

}  // namespace keytrail::link
