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

std::string job(std::string_view project, std::string_view name, std::string_view number) {
  std::string out(project);
  if (!name.empty()) out.append(" ").append(name);
  if (!number.empty()) out.append(" #").append(number);
  if (out.size() > kMaxName) out.resize(kMaxName);
  return out;
}

}  // namespace

std::string ci_job_name(const SharedList<EnvItem>& env) {
  if (env.empty()) return {};
  if (const auto repository = value_of(env, "GITHUB_REPOSITORY"); !repository.empty()) {
    return job(repository, value_of(env, "GITHUB_JOB"), value_of(env, "GITHUB_RUN_ID"));
  }
  if (const auto project = value_of(env, "CI_PROJECT_PATH"); !project.empty()) {
    return job(project, value_of(env, "CI_JOB_NAME"), value_of(env, "CI_JOB_ID"));
  }
  if (const auto tag = value_of(env, "BUILD_TAG"); !tag.empty() && !value_of(env, "JENKINS_URL").empty())
    return job(tag, {}, {});
  return {};
}

}  // namespace keytrail::identify
