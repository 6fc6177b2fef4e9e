// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/ci_job.h"

#include <string_view>

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxName = 200;

std::string_view value_of(const SharedList<EnvItem>& env, std::string_view name) {
  for (const EnvItem& item : env) {
    if (item.name == name) return item.value;
  }
  return {};
}

std::string job(std::string_view project, std::string_view name) {
  std::string out(project);
  if (!name.empty()) out.append(" ").append(name);
  if (out.size() > kMaxName) out.resize(kMaxName);
  return out;
}

/// "jenkins-shop-12" without what its build adds: "jenkins-shop".
std::string_view without_number(std::string_view tag) {
  const std::size_t last = tag.find_last_not_of("0123456789");
  if (last == std::string_view::npos || last == 0 || last + 1 == tag.size() || tag[last] != '-') return tag;
  return tag.substr(0, last);
}

}  // namespace

std::string ci_job_name(const SharedList<EnvItem>& env) {
  if (env.empty()) return {};
  if (const auto repository = value_of(env, "GITHUB_REPOSITORY"); !repository.empty()) {
    return job(repository, value_of(env, "GITHUB_JOB"));
  }
  if (const auto project = value_of(env, "CI_PROJECT_PATH"); !project.empty()) {
    return job(project, value_of(env, "CI_JOB_NAME"));
  }
  if (const auto tag = value_of(env, "BUILD_TAG"); !tag.empty() && !value_of(env, "JENKINS_URL").empty())
    return job(without_number(tag), {});
  return {};
}

}  // namespace keytrail::identify
