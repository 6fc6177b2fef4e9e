// SPDX-License-Identifier: Apache-2.0
// What additions may not be, beyond what source::check() wants of every entry. Internal to this folder; any thread.
#pragma once

#include "agent/catalog/source.h"

namespace keytrail::catalog {

/// Not more than the matcher and the indices of its tables bear, and no expression or pattern that takes long.
void check_bounds(const source::Model& model, source::Problems& problems);
/// What may not be added: sections that the kernel side or the examiner would have to know, marks that raise evidence,
/// hosts and paths that would be half of everything.
void check_scope(const source::Model& model, source::Problems& problems);
/// An entry that the built-in catalog contradicts would silently do nothing; two that contradict each other would
/// depend on their order.
void check_contradictions(const source::Model& model, source::Problems& problems);

}  // namespace keytrail::catalog
