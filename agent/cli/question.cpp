// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/question.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/config.h"
#include "agent/base/log.h"
#include "agent/base/times.h"
#include "agent/catalog/additions.h"
#include "agent/catalog/catalog.h"
#include "agent/catalog/secret_guard.h"
#include "agent/cli/fields.h"
#include "agent/cli/output.h"
#include "agent/cli/render.h"
#include "agent/cli/render_parts.h"
#include "agent/cli/terminal.h"
#include "agent/cli/when.h"
#include "agent/judge/rule.h"
#include "agent/serve/answer.h"
#include "agent/serve/meant.h"
#include "agent/serve/peer.h"
#include "agent/serve/query.h"

namespace keytrail::cli {

using base::printable;

namespace {

constexpr std::size_t kMostRows = 10'000;  // of one page
constexpr std::int64_t kDay = 86'400'000'000'000;
constexpr int kTries = 10;  // where too many ask at once
constexpr std::int64_t kPause = 300'000'000;

int usage(World& world, const std::string& text) {
  world.err << "keytrail: " << text << "\n";
  return kUsage;
}

/// Of an empty period nothing can be told: that is no answer "none seen", and no slip of the command line.
int cannot_tell(World& world, const std::string& text) {
  world.err << "keytrail: " << text << ": of an empty period nothing can be told\n";
  return kCannotTell;
}

int secret_typed(World& world) {
  return usage(
      world,
      std::string(catalog::kSecretTyped) +
          ". It was not sent or stored, but it is in your shell history. Ask by its key ID: keytrail keys lists them.");
}

/// A message of the agent names parameters; people typed options.
std::string in_options(std::string_view message) {
  constexpr std::pair<std::string_view, std::string_view> kOptions[] = {
      {"provider", "--provider"}, {"service", "--service"}, {"kind", "--kind"},        {"finding_type", "--type"},
      {"evidence", "--evidence"}, {"pid", "--pid"},         {"host", "--host"},        {"workload", "--workload"},
      {"kinds", "--kinds"},       {"key", "the key ID"},    {"lifetime", "--lifetime"}};
  for (const auto& [parameter, option] : kOptions) {
    if (message.starts_with(parameter) && message.substr(parameter.size()).starts_with(": "))
      return std::string(option).append(message.substr(parameter.size()));
  }
  return std::string(message);
}

/// The word of an answer that is an error; empty for others.
std::string error_code(const Answer& answer) {
  boost::system::error_code error;
  const json::value body = answer.status == 200 ? json::value() : json::parse(answer.body, error);
  return !error && body.is_object() ? text(object(body.get_object(), "error"), "code") : "";
}

/// Asks; where too many do at once, a few times. Then the agent may close a connection before it was asked.
Result<Answer> ask_patiently(World& world, const std::string& socket, const std::string& target) {
  for (int tries = 1;; ++tries) {
    Result<Answer> answer = world.get(socket, target);
    const bool busy = answer ? error_code(*answer) == serve::kBusy : answer.error().code == Error::Code::kGone;
    if (!busy || tries == (answer ? kTries : kTries / 2)) return answer;
    world.sleep(kPause);
  }
}

/// The agent answered, but not with rows.
int explain_status(World& world, const std::string& socket, const Answer& answer) {
  std::string message = fmt::format("the agent answered with status {}", answer.status);
  boost::system::error_code error;
  const json::value body = json::parse(answer.body, error);
  if (!error && body.is_object()) {
    const std::string said = text(object(body.get_object(), "error"), "message");
    if (!said.empty()) message = said;
  }
  if (answer.status == 403) {
    world.err << "keytrail: " << printable(socket) << " " << printable(message) << ".\n";
    return kRefused;
  }
  world.err << "keytrail: " << printable(in_options(message)) << "\n";
  if (error_code(answer) == serve::kFromAfterTo) return kCannotTell;
  return answer.status == 400 ? kUsage : answer.status == 404 ? kNo : kCannotTell;
}

/// Adds the rows of a further page.
void append(json::object& whole, json::object& page) {
  for (const char* name : {"rows", "undecided"}) {
    if (json::array* more = page.contains(name) ? page[name].if_array() : nullptr) {
      json::array& list = whole[name].is_array() ? whole[name].get_array() : whole[name].emplace_array();
      for (json::value& row : *more)
        list.push_back(std::move(row));
    }
  }
  whole["complete"] = is_complete(whole) && is_complete(page);
  for (const char* name : {"coverage", "cursor", "more"})
    whole[name] = page[name];
}

/// An empty period would be answered "none seen": it is not asked about.
int add_period(const Options& options, World& world, std::vector<std::string>& out) {
  const std::int64_t now = world.now_ns();
  std::int64_t from = 0;
  if (!options.since.empty()) {
    const Result<std::int64_t> since = parse_when(options.since, now, options.local);
    if (!since) return usage(world, "--since: " + since.error().message);
    from = *since;
    if (from > now)
      return cannot_tell(world,
                         fmt::format("--since {} is in the future: it is {}", format_when_zone(from, options.local),
                                     format_when_zone(now, options.local)));
    out.push_back("since=" + encode(base::format_rfc3339(from)));
  }
  if (options.until.empty()) return kOk;
  Result<std::int64_t> until = parse_when(options.until, now, options.local);
  if (until && *until <= from && is_time_of_day(options.until))
    until = parse_when(options.until, from + kDay, options.local);
  if (!until) return usage(world, "--until: " + until.error().message);
  if (*until <= from)
    return cannot_tell(world, fmt::format("--until {} is not after --since {}", format_when_zone(*until, options.local),
                                          format_when_zone(from, options.local)));
  out.push_back("until=" + encode(base::format_rfc3339(*until)));
  return kOk;
}

/// What the agent would refuse is not asked, so that a slip is told with or without an agent.
std::expected<serve::Query, int> query_of(World& world, const std::vector<std::string>& parameters) {
  const catalog::Catalog& known = catalog::Catalog::builtin();
  if (parameters.empty()) return serve::Query{};
  const Result<serve::Target> target = serve::parse_target(fmt::format("/?{}", fmt::join(parameters, "&")));
  if (!target) return std::unexpected(usage(world, printable(target.error().message)));
  Result<serve::Query> query = serve::parse_query(*target, known, kMostRows);
  if (query) return *std::move(query);
  if (query.error().code == Error::Code::kRefused) return std::unexpected(secret_typed(world));
  return std::unexpected(usage(world, printable(in_options(query.error().message))));
}

Result<base::Config> config_of(const Options& options) {
  base::ConfigOptions how;
  how.required = !options.config.empty();
  how.resolve = false;
  how.environment = false;
  how.findings = judge::finding_types();
  return base::load_config(options.config.empty() ? base::kDefaultConfigPath : options.config, how);
}

}  // namespace

catalog::Catalog catalog_of(const Options& options, World& world) {
  const Result<catalog::Additions> additions = catalog::Additions::read_directory(catalog_directory(options));
  if (!additions) {
    world.err << "! additions are not used:\n" << additions.error().message << "\n";
    return catalog::Catalog::builtin();
  }
  return additions->empty() ? catalog::Catalog::builtin() : catalog::Catalog::with_additions(*additions);
}

std::string catalog_directory(const Options& options) {
  const Result<base::Config> config = config_of(options);
  return config ? config->catalog_directory : base::Config{}.catalog_directory;
}

std::string socket_of(const Options& options) {
  if (!options.socket.empty()) return options.socket;
  const Result<base::Config> config = config_of(options);
  return config ? config->api.socket : base::kDefaultApiSocket;
}

int check_named_config(const Options& options, World& world) {
  if (options.config.empty()) return kOk;
  const Result<base::Config> config = config_of(options);
  return config ? static_cast<int>(kOk) : usage(world, config.error().message);
}

std::expected<std::string, int> key_typed(World& world, const std::string& text) {
  std::string key = serve::folded_key(catalog::Catalog::builtin(), text);
  if (catalog::looks_like_secret(catalog::Catalog::builtin(), text) ||
      catalog::looks_like_secret(catalog::Catalog::builtin(), key))
    return std::unexpected(secret_typed(world));
  if (key.empty()) return std::unexpected(usage(world, "the key ID is empty"));
  if (std::ranges::any_of(key, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
    return std::unexpected(usage(world, "a key ID has no line breaks or control characters"));  // a key's own text has
  return key;
}

std::expected<std::vector<std::string>, int> parameters_of(const Options& options, World& world) {
  std::vector<std::string> out;
  if (!options.key.empty()) {
    const auto key = key_typed(world, options.key);
    if (!key) return std::unexpected(key.error());
    out.push_back("key=" + encode(*key));
    if (options.no_chain) out.emplace_back("chain=false");
  }
  for (const auto& [name, value] : options.filter)
    out.push_back(name + "=" + encode(value));
  if (const auto query = query_of(world, out); !query) return std::unexpected(query.error());
  if (const int wrong = add_period(options, world, out); wrong != kOk) return std::unexpected(wrong);
  return out;
}

namespace {

/// Without an agent nobody can say whether a word that is in no catalog, or an ID of another shape, was seen: then it
/// is taken for a slip.
std::string word_nobody_knows(const Options& options, World& world) {
  std::vector<std::string> keys = options.words;  // of a rotation; other words have no shape of an ID
  keys.push_back(options.key);
  for (const std::string& key : keys) {
    if (std::string wrong = serve::wrong_shape(serve::folded_key(catalog::Catalog::builtin(), key)); !wrong.empty())
      return wrong;
  }
  HistoryFilter asked;
  const std::pair<const char*, std::string*> words[] = {{"provider", &asked.provider},
                                                        {"service", &asked.service},
                                                        {"kind", &asked.kind},
                                                        {"finding_type", &asked.finding_type}};
  bool any = false;
  for (const auto& [name, word] : words) {
    const auto typed = options.filter.find(name);
    if (typed == options.filter.end()) continue;
    *word = serve::folded_word(typed->second);
    any = true;
  }
  if (!any) return {};
  std::vector<std::string_view> types;
  for (const base::FindingType& one : judge::finding_types())
    types.emplace_back(one.type);
  return in_options(serve::unknown_word(catalog_of(options, world), types, asked));
}

}  // namespace

int no_answer(const Options& options, World& world, const Error& error) {
  const std::string socket = printable(socket_of(options));
  if (const std::string wrong = word_nobody_knows(options, world); !wrong.empty())
    return usage(world, printable(wrong));
  switch (error.code) {
    case Error::Code::kNotFound:
      if (struct stat found{}; ::stat(socket_of(options).c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
        world.err << "keytrail: " << socket << " is no socket. Its path is api.socket in the agent's configuration.\n";
        return kNoAgent;
      }
      world.err << "keytrail: no agent at " << socket
                << ". Try: systemctl status keytrail; journalctl -u keytrail -n 20\n";
      return kNoAgent;
    case Error::Code::kRefused:
      world.err << fmt::format("keytrail: {} refused uid {} ({}): needs root or group keytrail.\n", socket, ::geteuid(),
                               serve::user_name(::geteuid()));
      return kRefused;
    case Error::Code::kInvalid:
      return usage(world, printable(error.message));
    default:
      world.err << "keytrail: " << printable(error.message) << " (" << socket
                << "). Try: systemctl status keytrail; journalctl -u keytrail -n 20\n";
      return kNoAgent;
  }
}

Asked ask(const Options& options, World& world, const std::string& path, const std::vector<std::string>& parameters) {
  const std::string socket = socket_of(options);
  const Result<Answer> answer = ask_patiently(
      world, socket, fmt::format("{}{}{}", path, parameters.empty() ? "" : "?", fmt::join(parameters, "&")));
  if (!answer) return std::unexpected(no_answer(options, world, answer.error()));
  if (answer->status != 200) return std::unexpected(explain_status(world, socket, *answer));
  boost::system::error_code error;
  json::value body = json::parse(answer->body, error);
  if (error || !body.is_object() || !body.get_object().contains("rows") || !body.get_object()["rows"].is_array()) {
    world.err << "keytrail: the agent's answer is not understood: is it of another version?\n";
    return std::unexpected(static_cast<int>(kCannotTell));
  }
  return std::move(body.get_object());
}

Asked ask_all(const Options& options, World& world, const std::string& path,
              const std::vector<std::string>& parameters) {
  // The others have no pages.
  const std::uint64_t page_rows = path == "/v1/uses" || path == "/v1/findings" || path == "/v1/rows" ? 1000 : 10'000;
  std::string after;
  json::object whole;
  for (std::uint64_t have = 0;;) {
    std::vector<std::string> page_parameters = parameters;
    page_parameters.push_back(fmt::format("limit={}", std::min(page_rows, options.limit - have)));
    if (!after.empty()) page_parameters.push_back("after=" + after);
    Asked page = ask(options, world, path, page_parameters);
    if (!page) return page;
    have += array(*page, "rows").size() + array(*page, "undecided").size();
    const std::string cursor = text(*page, "cursor");
    if (whole.empty())
      whole = std::move(*page);
    else
      append(whole, *page);
    if (cursor.empty() || cursor == after || have >= options.limit) return whole;
    after = cursor;
  }
}

View view_of(const Options& options, const World& world) {
  View view;
  view.wide = options.output == "wide";
  view.local = options.local;
  view.now_ns = world.now_ns();
  view.key = serve::folded_key(catalog::Catalog::builtin(), options.key);
  view.width = world.width;
  return view;
}

int print(const Options& options, World& world, const json::object& answer,
          const std::function<std::string(const View&)>& table) {
  if (options.output == "json")
    world.out << pretty_json(answer);
  else if (options.output == "jsonl")
    world.out << json_lines(answer);
  else if (options.output == "yaml")
    world.out << to_yaml(answer);
  else
    world.out << for_terminal(table(view_of(options, world)), world.width, world.colour);
  world.out.flush();
  if (const std::string why = cannot_say(answer, view_of(options, world)); !why.empty()) {
    if (options.output != "table" && options.output != "wide") world.err << "keytrail: " << why << std::flush;
    return kCannotTell;
  }
  if (options.strict && !is_complete(answer)) return kCannotTell;
  if (options.strict && array(answer, "rows").empty()) return kNo;
  return kOk;
}

}  // namespace keytrail::cli
