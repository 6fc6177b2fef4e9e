// SPDX-License-Identifier: Apache-2.0
// Writes tables as C++: the matcher's (tables.h) and the kernel side's.
#pragma once

#include <string>

#include "agent/catalog/kernel_rules.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog::source {

/// C++ that defines tables::kTables.
[[nodiscard]] std::string emit_tables(const tables::Tables& tables);
/// C++ that defines kernel_tables().
[[nodiscard]] std::string emit_kernel_tables(const KernelRules& rules);

}  // namespace keytrail::catalog::source
