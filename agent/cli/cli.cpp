// SPDX-License-Identifier: Apache-2.0
// The only file that includes CLI11.
#include "agent/cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>

#include "agent/base/log.h"
#include "agent/base/nearest.h"
#include "agent/catalog/secret_guard.h"
#include "agent/cli/commands.h"
#include "agent/cli/completion.h"
#include "agent/cli/question.h"
#include "agent/cli/table.h"
#include "agent/cli/terminal.h"
#include "agent/judge/rule.h"
#include "keytrail/evidence.h"
#include "keytrail/row.h"

namespace keytrail::cli {
namespace {

using Run = int (*)(const Options&, World&);

/// The parser and what the chosen command will do.
class Parser {
 public:
  explicit Parser(std::vector<ExtraCommand> extra) : extra_(std::move(extra)) {
    app_.set_version_flag("--version", "keytrail " KEYTRAIL_VERSION);
    app_.require_subcommand(1);
    app_.get_formatter()->column_width(34);
    for (const ExtraCommand& command : extra_) {
      CLI::App* sub = app_.add_subcommand(command.name, command.description);
      sub->footer("Example: keytrail " + command.name);
      if (command.options) command.options(*sub);
      sub->callback([this, &command] { run_ = [&command](World&) { return command.run(); }; });
    }
    questions();
    details();
    local_commands();
    app_.footer(
        "Example: keytrail uses AKIAIOSFODNN7EXAMPLE --since 2h\n"
        "Times: 2h, 30m, yesterday, 14:02, '2026-03-09 14:02' (UTC). Lists: oldest first; ? = not visible, - = none.\n"
        "Exit: 0 answered or clear, 1 a check says no, 2 usage, 3 cannot tell, 4 no agent, 5 refused,\n"
        "      6 a --wait was over before it was done.");
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  CLI::App& app() { return app_; }
  int run(World& world) { return run_ ? run_(world) : static_cast<int>(kUsage); }

 private:
  CLI::App* command(CLI::App& parent, const std::string& name, const std::string& description, Run run,
                    const std::string& example, bool asks_agent = true) {
    CLI::App* sub = parent.add_subcommand(name, description);
    sub->footer("Example: keytrail " + example);
    sub->add_option("-o,--output", options_.output, "table, wide, json, jsonl or yaml")
        ->check(one_of(values_of("output")));
    sub->add_option("--config", options_.config, "configuration file");
    sub->add_option("--color", options_.color, "auto, always or never; auto: on a terminal, unless NO_COLOR is set")
        ->check(one_of(values_of("color")));
    if (asks_agent) {
      sub->add_option("--socket", options_.socket, "the agent's socket");
      sub->add_flag("--local", options_.local, "times in local time, not UTC");
      sub->add_flag("--strict", options_.strict, "exit 3 when incomplete, 1 when empty");
    }
    sub->callback([this, run, asks_agent] {
      run_ = [this, run, asks_agent](World& world) {
        if (options_.color != "auto") world.colour = options_.color == "always";
        const int wrong = asks_agent ? check_named_config(options_, world) : static_cast<int>(kOk);
        return wrong == kOk ? run(options_, world) : wrong;
      };
    });
    return sub;
  }

  /// A word of a closed list; the error names the nearest.
  static CLI::Validator one_of(std::vector<std::string> words) {
    return {[words = std::move(words)](std::string& given) {
              if (std::ranges::find(words, given) != words.end()) return std::string();
              const std::vector<std::string_view> known(words.begin(), words.end());
              const std::string_view meant = base::nearest(given, known);
              return fmt::format("must be one of {}{}", fmt::join(words, ", "),
                                 meant.empty() ? "" : fmt::format("; did you mean {}?", meant));
            },
            ""};
  }

  void filter(CLI::App* sub, const std::string& flag, const std::string& parameter, const std::string& description) {
    sub->add_option_function<std::string>(
        flag, [this, parameter](const std::string& value) { options_.filter[parameter] = value; }, description);
  }

  void period(CLI::App* sub) {
    sub->add_option("--since", options_.since, "from this time on");
    sub->add_option("--until", options_.until, "before this time");
  }

  void list(CLI::App* sub, bool with_key) {
    period(sub);
    sub->add_option("--limit", options_.limit, "rows at most")->check(CLI::Range(1, 1'000'000));
    about(sub, with_key);
  }

  void about(CLI::App* sub, bool with_key) {
    filter(sub, "--workload", "workload",
           "NAMESPACE/NAME; pod, deploy, sts, ds, job, cronjob, sa/[NAMESPACE/]NAME; unit, user, ci, image, "
           "container, team/NAME; an id; a name as shown; * at the end: any end");
    if (with_key) {
      auto* positional = sub->add_option("KEY", options_.key, "key ID: AKIA…, fp:…");
      sub->add_option("--key", options_.key, "the same")->excludes(positional);
      filter(sub, "--kind", "kind", "kind of key, like aws.access_key");
      filter(sub, "--lifetime", "lifetime", "keys that are long-lived, short-lived or unknown");
      sub->add_flag("--no-chain", options_.no_chain, "without keys issued from it");
    }
  }

  void ignore_quiet(CLI::App* sub) {
    sub->add_flag_function(
        "--ignore-quiet", [this](std::int64_t) { options_.filter["quiet"] = "false"; },
        "leave out processes older than the agent (or not seen whole) that connected to nobody since");
  }

  void use_filters(CLI::App* sub) {
    filter(sub, "--pid", "pid", "process id");
    filter(sub, "--host", "host", "destination host");
    filter(sub, "--provider", "provider", "destination's provider, like aws");
    filter(sub, "--service", "service", "destination's service, like s3");
    filter(sub, "--evidence", "evidence", "confirmed, inferred, possible or unattributed");
  }

  void questions() {
    command(app_, "status", "state of the agent and its loss accounting", run_status, "status -o wide")
        ->add_option(
            "--probe", options_.probe,
            "an orchestrator's question, exit 0 or 1: ready (it is armed, at least in part), live (and signs of "
            "life come through all hooks that are armed)")
        ->check(CLI::IsMember({"ready", "live"}));
    command(app_, "doctor", "what can be seen on this machine, and what is missing", run_doctor, "doctor");
    CLI::App* uses = command(app_, "uses", "who used which key, when, for what", run_uses,
                             "uses AKIAIOSFODNN7EXAMPLE --since 2h --service s3");
    list(uses, true);
    use_filters(uses);
    CLI::App* keys = command(app_, "keys", "the keys of this node or of a workload", run_keys,
                             "keys --workload 'payments/*' --kind aws.access_key");
    list(keys, true);
    filter(keys, "--pid", "pid", "process id");
    keys->footer(
        "Example: keytrail keys --workload 'payments/*' --kind aws.access_key\n"
        "Had it none for 30 days? keytrail keys --workload payments/api --lifetime long-lived --since 30d\n"
        "With --workload and --lifetime: exit 0 it had none, 1 it had one, 3 cannot tell (incomplete, or a key of\n"
        "unknown lifetime). Encryption keys and certificates are listed, and do not count.");
    CLI::App* workloads = command(app_, "workloads", "who has keys, how many, how busy", run_workloads, "workloads");
    list(workloads, false);
    workloads
        ->add_option_function<std::string>(
            "--explain",
            [this](const std::string& value) {
              options_.filter["workload"] = value;
              options_.explain = true;
            },
            "why this one is named so: every fact, how it is known, which one counts")
        ->excludes("--workload");
    workloads->footer("Example: keytrail workloads --explain payments/api");
    CLI::App* findings = command(app_, "findings", "what somebody should look at", run_findings,
                                 "findings --type old_key_in_use --since yesterday");
    list(findings, true);
    filter(findings, "--type", "finding_type", "type of finding");
  }

  void details() {
    CLI::App* key = command(app_, "key", "one key: its holders, readers, copies and uses", run_key,
                            "key AKIAIOSFODNN7EXAMPLE --holders");
    key->add_option("KEY", options_.key, "key ID")->required();
    key->add_flag("--no-chain", options_.no_chain, "without keys issued from it");
    period(key);
    ignore_quiet(key);
    key->footer(
        "Example: keytrail key AKIAIOSFODNN7EXAMPLE --holders\n"
        "--holders asks about now and takes no period. Exit: 0 clear, 1 somebody has it, 3 cannot tell.");
    auto* holders = key->add_flag("--holders", options_.holders, "who still has it; exit 1 when somebody has");
    auto* readers =
        key->add_flag("--readers", options_.readers, "who took it, where from, how often")->excludes(holders);
    key->add_flag("--copies", options_.copies, "where else it lives")->excludes(holders)->excludes(readers);
    CLI::App* rotation =
        command(app_, "rotation", "how far a rotation has come, and what holds it up", run_rotation, "");
    rotation->add_option("OLD NEW", options_.words, "key IDs: the one that is to go, the one that takes its place")
        ->expected(0, 8);
    rotation->add_option("--wait", options_.wait, "until it is done, at most so long (30m, 2h); exit 6 when it is not");
    ignore_quiet(rotation);
    rotation->footer(
        "Example: keytrail rotation AKIAIOSFODNN7EXAMPLE AKIAI44QH8DHBEXAMPLE --wait 30m\n"
        "Exit: 0 nobody holds the old key and every process that may was seen whole, 1 somebody holds it,\n"
        "3 cannot tell or a key was never seen here, 6 the time of --wait is over.");
    CLI::App* watch = command(app_, "watch", "the live trail: a line for each acquisition, use and finding", run_watch,
                              "watch --workload 'payments/*' --unusual");
    about(watch, true);
    use_filters(watch);
    filter(watch, "--kinds", "kinds", "list of acquisition, use, finding, gap, revision");
    watch->add_option("--until", options_.until, "end then: 30s, 10m (from now on), 14:02, '2026-03-09 14:02'");
    watch->add_flag("--unusual", options_.unusual, "without reads by the programs a file is for (by their names)");
    watch->add_option("--count", options_.count, "end after so many rows")->check(CLI::Range(1, 1'000'000'000));
    CLI::App* explain = command(app_, "explain", "what the evidence of a use rests on", run_explain, "explain 17");
    explain->add_option("SEQ", options_.words, "[use] sequence number")->required()->expected(1, 2);
  }

  void local_commands() {
    CLI::App* catalog = app_.add_subcommand("catalog", "what Keytrail knows of keys and destinations");
    catalog->require_subcommand(1);
    catalog->footer("Example: keytrail catalog match AWS_PROFILE");
    CLI::App* match = command(*catalog, "match", "what a path, variable, host, kind or key ID is to the agent",
                              run_catalog_match, "catalog match ~/.aws/credentials", false);
    match->add_option("TEXT", options_.words, "/path, NAME, host, host/request/path, kind")->required()->expected(1);
    command(*catalog, "list", "all entries, and how each is known", run_catalog_list, "catalog list endpoints", false)
        ->add_option("SECTION", options_.words, "only this section: kinds, files, env, endpoints, …")
        ->expected(0, 1);
    command(*catalog, "check", "are a site's own entries correct?", run_catalog_check, "catalog check ./site.yaml",
            false)
        ->add_option("FILE", options_.words, "file or folder to check; default: the agent's catalog.d")
        ->expected(0, 1);
    CLI::App* config = app_.add_subcommand("config", "the configuration file");
    config->require_subcommand(1);
    config->footer("Example: keytrail config check ./keytrail.yaml");
    command(*config, "check", "is it correct?", run_config_check, "config check ./keytrail.yaml", false)
        ->add_option("FILE", options_.words, "file to check")
        ->expected(0, 1);
    command(*config, "show", "every setting as it is now, without secrets", run_config_show, "config show", false);
    CLI::App* completion = app_.add_subcommand("completion", "completions for a shell");
    completion->footer("Example: source <(keytrail completion bash)");
    completion->add_option("SHELL", shell_, "bash, zsh or fish; keys, workloads: what the others ask for")
        ->required()
        ->check(one_of({"bash", "zsh", "fish", "keys", "workloads"}));
    completion->callback([this] {
      run_ = [this](World& world) {
        if (shell_ == "keys") return run_key_words(options_, world);
        if (shell_ == "workloads") return run_workload_words(options_, world);
        world.out << completion_script(shell_, command_words());
        return static_cast<int>(kOk);
      };
    });
  }

  /// What may stand after an option.
  static std::vector<std::string> values_of(const std::string& option) {
    const catalog::Catalog& known = catalog::Catalog::builtin();
    const auto listed = [](const auto& words) { return std::vector<std::string>(words.begin(), words.end()); };
    if (option == "provider") return listed(known.words(catalog::Vocabulary::kProviders));
    if (option == "service") return listed(known.words(catalog::Vocabulary::kServices));
    if (option == "kind") return listed(known.words(catalog::Vocabulary::kKinds));
    if (option == "lifetime") return {"long-lived", "short-lived", "unknown"};
    if (option == "evidence") return listed(all_words<Evidence>());
    if (option == "kinds") return listed(all_words<RowKind>());
    if (option == "output") return {"table", "wide", "json", "jsonl", "yaml"};
    if (option == "color") return {"auto", "always", "never"};
    if (option == "since" || option == "until") return {"10m", "2h", "1d", "today", "yesterday"};
    if (option == "wait") return {"10m", "30m", "2h"};
    std::vector<std::string> types;
    if (option == "type") {
      for (const base::FindingType& one : judge::finding_types())
        types.emplace_back(one.type);
    }
    return types;
  }

  std::vector<CommandWords> command_words() {
    std::vector<CommandWords> out;
    for (const CLI::App* sub : app_.get_subcommands({})) {
      CommandWords words{sub->get_name(), sub->get_description(), {}, {}};
      for (const CLI::App* inner : sub->get_subcommands({}))
        words.words.push_back(inner->get_name());
      words.takes_key = sub->get_option_no_throw("KEY") != nullptr || sub->get_name() == "rotation";
      for (const CLI::Option* option : sub->get_options()) {
        if (option->get_group().empty()) continue;  // not for people
        for (const std::string& name : option->get_lnames()) {
          words.words.push_back("--" + name);
          if (auto values = values_of(name); !values.empty()) words.values.emplace("--" + name, std::move(values));
        }
        for (const std::string& name : option->get_snames())
          words.words.push_back("-" + name);
      }
      out.push_back(std::move(words));
    }
    return out;
  }

  CLI::App app_{"Keytrail: who used which key, when, and for what."};
  std::vector<ExtraCommand> extra_;
  Options options_;
  std::string shell_;
  std::function<int(World&)> run_;
};

/// "there is no command …", with the one that was meant: a typing error, or an option's name.
std::string no_command(const CLI::App& app, const CLI::App& parent, const std::string& name, const std::string& word) {
  std::vector<std::string_view> known;
  for (const CLI::App* sub : parent.get_subcommands({}))
    known.push_back(sub->get_name());
  std::string out = fmt::format("there is no command {} {}", name, word);
  if (const std::string_view meant = base::nearest(word, known); !meant.empty())
    return fmt::format("{}; did you mean {}?", out, meant);
  const std::string option = "--" + word;
  for (const CLI::App* sub : app.get_subcommands({})) {
    if (sub->get_option_no_throw(option) != nullptr)
      return fmt::format("{}; keytrail {} has an option {}", out, sub->get_name(), option);
  }
  return out;
}

/// "there is no option …", with the one that was meant, or the command that has it.
std::string no_option(const CLI::App& app, const CLI::App& parent, const std::string& name, const std::string& word) {
  const std::string option = word.substr(0, word.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* one : parent.get_options()) {
    for (const std::string& known : one->get_lnames())
      names.push_back("--" + known);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  std::string out = fmt::format("{} has no option {}", name, option);
  if (parent.get_name() == "watch" && option == "--since")
    return out + "; it shows what comes. What was: keytrail uses " + option;
  if (option == "--from" || option == "--to")  // as a report has them
    return out + (parent.get_option_no_throw("--since") == nullptr ? ""
                  : option == "--from"                             ? "; did you mean --since?"
                                                                   : "; did you mean --until?");
  if (const std::string_view meant = base::nearest(option, known); !meant.empty())
    return fmt::format("{}; did you mean {}?", out, meant);
  for (const CLI::App* sub : app.get_subcommands({})) {
    if (&parent == &app && sub->get_option_no_throw(option) != nullptr)
      return fmt::format("{}; options stand behind the command: keytrail {} {}", out, sub->get_name(), option);
  }
  return out;
}

/// The help of the command that was typed, as wide as the terminal.
std::string help_text(const CLI::App& app) {
  const std::size_t width = terminal_width();
  if (width == 0) return app.help();
  std::string out;
  std::istringstream lines(app.help());
  for (std::string line; std::getline(lines, line);) {
    if (display_width(line) <= width) {
      out += line + "\n";
      continue;
    }
    // A description stands in the second column.
    const std::size_t text = line.find_first_not_of(' ');
    const std::size_t gap = line.find("   ", text),
                      column = gap == std::string::npos ? text : line.find_first_not_of(' ', gap);
    const std::size_t indent = column + 20 > width ? text : column;
    const std::string head = line.substr(0, indent);
    bool first = true;
    for (const std::string& part : wrapped(line.substr(indent), width - indent)) {
      out += (first ? head : std::string(indent, ' ')) + part + "\n";
      first = false;
    }
  }
  return out;
}

/// An empty word is a variable that is not set, as in `uses "$KEY"`; without it everything would be answered.
bool has_empty_word(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).find_first_not_of(" \t\r\n") != std::string_view::npos) continue;
    const std::string_view before = i > 1 ? argv[i - 1] : "";
    std::cerr << "keytrail: the " << (before.starts_with("--") ? "value of " + base::printable(before) : "word")
              << " is empty. Is a variable not set?\n";
    return true;
  }
  return false;
}

/// The first word that looks like an option and is none of `app`'s; empty: each is one.
std::string unknown_option(const CLI::App& app, int first, int argc, char** argv) {
  for (int i = first; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") break;
    if (word.size() > 1 && word[0] == '-' && app.get_option_no_throw(word.substr(0, word.find('='))) == nullptr)
      return word;
  }
  return {};
}

/// The parser repeats what was typed: not when a secret was.
int usage_error(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (catalog::looks_like_secret(catalog::Catalog::builtin(), argv[i])) {
      std::cerr << "keytrail: " << catalog::kSecretTyped
                << ". It was not sent or stored, but it is in your shell history.\n";
      return kUsage;
    }
  }
  std::string name = "keytrail";
  const CLI::App* deepest = &app;
  int depth = 1;
  for (; !deepest->get_subcommands().empty(); ++depth) {
    deepest = deepest->get_subcommands()[0];
    name += " " + deepest->get_name();
  }
  std::string what = error.what();
  if (depth < argc && argv[depth][0] != '-' && !deepest->get_subcommands({}).empty())
    what = no_command(app, *deepest, name, argv[depth]);
  else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
           (depth < argc && !deepest->get_subcommands({}).empty())) {
    const CLI::App* at = argv[1][0] == '-' ? &app : deepest;
    if (const std::string word = unknown_option(*at, at == &app ? 1 : depth, argc, argv); !word.empty())
      what = no_option(app, *at, at == &app ? "keytrail" : name, word);
  }
  std::cerr << "keytrail: " << base::printable(what) << "\nTry: " << name << " --help\n";
  return kUsage;
}

}  // namespace

int run_cli(int argc, char** argv, std::vector<ExtraCommand> extra) try {
  base::init_log("keytrail", "warn");
  if (has_empty_word(argc, argv)) return kUsage;
  std::string help = "--help";
  std::vector<char*> words(argv, argv + argc);
  if (argc > 1 && std::string_view(argv[1]) == "help") {  // help uses: uses --help
    words.erase(words.begin() + 1);
    words.push_back(help.data());
    argv = words.data();
  }
  Parser parser(std::move(extra));
  try {
    parser.app().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool no_command = parser.app().get_subcommands().empty() && argc > 1 && argv[1][0] != '-';
    if (dynamic_cast<const CLI::CallForHelp*>(&error) != nullptr && !no_command) {
      std::cout << help_text(parser.app()) << std::flush;
      return kOk;
    }
    if (error.get_exit_code() == 0 && !no_command) return parser.app().exit(error);  // --version
    return usage_error(parser.app(), error, argc, argv);
  }
  World world = real_world(std::cout, std::cerr);
  return parser.run(world);
} catch (const std::exception& error) {
  std::cerr << "keytrail: internal error: " << base::printable(error.what()) << "\n";
  return kCannotTell;
}

}  // namespace keytrail::cli
