// SPDX-License-Identifier: Apache-2.0
// `keytrail rotation OLD NEW [--wait D]`: a check that says what is still to do, once or until it is done.
#include <fmt/format.h>

#include <algorithm>

#include "agent/cli/commands.h"
#include "agent/cli/fields.h"
#include "agent/cli/question.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"

namespace keytrail::cli {
namespace {

constexpr std::int64_t kLookEvery = 2'000'000'000;

const json::object& row_of(const json::object& answer) {
  static const json::object kNone;
  const json::array& rows = array(answer, "rows");
  return rows.empty() || !rows[0].is_object() ? kNone : rows[0].get_object();
}

int code_of(const json::object& answer) {
  const std::string state = text(row_of(answer), "state");
  if (state == "done") return kOk;
  return state == "not_done" ? kNo : kCannotTell;
}

/// What is said on standard error while it waits, whenever it changes.
std::string progress(const json::object& answer) {
  const json::object& row = row_of(answer);
  if (text(row, "state") == "unknown_key") return "one of the keys was not seen yet";
  const std::size_t untold = array(object(row, "cannot_tell"), "processes").size();
  return fmt::format("{} with the old key, {} with the new{}", thousands(number(object(row, "old"), "processes")),
                     thousands(number(object(row, "new"), "processes")),
                     untold == 0 ? "" : fmt::format(", {} cannot be checked", untold));
}

}  // namespace

int run_rotation(const Options& options, World& world) {
  std::vector<std::string> parameters;
  if (options.words.size() != 2) {
    world.err << "keytrail: rotation wants two key IDs: the one that is to go, and the one that takes its place\n"
                 "Try: keytrail rotation --help\n";
    return kUsage;
  }
  for (const std::size_t i : {0U, 1U}) {
    const auto key = key_typed(world, options.words.at(i));
    if (!key) return key.error();
    parameters.push_back((i == 0 ? "old=" : "new=") + encode(*key));
  }
  if (parameters[0].substr(4) == parameters[1].substr(4)) {
    world.err << "keytrail: rotation: the old and the new key are the same\n";
    return kUsage;
  }
  if (options.filter.contains("quiet")) parameters.emplace_back("quiet=false");
  std::int64_t until = 0;
  if (!options.wait.empty()) {
    const Result<std::int64_t> wait = parse_duration(options.wait);
    if (!wait) {
      world.err << "keytrail: --wait: " << wait.error().message << "\n";
      return kUsage;
    }
    until = world.now_ns() + *wait;
    world.err << "Waiting until " << format_when_zone(until, options.local) << " at most; Ctrl-C ends it.\n";
  }
  for (std::string told;;) {
    const Asked answer = ask(options, world, "/v1/rotation", parameters);
    if (!answer) return answer.error();
    const std::int64_t left = until - world.now_ns();
    const int code = code_of(*answer);
    // A caller that was not seen whole may be started again, and an agent that has just begun looks at all that live;
    // hooks that are not armed stay so, and nobody starts what calls nobody.
    const json::object& others = object(row_of(*answer), "cannot_tell");
    const bool untold =
        !array(others, "processes").empty() || is_null(others, "quiet") || number(others, "under_way") != 0;
    const bool over = code == kOk || (text(row_of(*answer), "state") == "cannot_tell" && !untold);
    if (over || left <= 0) {
      print(options, world, *answer, [&](const View& view) { return render_rotation(*answer, view); });
      return !over && until != 0 ? static_cast<int>(kTimeOver) : code;
    }
    if (std::string now = progress(*answer); now != told) {
      world.err << format_when_zone(world.now_ns(), options.local) << " " << now << "\n" << std::flush;
      told = std::move(now);
    }
    world.sleep(std::min(left, kLookEvery));
  }
}

}  // namespace keytrail::cli
