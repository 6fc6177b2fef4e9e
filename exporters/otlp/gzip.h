// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952) by zlib, for request bodies. Any thread.
#pragma once

#include <string>

#include "keytrail/result.h"

namespace keytrail::otlp {

[[nodiscard]] Result<std::string> gzip(const std::string& plain);

}  // namespace keytrail::otlp
