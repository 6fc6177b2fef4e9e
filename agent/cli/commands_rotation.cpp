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
  return fmt::format("{} with the old key, {} with the new", thousands(number(object(row, "old"), "processes")),
                     thousands(number(object(row, "new"), "processes")));
}

}  // namespace

int run_rotation(const Options& options, World& world) {
  std::vector<std::string> parameters;
  for (const std::size_t i : {0U, 1U}) {
    const auto key = key_typed(world, options.words.at(i));
    if (!key) return key.error();
    parameters.push_back((i == 0 ? "old=" : "new=") + encode(*key));
  }
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
    // What was missed is not seen later either: waiting would change nothing.
    const bool over = code == kOk || text(row_of(*answer), "state") == "cannot_tell";
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
