// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/inherited.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace keytrail::examine {

base::UniqueFd& InheritedFds::get(std::string_view name) {
  const auto at = std::ranges::find(fds_, name, [](const auto& entry) { return std::string_view(entry.first); });
  if (at != fds_.end()) return at->second;
  none_.reset();
  return none_;
}

InheritedFds parse_inherited_fds(std::string_view text) {
  std::vector<std::pair<std::string, base::UniqueFd>> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    const std::string_view number = entry.substr(equals + 1);
    int fd = -1;
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), fd);
    if (error != std::errc() || stop != number.data() + number.size() || fd < 3) continue;
    const auto same = [&](const auto& known) { return known.second.get() == fd; };
    if (std::ranges::any_of(out, same) || fcntl(fd, F_GETFD) < 0) continue;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    out.emplace_back(std::string(entry.substr(0, equals)), base::UniqueFd(fd));
  }
  return InheritedFds(std::move(out));
}

InheritedFds take_inherited_fds() {
  const char* text = getenv("KEYTRAIL_FDS");
  if (text == nullptr) return {};
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  InheritedFds out = parse_inherited_fds(text);
  unsetenv("KEYTRAIL_FDS");
  return out;
}

}  // namespace keytrail::examine
