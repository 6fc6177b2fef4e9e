// SPDX-License-Identifier: Apache-2.0
// Writes a checked model as C++: the matcher's tables (tables.h) and the kernel side's.
#pragma once

#include <string>

#include "agent/catalog/kernel_rules.h"
#include "agent/catalog/source.h"

namespace keytrail::catalog::source {

/// C++ that defines tables::kTables. The model must have passed check().
[[nodiscard]] std::string emit_tables(const Model& model);
/// C++ that defines kernel_tables().
[[nodiscard]] std::string emit_kernel_tables(const KernelRules& rules);

}  // namespace keytrail::catalog::source
