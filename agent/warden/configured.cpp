// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/configured.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "agent/base/fd.h"
#include "agent/warden/child.h"
#include "agent/warden/server.h"

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kPatience = 5'000'000'000;
constexpr std::size_t kMaxNames = 64, kMaxName = 64;

/// Everything until the end of the pipe, as far as there is room for; false after kPatience.
bool read_all(int pipe, std::string& out) {
  const std::uint64_t deadline = boot_ns() + kPatience;
  std::array<char, 1024> buffer;
  for (std::uint64_t now = boot_ns(); now < deadline; now = boot_ns()) {
    pollfd ready{pipe, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>((deadline - now) / 1'000'000) + 1) < 0 && errno != EINTR) return false;
    if (ready.revents == 0) continue;
    const ssize_t n = read(pipe, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
    if (out.size() < kMaxNames * (kMaxName + 1)) out.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return false;
}

}  // namespace

std::vector<std::string> read_names(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty() && out.size() < kMaxNames) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (!line.empty()) out.emplace_back(line.substr(0, kMaxName));
    text.remove_prefix(line.size() == text.size() ? text.size() : line.size() + 1);
  }
  return out;
}

Result<std::vector<std::string>> configured_off(const Options& options, const User& worker) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Error::Code::kSystem, std::string("pipe: ") + strerror(errno));
  const base::UniqueFd ours(ends[0]);
  base::UniqueFd theirs(ends[1]);
  Spawn what{.path = options.worker,
             .arguments = {"keytrail", "agent", "--list-disabled-hooks"},
             .environment = {},
             .descriptors = {},
             .before_exec = [&] { return dup2(theirs.get(), STDOUT_FILENO) >= 0 && become_worker(worker); }};
  if (!options.config.empty()) what.arguments.insert(what.arguments.end(), {"--config", options.config});
  const Result<pid_t> pid = spawn(what);
  if (!pid) return std::unexpected(pid.error());
  theirs.reset();
  std::string text;
  const bool whole = read_all(ours.get(), text);
  if (!whole) kill(*pid, SIGKILL);
  int status = 0;
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (whole && WIFEXITED(status) && WEXITSTATUS(status) == 0) return read_names(text);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
    return fail(Error::Code::kInvalid, "The configuration is refused: see above.");
  return fail(Error::Code::kSystem, "hooks.disable of the configuration could not be read: every hook is armed.");
}

}  // namespace keytrail::warden
