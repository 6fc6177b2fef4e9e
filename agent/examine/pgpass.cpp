// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's password file: host:port:database:user:password, with \: and \\ (libpq, "The Password File").
#include <array>

#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

constexpr std::size_t kFields = 5;

/// The part up to the next bare colon, unescaped in the scratch memory; `last`: to the end.
std::string_view next_field(std::string_view& line, bool last, Arena& scratch) {
  const std::span<char> out = scratch.take(line.size() + 1);
  if (out.empty()) return {};
  std::size_t n = 0;
  std::size_t at = 0;
  for (; at < line.size() && (last || line[at] != ':'); ++at) {
    if (line[at] == '\\' && at + 1 < line.size() && (line[at + 1] == ':' || line[at + 1] == '\\')) ++at;
    out[n++] = line[at];
  }
  line.remove_prefix(std::min(at + 1, line.size()));
  return {out.data(), n};
}

}  // namespace

role::Unread pgpass(std::string_view bytes, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  std::size_t sound = 0;
  for_each_line(bytes, [&](std::string_view line) {
    if (trimmed(line).empty() || line.front() == '#') return;
    if (std::ranges::count(line, ':') < 4 || line.size() > 1024) return work.skip();
    std::string_view rest = line;
    std::array<std::string_view, kFields> field{};
    for (std::size_t i = 0; i < kFields; ++i)
      field[i] = next_field(rest, i + 1 == kFields, work.scratch());
    const auto& [host, port, database, user, password] = field;
    if (password.empty()) return work.skip();
    ++sound;
    const std::string where = host == "*"   ? std::string()
                              : port == "*" ? std::string(host)
                                            : std::string(host) + ":" + std::string(port);
    const std::string selector =
        std::string(host).append(":").append(port).append(":").append(database).append(":").append(user);
    work.at({.selector = selector, .host = where, .login = user == "*" ? std::string_view() : user});
    if (!add_credential(password, true, work)) work.skip();
    work.at({});
  });
  return sound > 0 || work.found().skipped == 0 ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
