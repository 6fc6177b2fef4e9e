// SPDX-License-Identifier: Apache-2.0
// A /proc and a passwd file in a temporary directory.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace keytrail::identify::test {

class FakeProc {
 public:
  FakeProc() {
    std::string pattern = (std::filesystem::temp_directory_path() / "keytrail-proc-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
    add(1, 0, "init");
    write("passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\ntwin:x:1000:1000::/:/bin/sh\n");
  }
  FakeProc(const FakeProc&) = delete;
  FakeProc& operator=(const FakeProc&) = delete;
  ~FakeProc() {
    std::error_code ignored;
    if (!root_.empty()) std::filesystem::remove_all(root_, ignored);
  }
  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string passwd() const { return root_ + "/passwd"; }

  /// `start_ns` as the kernel has it; /proc shows ticks.
  void add(std::uint32_t tgid, std::uint64_t start_ns, const std::string& comm, std::uint32_t uid = 0,
           const std::string& cgroup = "0::/\n") const {
    const auto ns_per_tick = 1'000'000'000U / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    const std::string folder = std::to_string(tgid) + "/";
    std::filesystem::create_directories(root_ + "/" + folder);
    write(folder + "stat", std::to_string(tgid) + " (" + comm + ") S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 " +
                               std::to_string(start_ns / ns_per_tick) + " 9 9\n");
    const std::string id = std::to_string(uid);
    write(folder + "status", "Name:\tx\nUid:\t77\t" + id + "\t77\t77\nGid:\t66\t" + id + "\t66\t66\n");
    write(folder + "loginuid", "4294967295");
    write(folder + "sessionid", "4294967295");
    write(folder + "cgroup", cgroup);
  }
  void remove(std::uint32_t tgid) const { std::filesystem::remove_all(root_ + "/" + std::to_string(tgid)); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(root_ + "/" + name) << text; }

 private:
  std::string root_;
};

}  // namespace keytrail::identify::test
