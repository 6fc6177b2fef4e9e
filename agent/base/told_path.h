// SPDX-License-Identifier: Apache-2.0
// Which path a file means that names another file: by what is written there and where it lies itself. Pure.
#pragma once

#include <string>
#include <string_view>

namespace keytrail::base {

/// "/a/./b/../c" → "/a/c"
[[nodiscard]] std::string straight_path(std::string_view path);
/// The path that a file at `teller` means by `written`: one that begins with "/" or "file://", or with "~/" and its
/// like (the home that `teller` lies in), or one below its own folder. As it is written where what it depends on is not
/// known.
[[nodiscard]] std::string told_path(std::string_view teller, std::string_view written);

}  // namespace keytrail::base
