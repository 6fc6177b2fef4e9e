// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/identify/ci_job.h"
#include "agent/identify/workload_resolver.h"
#include "tests/unit/identify/fake_proc.h"

namespace keytrail::identify {
namespace {

struct WorkloadTest : testing::Test {
  test::FakeProc files;
  WorkloadResolver resolver{files.passwd()};
  const std::string id = std::string(62, 'c') + "12";

  static SharedList<EnvItem> env(std::initializer_list<std::pair<const char*, const char*>> pairs) {
    std::vector<EnvItem> out;
    for (const auto& [name, value] : pairs)
      out.push_back({.name = name, .value = value});
    return out;
  }
};

TEST_F(WorkloadTest, UnitIsNamedAfterItself) {
  const auto workload = resolver.resolve({.uid = 1000, .login_uid = 0}, "/system.slice/backup.service");
  EXPECT_EQ(workload->name, "backup.service");
  EXPECT_EQ(workload->unit, "backup.service");
  EXPECT_EQ(workload->user, "alice");
  EXPECT_EQ(workload->login_user, "root");
  EXPECT_EQ(workload->cgroup, "/system.slice/backup.service");
}

TEST_F(WorkloadTest, UsersUnitSaysWhose) {
  const auto workload = resolver.resolve({.uid = 1000}, "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service");
  EXPECT_EQ(workload->name, "alice/sync.service");
  EXPECT_EQ(workload->known_by, KnownBy::kClaimed);
}

TEST_F(WorkloadTest, SessionIsThePersonWhoLoggedInEvenAsRoot) {
  const auto workload = resolver.resolve({.uid = 0, .login_uid = 1000}, "/user.slice/user-1000.slice/session-3.scope");
  EXPECT_EQ(workload->kind, WorkloadKind::kLoginSession);
  EXPECT_EQ(workload->name, "person: alice");
  EXPECT_EQ(workload->user, "root");
  EXPECT_EQ(resolver.resolve({.uid = 0}, "/user.slice/user-1000.slice/session-3.scope")->name, "person: alice");
}

TEST_F(WorkloadTest, PodAndContainerAreNamedByTheirIds) {
  const std::string pod = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
  const auto workload = resolver.resolve({.uid = 1000}, "/kubepods/pod" + pod + "/" + id);
  EXPECT_EQ(workload->name, "pod: " + pod + "/cccccccccccc");
  EXPECT_EQ(workload->container_id, id);
  EXPECT_EQ(workload->user, "1000");  // the node's alice is not the image's user 1000
  EXPECT_EQ(resolver.resolve({}, "/docker/" + id)->name, "container: cccccccccccc");
  EXPECT_EQ(resolver.resolve({}, "/default/web1")->container_id, "");
}

TEST_F(WorkloadTest, WithoutAnythingItIsThePersonOrTheProgram) {
  EXPECT_EQ(resolver.resolve({.exe = "/usr/sbin/cron", .comm = "fake"}, "/")->name, "host: cron");
  EXPECT_EQ(resolver.resolve({.exe = "/usr/sbin/cron", .login_uid = 1000}, "/")->name, "person: alice");
  EXPECT_EQ(resolver.resolve({.exe = "/usr/sbin/cron"}, "/")->known_by, KnownBy::kKernel);
  const auto unknown = resolver.resolve({.comm = "kubelet"}, "");
  EXPECT_EQ(unknown->name, "host: kubelet");
  EXPECT_EQ(unknown->known_by, KnownBy::kClaimed);
}

TEST_F(WorkloadTest, ScriptIsNamedNotItsInterpreter) {
  EXPECT_EQ(resolver.resolve({.exe = "/usr/bin/python3.11", .filename = "/usr/bin/aws"}, "/")->name, "host: aws");
}

TEST_F(WorkloadTest, CiJobsAreClaimed) {
  const auto workload = resolver.resolve(
      {.env = env({{"GITHUB_REPOSITORY", "acme/shop"}, {"GITHUB_JOB", "deploy"}, {"GITHUB_RUN_ID", "4412"}})}, "/docker/" + id);
  EXPECT_EQ(workload->kind, WorkloadKind::kCiJob);
  EXPECT_EQ(workload->known_by, KnownBy::kClaimed);
  EXPECT_EQ(workload->name, "ci: acme/shop deploy #4412");
  EXPECT_EQ(workload->container_id, id);
  EXPECT_EQ(ci_job_name(env({{"CI_PROJECT_PATH", "g/p"}, {"CI_JOB_ID", "7"}})), "ci: g/p #7");
  EXPECT_EQ(ci_job_name(env({{"JENKINS_URL", "http://j"}, {"BUILD_TAG", "jenkins-x-1"}})), "ci: jenkins-x-1");
  EXPECT_EQ(ci_job_name(env({{"BUILD_TAG", "jenkins-x-1"}})), "");
  EXPECT_LE(ci_job_name(env({{"GITHUB_REPOSITORY", std::string(256, 'a').c_str()}})).size(), 200U);
}

TEST_F(WorkloadTest, EqualWorkloadsAreOneObject) {
  EXPECT_EQ(resolver.resolve({.exe = "/a"}, "/system.slice/x.service"), resolver.resolve({.exe = "/b"}, "/system.slice/x.service"));
  EXPECT_NE(resolver.resolve({.exe = "/a"}, "/"), resolver.resolve({.exe = "/b"}, "/"));
  EXPECT_NE(resolver.resolve({.uid = 1}, "/system.slice/x.service"), resolver.resolve({.uid = 2}, "/system.slice/x.service"));
}

TEST_F(WorkloadTest, FirstNameOfAUserWinsAndUnknownOnesAreNumbers) {
  UserNames users(files.passwd());
  EXPECT_EQ(users.name(1000), "alice");
  EXPECT_EQ(users.name(4242), "4242");
  EXPECT_EQ(UserNames("/nonexistent").name(0), "0");
  files.write("nameless", ":x:1001:1001::/:/bin/sh\n");
  EXPECT_EQ(UserNames(files.root() + "/nameless").name(1001), "1001");
}

}  // namespace
}  // namespace keytrail::identify
