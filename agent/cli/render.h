// SPDX-License-Identifier: Apache-2.0
// Answers as text for people: tables, oldest row first, a coverage line at the end. Pure: JSON in, text out.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace keytrail::cli {

struct View {
  bool wide = false;
  bool local = false;         ///< times in local time
  std::int64_t now_ns = 0;    ///< for ages
  std::string key;            ///< the key that was asked for, or empty
  bool show_coverage = true;  ///< the last line
  std::size_t width = 0;      ///< of the terminal; 0 = any
};

[[nodiscard]] std::string render_uses(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_keys(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_holders(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_copies(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_readers(const boost::json::object& answer, const View& view);
/// Both keys, how far it is, and who has the old one still, why, and what moves it.
[[nodiscard]] std::string render_rotation(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_workloads(const boost::json::object& answer, const View& view);
/// Of each all facts: how known, since when, which one counts, and what the name is made of.
[[nodiscard]] std::string render_workload(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_findings(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_explain(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_status(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string render_doctor(const boost::json::object& answer, const View& view);

/// One line of `watch`, without a line end.
[[nodiscard]] std::string watch_line(const boost::json::object& row, const View& view);
/// "AWS access key, long-lived, first seen … · 4,311 uses confirmed … · last 38 s ago · replaced …" from
/// /v1/keys and /v1/uses; empty when the key is unknown.
[[nodiscard]] std::string key_headline(const boost::json::object& keys_answer, const boost::json::object& uses_answer,
                                       const View& view);
/// What limits the answer: gaps that may hide something (a line each, at most three), and the line "Coverage: …".
[[nodiscard]] std::string coverage_text(const boost::json::object& answer, const View& view);
[[nodiscard]] bool is_complete(const boost::json::object& answer);
/// The key that was asked for was never seen on the node: that nobody holds it says nothing.
[[nodiscard]] bool is_unknown_key(const boost::json::object& answer);
/// The same of the workload.
[[nodiscard]] bool is_unknown_workload(const boost::json::object& answer);

}  // namespace keytrail::cli
