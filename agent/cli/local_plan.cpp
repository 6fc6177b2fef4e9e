// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/local_plan.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "agent/base/fd.h"
#include "keytrail/hooks_wire.h"

namespace keytrail::cli {
namespace {

/// The program's exit status and what it wrote on descriptors 1 (out) and 2 (err); -1 when it could not be started.
int run(const std::vector<std::string>& words, std::string& out, std::string& err) {
  std::array<std::array<int, 2>, 2> pipes{};
  std::array<base::UniqueFd, 2> ours, theirs;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (std::size_t i = 0; i < 2; ++i) {
    if (::pipe2(pipes[i].data(), O_CLOEXEC) != 0) return -1;
    ours[i].reset(pipes[i][0]);
    theirs[i].reset(pipes[i][1]);
    posix_spawn_file_actions_adddup2(&actions, pipes[i][1], static_cast<int>(i) + 1);
  }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return -1;
  for (std::size_t i = 0; i < 2; ++i) {  // one after the other: neither text is as long as a pipe
    theirs[i].reset();
    std::array<char, 4096> buffer;
    for (ssize_t n = 0; (n = ::read(ours[i].get(), buffer.data(), buffer.size())) > 0 || (n < 0 && errno == EINTR);) {
      if (n > 0) (i == 0 ? out : err).append(buffer.data(), static_cast<std::size_t>(n));
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace

Result<std::vector<HookReport>> local_plan(const std::string& config) {
  if (::geteuid() != 0)
    return fail(Error::Code::kRefused, "How the hooks would be armed can be tried by root only: sudo keytrail doctor");
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::vector<std::string> words{self.parent_path() / "keytrail-warden", "--plan"};
  if (!std::filesystem::exists(words[0], error))
    return fail(Error::Code::kNotFound,
                "How the hooks would be armed is tried by keytrail-warden, which is not beside this program.");
  if (!config.empty()) words.insert(words.end(), {"--config", std::filesystem::absolute(config, error)});
  std::string out, err;
  const int status = run(words, out, err);
  std::vector<HookReport> plan = reports_from_text(out);
  if (status == 0 && !plan.empty()) return plan;
  const std::string_view last = std::string_view(err).substr(0, err.find_last_not_of('\n') + 1);
  return fail(Error::Code::kSystem,
              "How the hooks would be armed is not known: " + std::string(last.substr(last.rfind('\n') + 1)));
}

}  // namespace keytrail::cli
