// SPDX-License-Identifier: Apache-2.0
// Where a value with a key in it leads: the host and port of a URL or connection string, and nothing else of it.
#pragma once

#include <string>
#include <string_view>

namespace keytrail::examine {

/// "redis://:secret@cache/0" → "redis://cache:6379"; of several hosts all, "mongodb://a:27017,b:27017". Of a
/// connection string ("Server=tcp:db,1433;Password=…", "host=db password=…", "user:secret@tcp(db:3306)/x")
/// "db:1433". Empty where no host stands, and where it is not certain that what stands there is no part of the secret.
[[nodiscard]] std::string address_of(std::string_view value);

}  // namespace keytrail::examine
