// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kShortLife = 5'000'000'000;
constexpr std::uint64_t kFirstDelay = 250'000'000;
constexpr std::uint64_t kLongestDelay = 5'000'000'000;

bool inherited(std::string_view variable) {
  for (const std::string_view ours :
       {"LD_", "GLIBC_", "GCONV_", "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_", "KEYTRAIL_FDS=", "OPENSSL_"}) {
    if (variable.starts_with(ours)) return false;
  }
  return true;
}

std::vector<std::string> environment_of(const Spawn& what) {
  std::vector<std::string> out;
  for (char** at = environ; *at != nullptr; ++at) {
    if (inherited(*at)) out.emplace_back(*at);
  }
  for (const auto& [name, value] : what.environment)
    out.emplace_back(name).append("=").append(value);
  std::string fds = "KEYTRAIL_FDS=";
  for (const auto& [name, fd] : what.descriptors)
    fds.append(fds.back() == '=' ? "" : ",").append(name).append("=").append(std::to_string(fd));
  out.push_back(fds);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts)
    out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void child_main(const Spawn& what, char* const* arguments, char* const* environment) {
  setpgid(0, 0);  // Ctrl-C reaches the warden alone, which ends its children in order
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  for (const auto& [name, fd] : what.descriptors)
    fcntl(fd, F_SETFD, 0);
  if (what.before_exec && !what.before_exec()) _exit(126);
  execve(what.path.c_str(), arguments, environment);
  _exit(127);
}

}  // namespace

Result<pid_t> spawn(const Spawn& what) {
  std::vector<std::string> argument_texts = what.arguments;
  std::vector<std::string> environment_texts = environment_of(what);
  const std::vector<char*> arguments = pointers(argument_texts);
  const std::vector<char*> environment = pointers(environment_texts);
  const pid_t pid = fork();
  if (pid < 0) return fail(Error::Code::kSystem, "Cannot start " + what.path + ": fork: " + strerror(errno) + ".");
  if (pid == 0) child_main(what, arguments.data(), environment.data());
  return pid;
}

std::uint64_t Backoff::ended(std::uint64_t life_ns) {
  short_lives_ = life_ns < kShortLife ? short_lives_ + 1 : 0;
  if (short_lives_ <= 2) return 0;
  return std::min(kLongestDelay, kFirstDelay << std::min(short_lives_ - 3, 8U));
}

}  // namespace keytrail::warden
