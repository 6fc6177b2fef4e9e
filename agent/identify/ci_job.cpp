// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/ci_job.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxName = 200;

/// The variables of one CI system. Each part is optional but `repository`.
struct System {
  const char* name;
  const char* needs;       ///< a variable that nobody else sets; or null
  const char* owner;       ///< of the repository, where a variable of its own says it; or null
  const char* repository;  ///< the repository, else what the system calls a project
  const char* pipeline;
  const char* job;
  const char* run;
  bool is_repository = true;  ///< false: `repository` is the pipeline's name, and no repository is said
};
constexpr System kSystems[] = {
    // docs.github.com: default environment variables
    {"github", nullptr, nullptr, "GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_JOB", "GITHUB_RUN_ID"},
    // docs.gitlab.com: predefined CI/CD variables
    {"gitlab", nullptr, nullptr, "CI_PROJECT_PATH", nullptr, "CI_JOB_NAME", "CI_PIPELINE_ID"},
    // buildkite.com/docs: environment variables
    {"buildkite", nullptr, "BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_PIPELINE_SLUG", "BUILDKITE_PIPELINE_SLUG",
     "BUILDKITE_STEP_KEY", "BUILDKITE_BUILD_NUMBER", false},
    // circleci.com/docs: project values and variables
    {"circleci", nullptr, "CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME", nullptr, "CIRCLE_JOB",
     "CIRCLE_BUILD_NUM"},
    // learn.microsoft.com: predefined variables of Azure Pipelines
    {"azure", "BUILD_DEFINITIONNAME", nullptr, "BUILD_REPOSITORY_NAME", "BUILD_DEFINITIONNAME", "AGENT_JOBNAME",
     "BUILD_BUILDID"},
    // argo-workflows: environment variables of the executor. Tekton sets none: its labels are the pod's.
    {"argo", nullptr, nullptr, "ARGO_WORKFLOW_NAME", "ARGO_WORKFLOW_NAME", "ARGO_CONTAINER_NAME", "ARGO_NODE_ID",
     false},
};

std::string_view value_of(const SharedList<EnvItem>& env, const char* name) {
  if (name == nullptr) return {};
  const auto it = std::find_if(env.begin(), env.end(), [&](const EnvItem& item) { return item.name == name; });
  return it == env.end() ? std::string_view() : std::string_view(it->value);
}

std::string joined(std::string_view a, std::string_view between, std::string_view b) {
  std::string out(a);
  if (!a.empty() && !b.empty()) out += between;
  out += b;
  if (out.size() > kMaxName) out.resize(kMaxName);
  return out;
}

/// "jenkins-shop-12" → "jenkins-shop", "12".
std::pair<std::string_view, std::string_view> split_number(std::string_view tag) {
  const std::size_t last = tag.find_last_not_of("0123456789");
  if (last == std::string_view::npos || last == 0 || last + 1 == tag.size() || tag[last] != '-') return {tag, {}};
  return {tag.substr(0, last), tag.substr(last + 1)};
}

class Facts {
 public:
  Facts& add(const char* name, std::string_view value) {
    if (!value.empty()) facts_.push_back({name, std::string(value.substr(0, kMaxName)), KnownBy::kClaimed});
    return *this;
  }
  [[nodiscard]] std::vector<Fact> done() { return std::move(facts_); }

 private:
  std::vector<Fact> facts_;
};

}  // namespace

std::vector<Fact> ci_job_facts(const SharedList<EnvItem>& env) {
  if (env.empty()) return {};
  for (const System& one : kSystems) {
    const std::string_view repository = value_of(env, one.repository);
    if (repository.empty() || (one.needs != nullptr && value_of(env, one.needs).empty())) continue;
    const std::string whole = joined(value_of(env, one.owner), "/", repository);
    const std::string_view pipeline = value_of(env, one.pipeline), job = value_of(env, one.job);
    return Facts()
        .add(fact::kCiJob, joined(whole, " ", job))
        .add(fact::kCiSystem, one.name)
        .add(fact::kVcsRepository, one.is_repository ? std::string_view(whole) : std::string_view())
        .add(fact::kCiPipeline, pipeline)
        .add(fact::kCiTask, job)
        .add(fact::kCiRun, value_of(env, one.run))
        .done();
  }
  const std::string_view tag = value_of(env, "BUILD_TAG");
  if (tag.empty() || value_of(env, "JENKINS_URL").empty()) return {};
  const auto [job, run] = split_number(tag);
  return Facts()
      .add(fact::kCiJob, job)
      .add(fact::kCiSystem, "jenkins")
      .add(fact::kCiPipeline, job)
      .add(fact::kCiRun, run)
      .done();
}

}  // namespace keytrail::identify
