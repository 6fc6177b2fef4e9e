// SPDX-License-Identifier: Apache-2.0
// An examiner for link's tests: answers from what a test put there, when the test says so.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "keytrail/examiner.h"

namespace keytrail::link {

inline const std::string kHosts = "/etc/hosts";

inline std::string in_mount_ns(std::uint32_t mnt_ns, const std::string& path) {
  return std::to_string(mnt_ns) + ":" + path;
}

/// Answers at once from `files`, unless told to hold the answers back.
struct FakeExaminer : Examiner {
  struct Waiting {
    ExamineRequest request;
    std::function<void(ExamineAnswer)> done;
  };
  /// By path, or by in_mount_ns(): a mount namespace's own file under that path.
  std::map<std::string, FileAnswer> files;
  std::map<std::uint32_t, EnvironmentAnswer> environments;
  std::map<std::uint32_t, ArgumentsAnswer> arguments;
  bool hold = false;
  bool hold_hosts = false;
  std::size_t hosts_asked = 0;
  std::deque<Waiting> waiting;
  std::vector<ExamineRequest> asked;

  void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) override {
    const auto* file = std::get_if<FileQuestion>(&request.question);
    if (file != nullptr && file->path == kHosts) ++hosts_asked;
    // Most cases are of names that nothing bears out, and not of how that is found.
    if (file != nullptr && file->path == kHosts && !hold_hosts) return done(answer_for(request));
    asked.push_back(request);
    waiting.push_back({std::move(request), std::move(done)});
  }
  ExamineAnswer answer_for(const ExamineRequest& request) {
    const auto* question = std::get_if<FileQuestion>(&request.question);
    if (std::holds_alternative<ArgumentsQuestion>(request.question)) return arguments[request.reach.who.tgid];
    if (question == nullptr) return environments[request.reach.who.tgid];
    const std::string own = in_mount_ns(request.reach.mnt_ns, question->path);
    FileAnswer answer = files[files.contains(own) ? own : question->path];
    if (answer.file.inode == 0) answer.file = question->file;
    if (question->look) answer.unchanged = answer.file == question->file;
    return answer;
  }
  void answer_all() {
    while (!waiting.empty()) {
      Waiting one = std::move(waiting.front());
      waiting.pop_front();
      one.done(answer_for(one.request));
    }
  }
};

}  // namespace keytrail::link
