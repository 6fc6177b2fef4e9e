// SPDX-License-Identifier: Apache-2.0
// What the text of a session (Actor::session) says, taken apart: "exec, login 17 by ssh from 192.0.2.7 on pts/3, as
// root by sudo, postgres by su, agent claude code, distributor Terraform, namespaces of NAME". Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace keytrail::base {

/// By which way it came in: all before the parts that begin with a word of their own.
[[nodiscard]] inline std::string_view session_way(std::string_view session) {
  for (const std::string_view word : {"as ", "agent ", "distributor ", "namespaces of "}) {
    if (session.starts_with(word)) return {};
    session = session.substr(0, session.find(", " + std::string(word)));
  }
  return session;
}

/// What follows a word: "as " (with all its steps), "agent ", "distributor "; "" where it is not there.
[[nodiscard]] inline std::string_view session_part(std::string_view session, std::string_view word) {
  session = session.substr(0, session.find("namespaces of "));  // a name of somebody's choice
  std::size_t at = session.starts_with(word) ? 0 : session.find(", " + std::string(word));
  if (at == session.npos) return {};
  if (at != 0) at += 2;
  session.remove_prefix(at + word.size());
  for (const std::string_view next : {", agent ", ", distributor "})
    session = session.substr(0, session.find(next));
  return session.substr(0, session.find_last_not_of(", ") + 1);
}

}  // namespace keytrail::base
