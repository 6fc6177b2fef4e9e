// SPDX-License-Identifier: Apache-2.0
// What a text in a key's place leads to when it is no key itself: a variable of the environment, or another file. Pure.
#pragma once

#include <string_view>

namespace keytrail::examine {

/// The variable that a value stands for: "${NAME}", "${NAME:-other}", "${env.NAME}", "env:NAME", "%NAME%"; else empty.
[[nodiscard]] std::string_view variable_of(std::string_view value);
/// "$TOKEN", "%TOKEN%"
[[nodiscard]] bool is_variable_reference(std::string_view value);
/// The next "${NAME}" within a text, which moves behind it ("user:${PASSWORD}"); empty when there is none.
[[nodiscard]] std::string_view next_variable(std::string_view& text);
/// What a tool that fills in templates replaces, and nothing else: "#{token}", "__TOKEN__", "%%TOKEN%%", "((token))".
[[nodiscard]] bool is_template_mark(std::string_view value);
/// Words that stand in for a key: "my-secret-token", "not-a-real-key", "xoxb-your-token".
[[nodiscard]] bool is_stand_in(std::string_view value);
/// "{COQLCE6DU6GtcS5P=}": Maven's, read with the key of another file
[[nodiscard]] bool is_ciphertext(std::string_view value);
/// Whether a text may leave as the path of a file: no part of it is as random as a key that somebody wrote there.
[[nodiscard]] bool is_file_name(std::string_view text);

}  // namespace keytrail::examine
