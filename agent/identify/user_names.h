// SPDX-License-Identifier: Apache-2.0
// User names by number: what the warden found in the node's passwd file, before its first answer what stands in the
// file that this process sees. The file only, never NSS: a directory service may block for seconds, and asking it makes
// connections of the agent's own. Users of a directory are shown by number. Thread: the pipeline's.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace keytrail::identify {

class UserNames {
 public:
  explicit UserNames(std::string passwd_path) : path_(std::move(passwd_path)) {}
  /// The name, else the number in decimal digits. The file is looked at again when it is older than a minute and has
  /// changed.
  [[nodiscard]] const std::string& name(std::uint32_t uid);
  using Names = std::unordered_map<std::uint32_t, std::string>;
  /// The node's users, in place of the file's from now on. False where these are known already.
  bool learn(Names names);

 private:
  void refresh();

  std::string path_;
  Names names_;
  Names numbers_;
  bool told_ = false;
  std::chrono::steady_clock::time_point looked_;
  std::int64_t changed_ns_ = -1;
};

}  // namespace keytrail::identify
