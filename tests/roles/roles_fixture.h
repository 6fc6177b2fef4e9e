// SPDX-License-Identifier: Apache-2.0
// What the tests of the roles share: a directory with the programs, a warden in it, what its worker wrote.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "agent/warden/files.h"

namespace keytrail::warden {

namespace fs = std::filesystem;
using Ms = std::chrono::milliseconds;

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

template <typename Condition>
bool within(Ms patience, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    usleep(10'000);
  }
  return condition();
}

class RolesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    char pattern[] = "/tmp/keytrail-roles-XXXXXX";
    dir_ = mkdtemp(pattern);
    chmod(dir_.c_str(), 0777);
    // The worker's user must reach its program wherever the build lies.
    fs::create_directory(dir_ + "/bin");
    for (const char* name :
         {"roles_worker", "roles_examiner", "roles_warden", "roles_hostile_worker", "roles_hostile_examiner"})
      fs::copy_file(std::string(ROLES_BIN "/") + name, dir_ + "/bin/" + name);
  }
  void TearDown() override {
    if (warden_ > 0) stop();
    if (!dir_.empty()) fs::remove_all(dir_);
  }

  pid_t start(std::vector<std::string> more = {}, const std::string& log = "log") {
    std::vector<std::string> arguments{dir_ + "/bin/roles_warden",
                                       "--state-dir",
                                       dir_ + "/state",
                                       "--run-dir",
                                       dir_ + "/run",
                                       "--worker",
                                       dir_ + "/bin/" + worker_,
                                       "--examiner",
                                       dir_ + "/bin/" + examiner_,
                                       "--user",
                                       "nobody"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const pid_t pid = fork();
    if (pid == 0) {
      setenv("KEYTRAIL_TEST_OUT", out().c_str(), 1);
      setenv("KEYTRAIL_TEST_ASK", ask_.c_str(), 1);
      const int file = open((dir_ + "/" + log).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      dup2(file, 1);
      dup2(file, 2);
      std::vector<char*> argv;
      for (std::string& text : arguments)
        argv.push_back(text.data());
      argv.push_back(nullptr);
      if (before_exec_) before_exec_();
      execv(argv[0], argv.data());
      _exit(127);
    }
    return pid;
  }
  void run() {
    warden_ = start();
    ASSERT_TRUE(within(Ms(5000), [&] { return said("worker pid="); })) << slurp(dir_ + "/log");
  }
  int stop() {
    kill(warden_, SIGTERM);
    int status = 0;
    waitpid(std::exchange(warden_, -1), &status, 0);
    return status;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  }
  std::string out() const { return dir_ + "/out"; }
  bool said(const std::string& text, int times = 1) const {
    const std::string all = slurp(out());
    for (std::size_t at = 0; (at = all.find(text, at)) != std::string::npos; ++at) {
      if (--times == 0) return true;
    }
    return false;
  }
  /// The warden's child whose program is this one; 0 when there is none.
  pid_t child(const std::string& program) const {
    std::istringstream children(
        slurp("/proc/" + std::to_string(warden_) + "/task/" + std::to_string(warden_) + "/children"));
    for (pid_t pid = 0; children >> pid;) {
      std::error_code error;
      if (fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).filename() == program) return pid;
    }
    return 0;
  }
  static std::string status_line(pid_t pid, const std::string& name) {
    std::istringstream status(slurp("/proc/" + std::to_string(pid) + "/status"));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(name + ":")) return line.substr(name.size() + 1);
    }
    return {};
  }

  /// Nothing of the secret stays in any role's memory; what the worker was told is found there.
  void expect_nowhere(const std::string& secret, const std::string& told) const {
    for (const char* program : {"roles_worker", "roles_examiner", "roles_warden"}) {
      const pid_t pid = std::string_view(program) == "roles_warden" ? warden_ : child(program);
      ASSERT_GT(pid, 0) << program;
      std::istringstream maps(slurp("/proc/" + std::to_string(pid) + "/maps"));
      bool sees_the_id = false;
      std::ifstream memory("/proc/" + std::to_string(pid) + "/mem", std::ios::binary);
      for (std::string line; std::getline(maps, line);) {
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
        char permissions[5] = {};
        if (sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, permissions) != 3 || permissions[0] != 'r' ||
            line.ends_with("[vvar]"))
          continue;
        std::string bytes(end - begin, '\0');
        memory.clear();
        memory.seekg(static_cast<std::streamoff>(begin));
        memory.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        EXPECT_EQ(bytes.find(secret), std::string::npos) << program << " " << line;
        sees_the_id = sees_the_id || bytes.find(told) != std::string::npos;
      }
      if (std::string_view(program) == "roles_worker") EXPECT_TRUE(sees_the_id) << "the scan itself does not work";
    }
  }

  std::string dir_;
  std::string ask_;
  std::string worker_ = "roles_worker", examiner_ = "roles_examiner";  ///< their programs
  pid_t warden_ = -1;
  std::function<void()> before_exec_;  ///< in the warden's process
};

}  // namespace keytrail::warden
