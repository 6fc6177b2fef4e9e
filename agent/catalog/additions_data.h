// SPDX-License-Identifier: Apache-2.0
// What Additions holds. Internal to this folder.
#pragma once

#include "agent/catalog/additions.h"
#include "agent/catalog/source.h"

namespace keytrail::catalog {

struct Additions::Data {
  source::Model model;
  std::size_t content = 0;  ///< hash of what was read
};

}  // namespace keytrail::catalog
