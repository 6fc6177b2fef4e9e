// SPDX-License-Identifier: Apache-2.0
// Parts of rows as people read them: processes, destinations, slots, kinds, verbs. Pure.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/cli/names.h"
#include "agent/cli/render.h"

namespace keytrail::cli {

/// 8812400 → "8,812,400".
[[nodiscard]] std::string thousands(std::int64_t number);
/// "python3[8121]"; of an edge with several processes "python3[8121] +3".
[[nodiscard]] std::string process_words(const boost::json::object& row);
/// Which file its program is: "inode 77 on device 8:1", with what it means that no name leads there; empty where it is
/// not known.
[[nodiscard]] std::string file_words(const boost::json::object& actor);
/// "s3:GetObject eu-west-1", "s3:? eu-west-1", "api.example.com:443".
[[nodiscard]] std::string called_words(const boost::json::object& destination);
/// "s3 eu-west-1" of "aws / s3 / eu-west-1"; "github vcs" of "github / vcs / global".
[[nodiscard]] std::string used_for_words(std::string_view place);
/// "file /root/.aws/credentials [prod]".
[[nodiscard]] std::string slot_words(const boost::json::object& slot);
/// "AWS access key" by the catalog, else the kind itself.
[[nodiscard]] std::string kind_words(std::string_view kind);
/// "long-lived", "short-lived", "unknown".
[[nodiscard]] std::string lifetime_words(std::string_view lifetime);
/// confirmed "used", inferred "used (inferred)", possible "may have used", unattributed "called".
[[nodiscard]] std::string verb_words(std::string_view evidence);
/// reason_detail where there is one, else the sentence of the reason.
[[nodiscard]] std::string why_words(const boost::json::object& use);
/// The key of a use and how many others it may have been: "AKIA…", "AKIA… +3", or "?" when none is known. The one
/// that was asked for, where it is among them, else the best.
[[nodiscard]] std::string key_words(const boost::json::object& use, std::string_view asked = {});
/// Requests where seen, else connections.
[[nodiscard]] std::int64_t count_of(const boost::json::object& use);
/// The same as text; "-" where only earlier calls went on.
[[nodiscard]] std::string count_words(const boost::json::object& use);
/// A time as the view wants it, "-" for null.
[[nodiscard]] std::string when_words(const boost::json::object& object, Name name, const View& view);
/// "FIRST (UTC)" or "FIRST".
[[nodiscard]] std::string time_title(std::string_view title, const View& view);
/// An acquisition from a file by the program that the file is for: by name only, so it tells what is usual, not what is
/// safe.
[[nodiscard]] bool is_usual(const boost::json::object& acquisition);
[[nodiscard]] bool is_encryption(const boost::json::object& key);

}  // namespace keytrail::cli
