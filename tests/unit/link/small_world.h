// SPDX-License-Identifier: Apache-2.0
// A process, its keys and what it calls, made by hand for the tables of link's pure functions. No events: see scene.h
// for those.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/link/destinations.h"
#include "agent/link/instance.h"
#include "scene.h"

namespace keytrail::link {

inline constexpr std::uint64_t kStarted = 100, kRead = 150, kConnected = 200, kUsed = 300;

/// A program seen from its first argument to its last variable.
inline Instance instance_of(const Program& program) {
  auto process = std::make_shared<Process>();
  process->exe = program.exe;
  process->filename = program.filename;
  process->env = program.env;
  process->args = program.args;
  Instance out;
  out.id = {10, 10, 1};
  out.process = std::move(process);
  out.program = catalog::Catalog::builtin().match_program(program.exe, program.filename);
  out.doubts = Doubts::of_new_program(kStarted, true, true);
  return out;
}

inline Held held(const KeyFact& fact, From from, const std::string& place, How how = How::kDirect) {
  auto what = std::make_shared<HeldKey>();
  what->key = fact.key;
  what->slot = {from, place, from == From::kFile ? fact.selector : std::string()};
  what->since_ns = kRead;
  what->selector_hash = fact.selector_hash;
  what->host = fact.host;
  what->current = fact.current;
  const catalog::File* entry = from == From::kFile ? catalog::Catalog::builtin().match_file(place) : nullptr;
  if (entry != nullptr) what->selector_rule = entry->selector;
  return Held{std::move(what), how};
}
inline Held from_file(const KeyFact& fact, How how = How::kDirect) {
  return held(fact, From::kFile, kCredentials, how);
}
inline Held from_variable(const KeyFact& fact) { return held(fact, From::kEnvironment, "AWS_ACCESS_KEY_ID"); }

inline PayloadEvent hello(const std::string& name, PayloadEvent::Protocol protocol = PayloadEvent::Protocol::kTls) {
  PayloadEvent out;
  out.protocol = name.empty() ? PayloadEvent::Protocol::kOther : protocol;
  out.name = name;
  return out;
}

inline Resolved resolved(const Instance& caller, const PayloadEvent& payload, const SocketAddress& remote = ip(1)) {
  Names names(8, 60);
  const bool tunnel = payload.protocol == PayloadEvent::Protocol::kHttpConnect;
  const Called called{remote, 1, false, kUsed, tunnel ? nullptr : &payload, tunnel ? &payload : nullptr};
  return resolve(called, caller, names, catalog::Catalog::builtin());
}

}  // namespace keytrail::link
