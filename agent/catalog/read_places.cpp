// SPDX-License-Identifier: Apache-2.0
// Where keys go and come from: hosts, what they take and give, requests, sockets, programs and readers. YAML to
// source::Model, strict.
#include <array>
#include <string_view>
#include <utility>

#include "agent/catalog/blocks.h"
#include "agent/catalog/fields.h"

namespace keytrail::catalog::source {
namespace {

AcceptEntry read_accept(Fields& f) {
  AcceptEntry a;
  a.kinds = f.list("accepts");
  a.issuers = f.list("issuers");
  a.anonymous = static_cast<Anonymous>(f.choice("anonymous", {"never", "possible", "common"}, 0));
  a.open = f.flag("open", false);
  (void)f.text("note");
  (void)f.verified();
  return a;
}

/// What keys, commands and brokers of the same form have in common.
IssueEntry read_issue(Fields& f) {
  IssueEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds", true);
  e.gives = f.text("gives", true);
  (void)f.text("note");
  e.verified = f.verified();
  return e;
}

}  // namespace

void read_endpoint(Fields& f, Model& model) {
  EndpointEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.service = f.text("service");
  e.exact = f.list("exact");
  e.suffix = f.list("suffix");
  e.regex = f.text("regex");
  e.domains = f.list("domains");
  e.region = f.text("region");
  e.region_default = f.text("region_default");
  e.api = f.text("api");
  e.note = f.text("note");
  e.unverified = f.list("unverified");
  e.verified = f.verified();
  model.endpoints.push_back(std::move(e));
}

void read_issuer(Fields& f, const std::string& file, Model& model, Problems& problems) {
  IssuerEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.requests = f.list("requests");
  (void)f.text("child_id");
  e.hands_out_others = f.flag("hands_out_others", false);
  e.whoami = f.flag("whoami", false);
  for (const YAML::Node& node : f.node("actions")) {
    Fields a(node, file, problems);
    ActionEntry action;
    action.action = a.text("action", true);
    action.takes = a.list("takes", true);
    action.gives = a.list("gives", true);
    action.seldom = a.flag("seldom", false);
    for (const std::string_view said : {"lifetime", "request", "child_id"})
      (void)a.text(said);
    a.finish();
    e.actions.push_back(std::move(action));
  }
  e.verified = f.verified();
  model.issuers.push_back(std::move(e));
}

void read_rule(Fields& f, Model& model) {
  RuleEntry e{.where = f.where()};
  e.endpoints = f.list("endpoints", true);
  e.by_service = f.flag("by_service", false);
  e.accept = read_accept(f);
  model.rules.push_back(std::move(e));
}

void read_service(Fields& f, Model& model) {
  ServiceEntry e{.where = f.where()};
  e.provider = f.text("provider", true);
  e.service = f.text("service", true);
  e.host_regex = f.text("host");
  e.accept = read_accept(f);
  model.services.push_back(std::move(e));
}

void read_binding(Fields& f, Model& model) {
  BindingEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.service = f.text("service", true);
  e.schemes = f.list("schemes");
  e.names = f.list("names");
  e.selectors = f.list("selectors");
  (void)f.text("form");
  (void)f.text("default");
  e.accept = read_accept(f);
  model.bindings.push_back(std::move(e));
}

void read_port(Fields& f, Model& model) {
  PortEntry e{.where = f.where()};
  e.port = f.number("port");
  e.provider = f.text("provider", true);
  e.service = f.text("service", true);
  e.accept = read_accept(f);
  model.ports.push_back(std::move(e));
}

void read_metadata(Fields& f, Model& model) {
  MetadataEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.provider = f.text("provider", true);
  e.kinds = f.list("kinds");
  e.addresses = f.list("addresses");
  e.hosts = f.list("hosts");
  e.paths = f.list("paths", true);
  e.role = f.flag("role", false);
  e.step = f.flag("step", false);
  (void)f.text("note");
  e.verified = f.verified();
  if (e.addresses.empty() && e.hosts.empty()) f.problem(e.where.line, "`" + e.id + "` needs `addresses` or `hosts`");
  model.metadata.push_back(std::move(e));
}

void read_ranges(Fields& f, Model& model) {
  RangesEntry e{.where = f.where()};
  e.provider = f.text("provider", true);
  e.date = f.text("date", true);
  e.whole = f.flag("whole", false);
  e.blocks = f.list("blocks", true);
  (void)f.text("note");
  e.verified = f.verified();
  for (const std::string& block : e.blocks) {
    if (!parse_block(block)) f.problem(e.where.line, "`" + e.provider + "`: `" + block + "` is no block of addresses");
  }
  model.ranges.push_back(std::move(e));
}

void read_socket(Fields& f, Model& model) {
  SocketEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.use = static_cast<SocketUse>(f.choice("use", {"harmless", "broker"}, 0, true));
  e.kinds = f.list("kinds");
  e.paths = f.list("paths", true);
  (void)f.text("note");
  e.verified = f.verified();
  model.sockets.push_back(std::move(e));
}

void read_request(Fields& f, Model& model) {
  IssueEntry e = read_issue(f);
  e.hosts = f.list("hosts", true);
  e.paths = f.list("paths", true);
  model.requests.push_back(std::move(e));
}

void read_command(Fields& f, Model& model) {
  IssueEntry e = read_issue(f);
  e.paths = f.list("commands", true);
  model.commands.push_back(std::move(e));
}

void read_broker(Fields& f, Model& model) {
  IssueEntry e = read_issue(f);
  e.hosts = f.list("names");
  for (const char* where : {"addresses", "env", "paths"}) {
    for (std::string& one : f.list(where))
      e.paths.push_back(std::move(one));
  }
  if (e.hosts.empty() && e.paths.empty())
    f.problem(e.where.line, "`" + e.id + "` needs one of: names, addresses, env, paths");
  model.brokers.push_back(std::move(e));
}

void read_program(Fields& f, Model& model) {
  ProgramEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.names = f.list("names", true);
  e.arguments = f.list("arguments");
  e.kinds = f.list("kinds");
  e.own = f.list("own");
  e.script = f.flag("script", false);
  e.obeys_selectors = f.flag("obeys_selectors", false);
  e.runtime = f.flag("runtime", false);
  e.relay = f.flag("relay", false);
  e.hub = f.flag("hub", false);
  e.bulk_reader = f.flag("bulk_reader", false);
  e.helper = f.flag("helper", false);
  e.late_key = f.flag("late_key", false);
  e.environment = f.flag("environment", true);
  e.role = f.text("role");
  e.ends_tls = static_cast<Often>(f.choice("ends_tls", {"never", "sometimes", "always"}, 1));
  e.adds_key = static_cast<Often>(f.choice("adds_key", {"never", "sometimes", "always"}, 1));
  e.ports = f.numbers("ports");
  (void)f.text("note");
  e.verified = f.verified();
  if (!e.own.empty() && !e.hub)
    f.problem(e.where.line, "`" + e.id + "`: only a hub has `own` kinds among others' keys");
  model.programs.push_back(std::move(e));
}

void read_role(Fields& f, Model& model) {
  RoleEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.role = static_cast<ProgramRole>(
      f.choice("role", {"distributor", "switches_user", "coding_agent", "mcp_server"}, 0, true));
  e.title = f.text("title", true);
  e.names = f.list("names");
  e.inside = f.list("inside");
  e.own = f.list("own");
  (void)f.text("note");
  e.verified = f.verified();
  if (e.names.empty() && e.inside.empty()) f.problem(e.where.line, "`" + e.id + "` needs `names` or `inside`");
  if (!e.own.empty() && e.role != ProgramRole::kDistributor)
    f.problem(e.where.line, "`" + e.id + "`: only a distributor has `own` kinds");
  for (const std::string& part : e.inside) {
    if (part.size() < 5 || part.front() != '/' || part.find_first_of("*?") != std::string::npos)
      f.problem(e.where.line, "`" + e.id + "`: `" + part + "` must be a part of a path that begins with '/'");
  }
  model.roles.push_back(std::move(e));
}

void read_interpreter(Fields& f, Model& model) {
  InterpreterEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.names = f.list("names", true);
  e.letters = f.text("letters");
  e.next = f.text("next");
  e.valued = f.text("valued");
  e.joined = f.text("joined");
  e.equals = f.flag("equals", false);
  for (const auto& [key, does] : {std::pair{"flags", ScriptWord::kFlag},
                                  {"values", ScriptWord::kValued},
                                  {"runs", ScriptWord::kRuns},
                                  {"last", ScriptWord::kLast},
                                  {"none", ScriptWord::kNoScript}}) {
    for (std::string& word : f.list(key))
      e.words.push_back({std::move(word), does});
  }
  (void)f.text("note");
  e.verified = f.verified();
  // The kernel side knows it by the 15 characters of its thread's name.
  for (const std::string& name : e.names) {
    if (name.size() > 15 || name.find_first_of("0123456789./*") != std::string::npos)
      f.problem(e.where.line,
                "`" + e.id + "`: `" + name + "` must be a name without its version, 15 characters at most");
  }
  for (const InterpreterEntry::Word& word : e.words) {
    if (word.word.empty() || word.word.contains('='))
      f.problem(e.where.line, "`" + e.id + "`: `" + word.word + "` must be a word without its value");
  }
  model.interpreters.push_back(std::move(e));
}

void read_reader(Fields& f, Model& model) {
  ReaderEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.role = static_cast<ReaderRole>(
      f.choice("role", {"owner", "backup", "scanner", "indexer", "assistant", "person", "tool"}, 0, true));
  e.names = f.list("names");
  e.folders = f.list("folders");
  e.reads = f.list("reads", true);
  (void)f.text("note");
  e.verified = f.verified();
  if (e.names.empty() == e.folders.empty())
    f.problem(e.where.line, "`" + e.id + "` needs `names` or `folders`, not both");
  model.readers.push_back(std::move(e));
}

void read_arguments(Fields& f, Model& model) {
  static constexpr std::array<std::pair<std::string_view, ArgUse>, 19> kUses = {{{"others", ArgUse::kOther},
                                                                                 {"urls", ArgUse::kUrl},
                                                                                 {"headers", ArgUse::kHeader},
                                                                                 {"logins", ArgUse::kLogin},
                                                                                 {"tokens", ArgUse::kToken},
                                                                                 {"passwords", ArgUse::kPassword},
                                                                                 {"forms", ArgUse::kForm},
                                                                                 {"users", ArgUse::kUser},
                                                                                 {"hosts", ArgUse::kHost},
                                                                                 {"ports", ArgUse::kPort},
                                                                                 {"signed", ArgUse::kSigned},
                                                                                 {"proxies", ArgUse::kProxy},
                                                                                 {"proxy_logins", ArgUse::kProxyLogin},
                                                                                 {"cookies", ArgUse::kCookie},
                                                                                 {"ids", ArgUse::kKeyId},
                                                                                 {"settings", ArgUse::kSetting},
                                                                                 {"stored", ArgUse::kStored},
                                                                                 {"rest", ArgUse::kRest},
                                                                                 {"auth_types", ArgUse::kAuthType}}};
  ArgumentsEntry e{.where = f.where()};
  e.id = f.text("id", true);
  e.names = f.list("names", true);
  e.command = f.text("command");
  e.token = f.text("token");
  e.password = f.text("password");
  e.address = f.text("address");
  for (const auto& [key, use] : kUses) {
    for (std::string& flag : f.list(key)) {
      const bool joined = flag.ends_with('=');
      if (joined) flag.pop_back();
      if (flag.starts_with("WORD"))
        flag.erase(0, 4);  // words that belong to no flag: all, or the n-th behind the command
      e.rules.push_back({std::move(flag), use, joined});
    }
  }
  (void)f.text("note");
  e.verified = f.verified();
  model.arguments.push_back(std::move(e));
}

void read_carried(Fields& f, Model& model) {
  CarriedEntry e{.where = f.where()};
  e.name = f.text("name", true);
  e.kind = f.text("kind", true);
  model.carried.push_back(std::move(e));
}

void add_bulk_readers(Model& model) {
  for (const ReaderEntry& reader : model.readers) {
    if (reader.role != ReaderRole::kBackup && reader.role != ReaderRole::kScanner &&
        reader.role != ReaderRole::kIndexer)
      continue;
    ProgramEntry program{.where = reader.where};
    program.id = reader.id;
    program.names = reader.names;
    program.folders = reader.folders;
    program.script = program.bulk_reader = program.from_reader = true;
    model.programs.push_back(std::move(program));
  }
}

}  // namespace keytrail::catalog::source
