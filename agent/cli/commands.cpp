// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <thread>

#include "agent/base/log.h"
#include "agent/base/times.h"
#include "agent/cli/fields.h"
#include "agent/cli/local_doctor.h"
#include "agent/cli/output.h"
#include "agent/cli/question.h"
#include "agent/cli/render_parts.h"
#include "agent/cli/terminal.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"

namespace keytrail::cli {
namespace {

constexpr std::int64_t kDay = 86'400'000'000'000;

/// Relative input is echoed absolute: "2026-03-09 14:02:00Z to now".
void echo_period(const Options& options, World& world, const json::object& answer) {
  if ((options.since.empty() && options.until.empty()) || (options.output != "table" && options.output != "wide"))
    return;
  const json::object& asked = object(answer, "asked");
  const std::int64_t from = time(asked, "since"), to = time(asked, "until");
  world.out << fmt::format("{} to {}\n", from == 0 ? "the beginning" : format_when_zone(from, options.local),
                           to == 0 ? "now" : format_when_zone(to, options.local));
}

int list(const Options& options, World& world, const std::string& path,
         std::string (*render)(const json::object&, const View&)) {
  const auto parameters = parameters_of(options, world);
  if (!parameters) return parameters.error();
  const Asked answer = ask_all(options, world, path, *parameters);
  if (!answer) return answer.error();
  echo_period(options, world, *answer);
  return print(options, world, *answer, [&](const View& view) { return render(*answer, view); });
}

/// Who has it. Where nobody is known to and key files are just being examined, it is asked again: that is soon over.
Asked ask_holders(const Options& options, World& world, const std::vector<std::string>& parameters) {
  constexpr int kTries = 8;
  constexpr std::int64_t kPause = 250'000'000;
  for (int tries = 1;; ++tries) {
    Asked answer = ask_all(options, world, "/v1/holders", parameters);
    const bool again = answer && array(*answer, "rows").empty() &&
                       number(object(*answer, "cannot_tell"), "under_way") != 0 && tries < kTries;
    if (!again) return answer;
    world.sleep(kPause);
  }
}

std::uint64_t to_seq(const std::string& text) {
  std::uint64_t seq = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || seq > 1'000'000'000'000'000) return 0;
    seq = seq * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return seq;
}

}  // namespace

World real_world(std::ostream& out, std::ostream& err) {
  World world{
      out,
      err,
      [] {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
      },
      [](const std::string& socket, const std::string& target) { return get(socket, target); },
      follow,
      [](std::int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }};
  world.width = terminal_width();
  world.colour = terminal_has_colours();
  return world;
}

/// Armed in part is no reason to end it: it sees the rest, and `status` without --probe says so.
static int probe(const Options& options, const json::object& status, World& world) {
  if (text(status, "state") == "not_armed") {
    world.out << "not armed yet\n";
    return kNo;
  }
  if (options.probe == "live") {
    for (const json::value& one : array(status, "families")) {
      const json::object& family = one.get_object();
      if (!flag(family, "armed") || !flag(family, "silent")) continue;
      world.out << text(family, "family") << ": its heartbeat does not come through\n";
      return kNo;
    }
  }
  world.out << options.probe << '\n';
  return kOk;
}

int run_status(const Options& options, World& world) {
  const Asked answer = ask(options, world, "/v1/status", {});
  if (!answer) return answer.error();
  if (!options.probe.empty()) {
    const json::array& found = array(*answer, "rows");
    return found.empty() ? static_cast<int>(kCannotTell) : probe(options, found[0].get_object(), world);
  }
  const int code = print(options, world, *answer, [&](const View& view) { return render_status(*answer, view); });
  const json::array& rows = array(*answer, "rows");
  const std::string state = rows.empty() || !rows[0].is_object() ? "" : text(rows[0].get_object(), "state");
  return state == "partly_armed" || state == "not_armed" ? static_cast<int>(kNo) : code;
}

int run_doctor(const Options& options, World& world) {
  const std::string socket = socket_of(options);
  const Result<Answer> reached = world.get(socket, "/v1/doctor");
  if (!reached) {
    world.out << local_doctor(options.config, world.width);
    world.out.flush();
    return no_answer(options, world, reached.error());
  }
  const Asked answer = ask(options, world, "/v1/doctor", {});
  if (!answer) return answer.error();
  print(options, world, *answer, [&](const View& view) { return render_doctor(*answer, view); });
  for (const json::value& value : array(*answer, "rows")) {
    if (value.is_object() && text(value.get_object(), "state") == "none" && !flag(value.get_object(), "optional"))
      return kNo;
  }
  return kOk;
}

int run_uses(const Options& options, World& world) {
  const auto parameters = parameters_of(options, world);
  if (!parameters) return parameters.error();
  const Asked answer = ask_all(options, world, "/v1/uses", *parameters);
  if (!answer) return answer.error();
  echo_period(options, world, *answer);
  if (options.key.empty() || (options.output != "table" && options.output != "wide")) {
    return print(options, world, *answer, [&](const View& view) { return render_uses(*answer, view); });
  }
  Options only_key = options;
  only_key.since = only_key.until = "";
  only_key.filter.clear();
  const Asked keys =
      ask(options, world, "/v1/keys", parameters_of(only_key, world).value_or(std::vector<std::string>{}));
  if (!keys) return keys.error();
  return print(options, world, *answer, [&](const View& view) {
    const bool unknown = array(*keys, "rows").empty() && array(*answer, "rows").empty();
    return unknown ? render_keys(*keys, view) : key_headline(*keys, *answer, view) + render_uses(*answer, view);
  });
}

int run_keys(const Options& options, World& world) {
  const auto parameters = parameters_of(options, world);
  if (!parameters) return parameters.error();
  const Asked answer = ask_all(options, world, "/v1/keys", *parameters);
  if (!answer) return answer.error();
  echo_period(options, world, *answer);
  const int code = print(options, world, *answer, [&](const View& view) { return render_keys(*answer, view); });
  // Whether a workload had keys of one lifetime is a check: that it had none is the good answer.
  if (!options.filter.contains("lifetime") || !options.filter.contains("workload")) return code;
  if (!cannot_say(*answer, view_of(options, world)).empty()) return kCannotTell;
  const bool held = std::ranges::any_of(array(*answer, "rows"), [](const json::value& row) {
    return row.is_object() && !is_encryption(object(row.get_object(), "key"));
  });
  if (held) return kNo;
  return is_complete(*answer) && number(*answer, "more") == 0 ? kOk : kCannotTell;
}
int run_workloads(const Options& options, World& world) {
  return list(options, world, "/v1/workloads", options.explain ? render_workload : render_workloads);
}
int run_findings(const Options& options, World& world) { return list(options, world, "/v1/findings", render_findings); }

int run_key(const Options& options, World& world) {
  if (options.holders && !(options.since.empty() && options.until.empty())) {
    world.err << "keytrail: --holders is a question about now: it takes no --since and no --until. Who had it then: "
                 "keytrail key KEY --readers --since …\n";
    return kUsage;
  }
  const auto parameters = parameters_of(options, world);
  if (!parameters) return parameters.error();
  Options now = options;  // who has it
  now.since = now.until = "";
  const auto of_now = parameters_of(now, world);
  if (!of_now) return of_now.error();
  if (options.holders) {
    const Asked answer = ask_holders(options, world, *of_now);
    if (!answer) return answer.error();
    print(options, world, *answer, [&](const View& view) { return render_holders(*answer, view); });
    if (!array(*answer, "rows").empty()) return kNo;
    return is_complete(*answer) && !is_unknown_key(*answer) ? kOk : kCannotTell;
  }
  if (options.copies) {
    const Asked places = ask_all(options, world, "/v1/places", *parameters);
    if (!places) return places.error();
    return print(options, world, *places, [&](const View& view) { return render_copies(*places, view); });
  }
  if (options.readers) return list(options, world, "/v1/readers", render_readers);
  const Asked keys = ask_all(options, world, "/v1/keys", *parameters);
  if (!keys) return keys.error();
  if (options.output != "table" && options.output != "wide") return print(options, world, *keys, {});
  const Asked uses = ask_all(options, world, "/v1/uses", *parameters);
  if (!uses) return uses.error();
  const Asked holders = ask_all(options, world, "/v1/holders", *of_now);
  if (!holders) return holders.error();
  return print(options, world, *keys, [&](const View& view) {
    if (array(*keys, "rows").empty()) return render_keys(*keys, view);
    View part = view;
    part.show_coverage = false;
    return key_headline(*keys, *uses, view) + render_keys(*keys, part) + "\n" + render_holders(*holders, part) + "\n" +
           render_uses(*uses, view);
  });
}

int run_explain(const Options& options, World& world) {
  std::vector<std::string> words = options.words;
  if (words.size() == 2 && (words[0] == "use" || words[0] == "row")) words.erase(words.begin());
  if (words.size() != 1 || to_seq(words[0]) == 0) {
    world.err
        << "keytrail: explain wants a sequence number, like keytrail explain 17 (the column SEQ of uses -o wide)\n";
    return kUsage;
  }
  const Asked answer = ask(options, world, fmt::format("/v1/explain/{}", to_seq(words[0])), {});
  if (!answer) return answer.error();
  return print(options, world, *answer, [&](const View& view) { return render_explain(*answer, view); });
}

namespace {

/// For a shell, which puts them on a command line: the first text of each row that is safe there. Whoever names a
/// password's login, or a workload, chooses a part of it.
int plain_words(const Options& options, World& world, const char* path, Name of, std::initializer_list<Name> texts) {
  const Result<Answer> answer = world.get(socket_of(options), path);
  boost::system::error_code error;
  const json::value body = answer && answer->status == 200 ? json::parse(answer->body, error) : json::value();
  if (error || !body.is_object()) return kOk;
  const auto plain = [](const std::string& word) {
    return !word.empty() && word.front() != '-' && std::ranges::all_of(word, [](unsigned char c) {
      return std::isalnum(c) != 0 || std::string_view("._:@/+=-").contains(static_cast<char>(c));
    });
  };
  for (const json::value& row : array(body.get_object(), "rows")) {
    if (!row.is_object()) continue;
    for (const Name name : texts) {
      const std::string word = text(object(row.get_object(), of), name);
      if (!plain(word)) continue;
      world.out << word << "\n";
      break;
    }
  }
  return kOk;
}

}  // namespace

int run_key_words(const Options& options, World& world) {
  return plain_words(options, world, "/v1/keys?limit=1000", "key", {"id"});
}

int run_workload_words(const Options& options, World& world) {
  return plain_words(options, world, "/v1/workloads?limit=1000", "workload", {"name", "id"});
}

namespace {

/// When a watch ends, Unix ns: a duration is from now on, a time of day the next one. 0: never.
Result<std::int64_t> end_of_watch(const Options& options, std::int64_t now) {
  if (options.until.empty()) return 0;
  if (const Result<std::int64_t> duration = parse_duration(options.until)) return now + *duration;
  const Result<std::int64_t> at = parse_when(options.until, now, options.local);
  return at && *at <= now && is_time_of_day(options.until) ? parse_when(options.until, now + kDay, options.local) : at;
}

}  // namespace

int run_watch(const Options& options, World& world) {
  Options without_end = options;  // the end of a watch is no end of a period of the past
  without_end.until = "";
  auto parameters = parameters_of(without_end, world);
  if (!parameters) return parameters.error();
  const Result<std::int64_t> end_ns = end_of_watch(options, world.now_ns());
  if (!end_ns) {
    world.err << "keytrail: --until: " << end_ns.error().message << "\n";
    return kUsage;
  }
  if (*end_ns != 0) parameters->push_back("until=" + encode(base::format_rfc3339(*end_ns)));
  const bool raw = options.output == "json" || options.output == "jsonl";
  if (!raw && options.output != "table" && options.output != "wide") {
    world.err << "keytrail: watch knows -o table and -o json (one row a line)\n";
    return kUsage;
  }
  const View view = view_of(options, world);
  const bool chosen = options.filter.contains("kinds");
  const std::string target = fmt::format("/v1/watch?{}{}{}", chosen ? "" : "kinds=acquisition,use,finding,gap",
                                         parameters->empty() || chosen ? "" : "&", fmt::join(*parameters, "&"));
  std::uint64_t shown = 0;
  const Result<Answer> end =
      world.follow(socket_of(options), target, [&](std::string_view name, std::string_view data) {
        if (name == "open" && !raw)
          world.err << "Watching" << (*end_ns == 0 ? "" : " until " + format_when_zone(*end_ns, options.local))
                    << "; Ctrl-C ends the view, not the agent.\n"
                    << std::flush;
        if (name == "end") return false;
        boost::system::error_code error;
        const json::value value = json::parse(json::string_view(data.data(), data.size()), error);
        if (error || !value.is_object()) return true;
        if (name == "missed")
          world.err << fmt::format("! {} rows were missed: this terminal was too slow; keytrail uses has them\n",
                                   number(value.get_object(), "missed"));
        if (name == "error")
          world.err << "! " << base::printable(text(object(value.get_object(), "error"), "message")) << "\n";
        if (name != "row" || (options.unusual && is_usual(value.get_object()))) return true;
        if (raw)
          world.out << json::serialize(value) << "\n" << std::flush;
        else
          world.out << watch_line(value.get_object(), view) << "\n" << std::flush;
        return world.out.good() && (options.count == 0 || ++shown < options.count);
      });
  if (!end) return no_answer(options, world, end.error());
  if (end->status == 200) return kOk;
  World same = world;
  same.get = [&](const std::string&, const std::string&) -> Result<Answer> { return *end; };
  same.sleep = [](std::int64_t) {};
  const Asked refused = ask(options, same, "/v1/watch", {});
  return refused ? static_cast<int>(kCannotTell) : refused.error();
}

}  // namespace keytrail::cli
