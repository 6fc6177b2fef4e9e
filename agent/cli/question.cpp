// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/question.h"
#include "agent/judge/rule.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/config.h"
#include "agent/base/log.h"
#include "agent/base/times.h"
#include "agent/catalog/catalog.h"
#include "agent/cli/fields.h"
#include "agent/cli/output.h"
#include "agent/cli/terminal.h"
#include "agent/cli/when.h"
#include "agent/serve/meant.h"
#include "agent/serve/peer.h"
#include "agent/serve/secret_guard.h"

namespace keytrail::cli {

using base::printable;

namespace {

constexpr std::int64_t kDay = 86'400'000'000'000;

int usage(World& world, const std::string& text) {
  world.err << "keytrail: " << text << "\n";
  return kUsage;
}

int secret_typed(World& world) {
  return usage(
      world,
      std::string(serve::kSecretTyped) +
          ". It was not sent or stored, but it is in your shell history. Ask by its key ID: keytrail keys lists them.");
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
  world.err << "keytrail: " << printable(message) << "\n";
  return answer.status == 400 ? kUsage : answer.status == 404 ? kNo : kCannotTell;
}

/// Adds the rows of a further page.
void append(json::object& whole, json::object& page) {
  json::array& rows = whole["rows"].as_array();
  for (json::value& row : page["rows"].as_array())
    rows.push_back(std::move(row));
  for (const char* name : {"coverage", "complete", "cursor", "more"})
    whole[name] = page[name];
}

/// An empty period would be answered "none seen": it is refused instead.
int add_period(const Options& options, World& world, std::vector<std::string>& out) {
  const std::int64_t now = world.now_ns();
  std::int64_t from = 0;
  if (!options.since.empty()) {
    const Result<std::int64_t> since = parse_when(options.since, now, options.local);
    if (!since) return usage(world, "--since: " + since.error().message);
    from = *since;
    if (from > now)
      return usage(world, fmt::format("--since {} is in the future: it is {}", format_when_zone(from, options.local),
                                      format_when_zone(now, options.local)));
    out.push_back("since=" + encode(base::format_rfc3339(from)));
  }
  if (options.until.empty()) return kOk;
  Result<std::int64_t> until = parse_when(options.until, now, options.local);
  if (until && *until <= from && is_time_of_day(options.until))
    until = parse_when(options.until, from + kDay, options.local);
  if (!until) return usage(world, "--until: " + until.error().message);
  if (*until <= from)
    return usage(world, fmt::format("--until {} is not after --since {}", format_when_zone(*until, options.local),
                                    format_when_zone(from, options.local)));
  out.push_back("until=" + encode(base::format_rfc3339(*until)));
  return kOk;
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
  if (serve::looks_like_secret(catalog::Catalog::builtin(), text) ||
      serve::looks_like_secret(catalog::Catalog::builtin(), key))
    return std::unexpected(secret_typed(world));
  if (key.empty()) return std::unexpected(usage(world, "the key ID is empty"));
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
  for (const auto& [name, value] : options.filter) {
    if (serve::looks_like_secret(catalog::Catalog::builtin(), value) && (name == "kind" || name == "evidence"))
      return std::unexpected(secret_typed(world));
    out.push_back(name + "=" + encode(value));
  }
  if (const int wrong = add_period(options, world, out); wrong != kOk) return std::unexpected(wrong);
  return out;
}

int no_answer(const Options& options, World& world, const Error& error) {
  const std::string socket = printable(socket_of(options));
  switch (error.code) {
    case Error::Code::kNotFound:
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
  const Result<Answer> answer =
      world.get(socket, fmt::format("{}{}{}", path, parameters.empty() ? "" : "?", fmt::join(parameters, "&")));
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
    have += array(*page, "rows").size();
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
  if (options.strict && !is_complete(answer)) return kCannotTell;
  if (options.strict && array(answer, "rows").empty()) return kNo;
  return kOk;
}

}  // namespace keytrail::cli
