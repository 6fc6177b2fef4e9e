// SPDX-License-Identifier: Apache-2.0
// The CI job that a process says it runs in, from its initial environment: claimed by whoever set the variables. Pure;
// any thread.
#pragma once

#include <vector>

#include "keytrail/process.h"

namespace keytrail::identify {

/// kCiJob ("acme/shop deploy"; never the number of the run) and what is said beside it: the system, the repository, the
/// pipeline, the job in it, the run; all claimed, values of at most 200 bytes. Empty: it says nothing of a job. GitHub
/// Actions, GitLab, Buildkite, CircleCI, Azure Pipelines, Argo Workflows, Jenkins.
[[nodiscard]] std::vector<Fact> ci_job_facts(const SharedList<EnvItem>& env);

}  // namespace keytrail::identify
