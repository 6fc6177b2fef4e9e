// SPDX-License-Identifier: Apache-2.0
// Each entry in one line for `catalog list`, with the mark that says how its facts are known.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "agent/catalog/build.h"

namespace keytrail::catalog::source {
namespace {

std::string first(const std::vector<std::string>& kinds) { return kinds.empty() ? std::string() : kinds.front(); }

std::string unseen(const std::vector<std::string>& unverified) {
  return unverified.empty() ? "" : fmt::format("; in no source: {}", fmt::join(unverified, " "));
}

std::string program_text(const ProgramEntry& e) {
  std::string out = fmt::format("{}", fmt::join(e.names, " "));
  if (!e.arguments.empty()) out += fmt::format(", only with {}", fmt::join(e.arguments, " "));
  for (const auto& [on, word] : {std::pair{e.obeys_selectors, "obeys its selectors"},
                                 {e.runtime, "runtime"},
                                 {e.relay, "relay"},
                                 {e.hub, "hub"},
                                 {e.bulk_reader, "reads in bulk"},
                                 {e.helper, "helper"},
                                 {e.late_key, "asks for its key after it connected"},
                                 {!e.environment, "takes no key from its environment"}}) {
    if (on) out += fmt::format("; {}", word);
  }
  if (!e.role.empty()) out += fmt::format(" ({})", e.role);
  if (!e.ports.empty()) out += fmt::format(", ports {}", fmt::join(e.ports, " "));
  return out;
}

std::string arguments_text(const ArgumentsEntry& e) {
  std::vector<std::string_view> flags;
  for (const ArgumentsEntry::Rule& rule : e.rules) {
    if (rule.use >= ArgUse::kHeader && rule.use <= ArgUse::kForm) flags.push_back(rule.flag);
  }
  return fmt::format("{}{}{}: {}", fmt::join(e.names, " "), e.command.empty() ? "" : " ", e.command,
                     fmt::join(flags, " "));
}

std::string endpoint_text(const EndpointEntry& e) {
  const std::vector<std::string>& hosts = e.exact.empty() ? (e.suffix.empty() ? e.domains : e.suffix) : e.exact;
  return fmt::format("{}/{} {}{}{}", e.provider, e.service.empty() ? "*" : e.service, e.exact.empty() ? "below " : "",
                     fmt::join(hosts, " "), unseen(e.unverified));
}

/// What leads to it: variables, schemes of URLs, files by their selector, host names.
std::vector<std::string> named_by(const BindingEntry& e, const Model& m) {
  std::vector<std::string> out;
  for (const EnvEntry& variable : m.env) {
    if (variable.binding == e.id) out.push_back(variable.name);
  }
  for (const std::string& scheme : e.schemes)
    out.push_back(scheme + "://");
  for (const auto* list : {&e.selectors, &e.names})
    out.insert(out.end(), list->begin(), list->end());
  return out;
}

const char* role_text(ReaderRole role) {
  static constexpr std::array<const char*, 7> kRoles = {"owner",     "backup", "scanner", "indexer",
                                                        "assistant", "person", "tool"};
  return kRoles.at(static_cast<std::size_t>(role));
}

}  // namespace

std::vector<ListedLine> lines_of(const Model& m) {
  std::vector<ListedLine> rows;
  const auto line = [&](std::string_view section, std::string_view id, std::string text, std::string verified) {
    rows.push_back({section, id, std::move(text), std::move(verified)});
  };
  for (const auto& e : m.kinds)
    line("kinds", e.id, fmt::format("{}, {}, {}", e.title, to_string(e.key_class), to_string(e.lifetime)), "");
  for (const auto& e : m.proofs)
    line("proofs", e.id, e.text, "");
  for (const auto& e : m.files)
    line("files", e.id, fmt::format("{}{}", fmt::join(e.paths, " "), unseen(e.unverified)), e.verified);
  for (const auto& e : m.env)
    line("env", e.name, fmt::format("{}{}{}", e.provider, e.kinds.empty() ? "" : ", ", first(e.kinds)), e.verified);
  for (const auto& e : m.endpoints)
    line("endpoints", e.id, endpoint_text(e), e.verified);
  for (const auto& e : m.bindings)
    line("bindings", e.id, fmt::format("{}/{} by {}", e.provider, e.service, fmt::join(named_by(e, m), " ")), "");
  for (const auto& e : m.issuers)
    line("issuers", e.id, fmt::format("{} calls", e.actions.size()), e.verified);
  for (const auto* list : {&m.requests, &m.commands, &m.brokers}) {
    const char* section = list == &m.requests ? "requests" : (list == &m.commands ? "commands" : "brokers");
    for (const IssueEntry& e : *list)
      line(section, e.id, fmt::format("{} {}{}: {}", fmt::join(e.hosts, " "), fmt::join(e.paths, ", "), "", e.gives),
           e.verified);
  }
  for (const auto& e : m.metadata)
    line("metadata", e.id, fmt::format("{} {}", e.provider, fmt::join(e.paths, " ")), e.verified);
  for (const auto& e : m.ranges)
    line("ranges", e.provider,
         fmt::format("{} blocks, {}{}", e.blocks.size(), e.date, e.whole ? "" : ", the large ones"), e.verified);
  for (const auto& e : m.sockets)
    line("sockets", e.id, fmt::format("{}", fmt::join(e.paths, " ")), e.verified);
  for (const auto& e : m.programs) {
    if (!e.from_reader) line("programs", e.id, program_text(e), e.verified);
  }
  static constexpr std::array kRoles{"distributor", "switches user", "coding agent", "MCP server"};
  for (const auto& e : m.roles)
    line("roles", e.id,
         fmt::format("{}: {}; {}", e.title, kRoles.at(static_cast<std::size_t>(e.role)),
                     fmt::join(e.names.empty() ? e.inside : e.names, " ")),
         e.verified);
  for (const auto& e : m.interpreters)
    line("interpreters", e.id, fmt::format("{}", fmt::join(e.names, " ")), e.verified);
  for (const auto& e : m.arguments)
    line("arguments", e.id, arguments_text(e), e.verified);
  for (const auto& e : m.carried)
    line("carried", e.name, e.kind, "");
  for (const auto& e : m.readers)
    line("readers", e.id,
         fmt::format("{} of {}: {}", role_text(e.role), fmt::join(e.reads, " "),
                     fmt::join(e.names.empty() ? e.folders : e.names, " ")),
         e.verified);
  for (const auto& e : m.selectors)
    line("selectors", e.id, e.selects, e.verified);
  for (const auto& e : m.formats)
    line("formats", e.id, fmt::format("{}{}", first(e.kinds), e.public_id ? ", public" : ""), e.verified);
  return rows;
}

}  // namespace keytrail::catalog::source
