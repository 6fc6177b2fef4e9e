// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/user_names.h"

#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <memory>
#include <utility>

namespace keytrail::identify {
namespace {

constexpr auto kTtl = std::chrono::minutes(1);
constexpr std::size_t kMaxUsers = 100'000;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

const std::string& UserNames::name(std::uint32_t uid) {
  if (const auto now = std::chrono::steady_clock::now();
      !told_ && (looked_ == std::chrono::steady_clock::time_point{} || now - looked_ > kTtl)) {
    looked_ = now;
    refresh();
  }
  if (const auto it = names_.find(uid); it != names_.end()) return it->second;
  if (numbers_.size() > kMaxUsers) numbers_.clear();
  return numbers_.try_emplace(uid, std::to_string(uid)).first->second;
}

bool UserNames::learn(Names names) {
  told_ = true;
  if (names == names_) return false;
  names_ = std::move(names);
  return true;
}

void UserNames::refresh() {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return;  // keep what is known
  const std::int64_t changed = static_cast<std::int64_t>(now.st_ctim.tv_sec) * 1'000'000'000 + now.st_ctim.tv_nsec;
  if (changed == changed_ns_) return;
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path_.c_str(), "re"));
  if (!file) return;
  changed_ns_ = changed;
  names_.clear();
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  while (names_.size() < kMaxUsers && ::fgetpwent_r(file.get(), &entry, buffer.data(), buffer.size(), &found) == 0) {
    if (entry.pw_name[0] != '\0')
      names_.try_emplace(entry.pw_uid, entry.pw_name);  // the first of several names wins, as in getpwuid
  }
}

}  // namespace keytrail::identify
