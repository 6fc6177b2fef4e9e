// SPDX-License-Identifier: Apache-2.0
// What container runtimes write down of a container on the node. In: a file of theirs. Out: the facts of kBundleFacts
// and nothing else: environments and arguments stand beside them. Thread: the examiner's only one.
#pragma once

#include <string_view>

#include "agent/examine/facts.h"

namespace keytrail::examine {

/// `format`: BundleQuestion's. `container`: its id; what is about another one gives nothing. `place`: where the warden
/// found the file: which runtime's word it is. May throw where memory is short; the tree lies in `scratch`.
void parse_bundle(std::string_view format, std::string_view container, std::string_view place, std::string_view bytes,
                  const ExaminerState& state, Arena& scratch, Found& found);

}  // namespace keytrail::examine
