// SPDX-License-Identifier: Apache-2.0
// The CI job that a process says it runs in, from its initial environment: claimed by whoever set the variables. Pure;
// any thread.
#pragma once

#include <string>

#include "keytrail/process.h"

namespace keytrail::identify {

/// "acme/shop deploy", or empty; never the number of the run. GitHub Actions (GITHUB_REPOSITORY, GITHUB_JOB), GitLab
/// (CI_PROJECT_PATH, CI_JOB_NAME), Jenkins (BUILD_TAG, with JENKINS_URL). At most 200 bytes.
[[nodiscard]] std::string ci_job_name(const SharedList<EnvItem>& env);

}  // namespace keytrail::identify
