// SPDX-License-Identifier: Apache-2.0
#include "agent/base/told_path.h"

#include <algorithm>

namespace keytrail::base {
namespace {

/// Whose home a file in it is of: "/root/.kube/config" → "/root"; empty when no part of its path is hidden.
std::string_view home_of(std::string_view path) {
  const std::size_t hidden = path.find("/.");
  return hidden == std::string_view::npos || hidden == 0 ? std::string_view() : path.substr(0, hidden);
}

}  // namespace

std::string straight_path(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(end);
    if (part == "/..") {
      out.resize(out.empty() ? 0 : out.rfind('/'));
    } else if (part != "/." && part != "/") {
      out += part;
    }
  }
  return out;
}

std::string told_path(std::string_view teller, std::string_view written) {
  if (written.starts_with("file://")) written.remove_prefix(7);
  for (const std::string_view home : {"~/", "$HOME/", "${HOME}/", "%d/", "${user.home}/"}) {
    if (!written.starts_with(home)) continue;
    const std::string_view own = home_of(teller);
    return own.empty() ? std::string(written)
                       : straight_path(std::string(own) + "/" + std::string(written.substr(home.size())));
  }
  if (written.starts_with('/')) return straight_path(written);
  return straight_path(std::string(teller.substr(0, teller.rfind('/') + 1)) + std::string(written));
}

}  // namespace keytrail::base
