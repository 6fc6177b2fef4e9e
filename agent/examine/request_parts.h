// SPDX-License-Identifier: Apache-2.0
// Keys in the parts of a request: the fields of a form, a query or a JSON body and cookies by their names, and keys of
// known formats anywhere in a text. In: views of the arena; out: facts, for the entry that `work` is at. Any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "agent/examine/facts.h"

namespace keytrail::examine {

[[nodiscard]] std::string lower(std::string_view text);
/// Whether a header, field or cookie of this name only guards a form or a page.
[[nodiscard]] bool guards_a_form(std::string_view name);
/// What a header or field of this name carries, where the catalog knows it.
[[nodiscard]] const catalog::CarriedKey* carried(std::string_view name, const ExaminerState& state);
/// A key of this kind, unless the value shows another, or is none.
void add_carried(std::string_view kind, std::string_view value, Work& work);
/// The value of the first of these fields that is there ("name=value", between separators).
[[nodiscard]] bool field(std::string_view fields, char separator, std::initializer_list<std::string_view> names,
                         std::string_view& value);
/// "name=value&name=value", percent-encoded.
void add_fields(std::string_view fields, char separator, Work& work);
/// False when it is no JSON.
bool add_json(std::string_view text, Work& work);
/// "name=value; name=value"
void add_cookies(std::string_view text, Work& work);
/// Keys that show by themselves what they are, wherever in the text.
void add_known(std::string_view text, Work& work);

}  // namespace keytrail::examine
