// SPDX-License-Identifier: Apache-2.0
// The account that a public key id names. Any thread; no state.
#pragma once

#include <string>
#include <string_view>

namespace keytrail::catalog {

/// The 12 digits of the AWS account in a key id (AKIA…, ASIA…: characters 5 to 14 are base32, the account stands in
/// bits 2 to 41), or "" for an id of the older generation, whose first bit is not set, and for everything else. Source:
/// withsecure, "A bitwise analysis of AWS access key identifiers".
[[nodiscard]] std::string account_of(std::string_view key_id);

}  // namespace keytrail::catalog
