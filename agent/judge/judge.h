// SPDX-License-Identifier: Apache-2.0
// Derives findings from what link found: a batch in, finding rows and their states added to it. A finding is open until
// it is resolved; when it happens again, it is told again and open again. Thread: the pipeline's only one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/judge/rule.h"
#include "keytrail/clock.h"

namespace keytrail::judge {

class Judge {
 public:
  /// `findings`: the configuration's block; a type that is not enabled has no rule. `limit`: entries of each memory of
  /// each rule.
  Judge(const Clock& clock, const catalog::Catalog& catalog,
        const std::map<std::string, base::FindingConfig>& findings = {}, std::size_t limit = 4'096);

  /// What earlier runs stored: call once, before the first batch.
  void load(const Earlier& earlier);
  /// Adds the findings of a batch to it.
  void on_batch(Batch& batch);

 private:
  const Clock& clock_;
  std::vector<std::unique_ptr<Rule>> rules_;
};

}  // namespace keytrail::judge
