// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/identify/ci_job.h"
#include "agent/identify/workload_resolver.h"
#include "tests/unit/identify/fake_proc.h"

namespace keytrail::identify {
namespace {

struct WorkloadTest : testing::Test {
  test::FakeProc files;
  WorkloadTable table{64, [this] { return now; }};
  WorkloadResolver resolver{files.passwd(), table};
  std::int64_t now = 1000;
  const std::string id = std::string(62, 'c') + "12";
  const std::string pod = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

  static SharedList<EnvItem> env(std::initializer_list<std::pair<const char*, const char*>> pairs) {
    std::vector<EnvItem> out;
    for (const auto& [name, value] : pairs)
      out.push_back({.name = name, .value = value});
    return out;
  }
  Process resolve(Process process, const std::string& cgroup) {
    resolver.resolve(process, cgroup);
    return process;
  }
  std::string id_of(Process process, const std::string& cgroup) {
    return resolve(std::move(process), cgroup).workload->id;
  }
  std::string name_of(Process process, const std::string& cgroup) {
    return resolve(std::move(process), cgroup).workload->name;
  }
};

TEST_F(WorkloadTest, UnitIsNamedAfterItself) {
  const Process process = resolve({.uid = 1000, .login_uid = 0}, "/system.slice/backup.service");
  EXPECT_EQ(process.workload->id, "unit:backup.service");
  EXPECT_EQ(process.workload->name, "backup.service");
  EXPECT_EQ(process.workload->value(fact::kUnit), "backup.service");
  EXPECT_EQ(process.workload->value(fact::kCgroup), "/system.slice/backup.service");
  EXPECT_EQ(process.account->user, "alice");
  EXPECT_EQ(process.account->login_user, "root");
}

TEST_F(WorkloadTest, UsersUnitSaysWhoseAndIsNeverTakenForRoots) {
  const auto workload =
      resolve({.uid = 1000}, "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service").workload;
  EXPECT_EQ(workload->name, "alice/sync.service");
  EXPECT_EQ(workload->known_by, KnownBy::kClaimed);
  EXPECT_NE(workload->id, id_of({}, "/system.slice/sync.service"));
  const std::string own = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope";
  EXPECT_NE(id_of({}, own), id_of({}, "/machine.slice/libpod-" + id + ".scope"));
}

TEST_F(WorkloadTest, WhatADelegateNamedIsShownWithItsOwnerAndIsOnlyClaimed) {
  Process process{.exe = "/bin/sh", .uid = 1000};
  resolver.resolve(process, "/alice.slice/sshd.service", {.claimed = 1, .owner = 1000});
  EXPECT_EQ(process.workload->id, "unit:1000/sshd.service");
  EXPECT_EQ(process.workload->name, "alice/sshd.service");
  EXPECT_EQ(process.workload->known_by, KnownBy::kClaimed);
  EXPECT_NE(process.workload->id, id_of({}, "/system.slice/sshd.service"));
}

TEST_F(WorkloadTest, WhatProcSaysOfACgroupIsClaimedUntilTheKernelBearsItOut) {
  Process process{.exe = "/bin/sh"};
  resolver.resolve(process, "/kubepods/pod" + pod + "/" + id, {.known = false});
  EXPECT_EQ(process.workload->id, "pod:" + pod + "/" + id);
  EXPECT_EQ(process.workload->find(fact::kPodUid)->known_by, KnownBy::kClaimed);
  resolver.resolve(process, "/kubepods/pod" + pod + "/" + id);
  EXPECT_EQ(process.workload->find(fact::kPodUid)->known_by, KnownBy::kKernel);
  resolver.resolve(process, "/kubepods/pod" + pod + "/" + id, {.known = false});
  EXPECT_EQ(process.workload->find(fact::kPodUid)->known_by, KnownBy::kKernel) << "and stays borne out";
}

TEST_F(WorkloadTest, SessionIsThePersonWhoLoggedInEvenAsRoot) {
  const Process process = resolve({.uid = 0, .login_uid = 1000}, "/user.slice/user-1000.slice/session-3.scope");
  EXPECT_EQ(process.workload->kind, WorkloadKind::kLoginSession);
  EXPECT_EQ(process.workload->name, "person: alice");
  EXPECT_EQ(process.account->user, "root");
  const Process unset = resolve({.uid = 0}, "/user.slice/user-1000.slice/session-3.scope");
  EXPECT_EQ(unset.workload->name, "person: alice");
  EXPECT_EQ(unset.account->login_user, "alice");
}

TEST_F(WorkloadTest, SessionsScopesAndDesktopProgramsOfAPersonAreOneWorkload) {
  const std::string user = "/user.slice/user-1000.slice/";
  const std::string person = id_of({}, user + "session-3.scope");
  EXPECT_EQ(id_of({.exe = "/usr/bin/python3"}, user + "session-4.scope"), person);
  EXPECT_EQ(id_of({}, user + "user@1000.service/app.slice/app-gnome-firefox-4711.scope"), person);
  EXPECT_EQ(id_of({.exe = "/usr/bin/python3", .login_uid = 1000}, "/"), person);
}

TEST_F(WorkloadTest, PodAndContainerAreNamedByTheirIds) {
  const Process process = resolve({.uid = 1000}, "/kubepods/pod" + pod + "/" + id);
  EXPECT_EQ(process.workload->id, "pod:" + pod + "/" + id);
  EXPECT_EQ(process.workload->name, "pod: " + pod + "/cccccccccccc");
  EXPECT_EQ(process.workload->value(fact::kContainerId), id);
  EXPECT_EQ(process.account->user, "1000");  // the node's alice is not the image's user 1000
  EXPECT_EQ(name_of({}, "/docker/" + id), "container: cccccccccccc");
  EXPECT_EQ(name_of({}, "/default/web1"), "container: web1");
}

TEST_F(WorkloadTest, WhatRunsInAContainerIsNeverTakenForWhatRootsRuntimeMade) {
  const std::string node(64, 'd'), inner = "/kubepods/pod" + pod + "/" + id;
  const auto nested = resolve({}, "/docker/" + node + inner).workload;
  EXPECT_EQ(nested->id, "pod:" + pod + "/" + node + "/" + id);
  EXPECT_NE(nested->id, id_of({}, inner));
  EXPECT_EQ(nested->name, "pod: " + pod + "/cccccccccccc in container dddddddddddd");
  EXPECT_EQ(nested->known_by, KnownBy::kClaimed);
  EXPECT_EQ(nested->value(fact::kOuterContainer), node);
  EXPECT_EQ(nested->find(fact::kOuterContainer)->known_by, KnownBy::kKernel);
  EXPECT_EQ(nested->value(fact::kCgroup), "/docker/" + node + inner);
  const auto built = resolve({}, inner + "/docker/" + node).workload;
  EXPECT_EQ(built->id, "container:" + id + "/" + node);
  EXPECT_EQ(built->value(fact::kOuterPod), pod);
  EXPECT_EQ(id_of({}, "/lxc.payload.web"), "container:lxc/web");
  // A container that is called like a user's number names no container of that user.
  EXPECT_EQ(id_of({}, "/lxc.payload.1000/docker/" + id), "container:lxc/1000/" + id);
  EXPECT_NE(id_of({}, "/lxc.payload.1000/docker/" + id),
            id_of({}, "/user.slice/user-1000.slice/user@1000.service/docker-" + id + ".scope"));
  EXPECT_EQ(id_of({}, "/machine.slice/systemd-nspawn@web.service/payload"), "container:nspawn/web");
  EXPECT_EQ(id_of({}, "/default/web"), "container:web");
  Process process;
  resolver.resolve(process, "/lxc.payload.web/docker/" + id, {.known = false});
  EXPECT_EQ(process.workload->find(fact::kOuterContainer)->known_by, KnownBy::kClaimed) << "by a path of /proc";
}

TEST_F(WorkloadTest, AUnitThatStartsAContainerStaysTheUnit) {
  const std::string unit = "/system.slice/web.service", other(64, 'd');
  const auto first = resolve({}, unit + "/supervisor").workload;
  const auto web = resolve({}, unit + "/libpod-payload-" + id).workload;
  EXPECT_EQ(web->id, first->id);
  EXPECT_EQ(web->name, "web.service");
  EXPECT_EQ(web->known_by, KnownBy::kKernel);
  ASSERT_NE(web->find(fact::kContainerId), nullptr) << "a fact that came later";
  EXPECT_EQ(web->find(fact::kContainerId)->known_by, KnownBy::kClaimed);
  EXPECT_EQ(web->value(fact::kCgroup), unit);
  const auto again = resolve({}, unit + "/libpod-payload-" + other).workload;
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(again->value(fact::kContainerId), other) << "started anew";
}

TEST_F(WorkloadTest, CgroupFactEndsWhereTheWorkloadDoes) {
  EXPECT_EQ(resolve({}, "/docker/" + id + "/init.scope").workload->value(fact::kCgroup), "/docker/" + id);
  EXPECT_EQ(resolve({}, "/system.slice/a.service/payload/x").workload->value(fact::kCgroup), "/system.slice/a.service");
}

TEST_F(WorkloadTest, WithoutAnythingItIsThePersonOrTheProgram) {
  EXPECT_EQ(name_of({.exe = "/usr/sbin/cron", .comm = "fake"}, "/"), "host: cron");
  EXPECT_EQ(name_of({.exe = "/usr/sbin/cron", .login_uid = 1000}, "/"), "person: alice");
  EXPECT_EQ(resolve({.exe = "/usr/sbin/cron"}, "/").workload->known_by, KnownBy::kKernel);
  const auto unknown = resolve({.comm = "kubelet"}, "").workload;
  EXPECT_EQ(unknown->name, "host: kubelet");
  EXPECT_EQ(unknown->known_by, KnownBy::kClaimed);
  EXPECT_NE(unknown->id, id_of({.exe = "/usr/bin/kubelet"}, ""));
}

TEST_F(WorkloadTest, OneInterpreterInTwoCgroupsIsTwoWorkloads) {
  const Process python{.exe = "/usr/bin/python3.11"};
  EXPECT_NE(id_of(python, "/jobs/a"), id_of(python, "/jobs/b"));
  EXPECT_EQ(name_of(python, "/jobs/a"), "host: python3.11 in /jobs/a");
  EXPECT_NE(id_of(python, "/system.slice/a.service"), id_of(python, "/system.slice/b.service"));
}

TEST_F(WorkloadTest, ScriptIsNamedNotItsInterpreter) {
  EXPECT_EQ(name_of({.exe = "/usr/bin/python3.11", .filename = "/usr/bin/aws"}, "/"), "host: aws");
}

TEST_F(WorkloadTest, CiJobIsALabelAndReplacesNoName) {
  const auto variables =
      env({{"GITHUB_REPOSITORY", "victim/prod"}, {"GITHUB_JOB", "deploy"}, {"GITHUB_RUN_ID", "4412"}});
  const std::string pod_path = "/kubepods/besteffort/pod" + pod + "/" + id;
  for (const std::string& path : {std::string("/system.slice/runner.service"), "/docker/" + id, pod_path,
                                  std::string("/jobs/a"), std::string("/")}) {
    const auto plain = resolve({.exe = "/bin/sh"}, path).workload;
    const auto job = resolve({.exe = "/bin/sh", .env = variables}, path).workload;
    EXPECT_EQ(job->id, plain->id) << path;
    EXPECT_EQ(job->kind, plain->kind) << path;
    EXPECT_EQ(job->name, plain->name) << path;
    EXPECT_EQ(job->known_by, plain->known_by) << path;
    ASSERT_NE(job->find(fact::kCiJob), nullptr) << path;
    EXPECT_EQ(job->find(fact::kCiJob)->value, "victim/prod deploy") << path;
    EXPECT_EQ(job->find(fact::kCiJob)->known_by, KnownBy::kClaimed) << path;
  }
}

TEST_F(WorkloadTest, CiSystemsAreKnownByTheirVariables) {
  struct Case {
    std::initializer_list<std::pair<const char*, const char*>> variables;
    const char *job, *system, *repository, *pipeline, *task, *run;
  };
  const Case cases[] = {
      {{{"GITHUB_REPOSITORY", "acme/shop"},
        {"GITHUB_WORKFLOW", "CD"},
        {"GITHUB_JOB", "deploy"},
        {"GITHUB_RUN_ID", "9"}},
       "acme/shop deploy",
       "github",
       "acme/shop",
       "CD",
       "deploy",
       "9"},
      {{{"CI_PROJECT_PATH", "g/p"}, {"CI_JOB_NAME", "t"}, {"CI_PIPELINE_ID", "7"}, {"CI_JOB_ID", "8"}},
       "g/p t",
       "gitlab",
       "g/p",
       "",
       "t",
       "7"},
      {{{"BUILDKITE_ORGANIZATION_SLUG", "acme"},
        {"BUILDKITE_PIPELINE_SLUG", "shop"},
        {"BUILDKITE_STEP_KEY", "deploy"},
        {"BUILDKITE_BUILD_NUMBER", "3"}},
       "acme/shop deploy",
       "buildkite",
       "",
       "shop",
       "deploy",
       "3"},
      {{{"CIRCLE_PROJECT_USERNAME", "acme"}, {"CIRCLE_PROJECT_REPONAME", "shop"}, {"CIRCLE_JOB", "b"}},
       "acme/shop b",
       "circleci",
       "acme/shop",
       "",
       "b",
       ""},
      {{{"BUILD_REPOSITORY_NAME", "shop"},
        {"BUILD_DEFINITIONNAME", "CD"},
        {"AGENT_JOBNAME", "J"},
        {"BUILD_BUILDID", "5"}},
       "shop J",
       "azure",
       "shop",
       "CD",
       "J",
       "5"},
      {{{"ARGO_WORKFLOW_NAME", "etl-x7"}, {"ARGO_CONTAINER_NAME", "main"}, {"ARGO_NODE_ID", "etl-x7-12"}},
       "etl-x7 main",
       "argo",
       "",
       "etl-x7",
       "main",
       "etl-x7-12"},
      {{{"JENKINS_URL", "http://j"}, {"BUILD_TAG", "jenkins-x-1"}}, "jenkins-x", "jenkins", "", "jenkins-x", "", "1"},
      {{{"JENKINS_URL", "http://j"}, {"BUILD_TAG", "jenkins-x2"}}, "jenkins-x2", "jenkins", "", "jenkins-x2", "", ""},
      {{{"JENKINS_URL", "http://j"}, {"BUILD_TAG", "-1"}}, "-1", "jenkins", "", "-1", "", ""},
  };
  for (const Case& one : cases) {
    const std::vector<Fact> facts = ci_job_facts(env(one.variables));
    const auto value = [&](const char* name) {
      const auto it = std::ranges::find(facts, std::string_view(name), &Fact::name);
      return it == facts.end() ? std::string() : it->value;
    };
    EXPECT_EQ(value(fact::kCiJob), one.job);
    EXPECT_EQ(value(fact::kCiSystem), one.system) << one.job;
    EXPECT_EQ(value(fact::kVcsRepository), one.repository) << one.job;
    EXPECT_EQ(value(fact::kCiPipeline), one.pipeline) << one.job;
    EXPECT_EQ(value(fact::kCiTask), one.task) << one.job;
    EXPECT_EQ(value(fact::kCiRun), one.run) << one.job;
    for (const Fact& fact : facts)
      EXPECT_EQ(fact.known_by, KnownBy::kClaimed) << one.job;
  }
  EXPECT_TRUE(ci_job_facts(env({{"BUILD_TAG", "jenkins-x-1"}})).empty());
  EXPECT_TRUE(ci_job_facts(env({{"BUILD_REPOSITORY_NAME", "shop"}})).empty());
  const std::string long_name(256, 'a');
  for (const Fact& fact : ci_job_facts(env({{"GITHUB_REPOSITORY", long_name.c_str()}})))
    EXPECT_LE(fact.value.size(), 200U);
}

TEST_F(WorkloadTest, ProcessesOfAWorkloadAndOfItsUsersShareOneObject) {
  const Process a = resolve({.exe = "/a", .uid = 1}, "/system.slice/x.service");
  const Process b = resolve({.exe = "/b", .uid = 2}, "/system.slice/x.service");
  EXPECT_EQ(a.workload, b.workload);
  EXPECT_NE(a.account, b.account);
  EXPECT_EQ(a.account, resolve({.exe = "/c", .uid = 1}, "/").account);
  EXPECT_NE(id_of({.exe = "/a"}, "/"), id_of({.exe = "/b"}, "/"));
}

TEST_F(WorkloadTest, WhatIsLearntOfAPodIsTrueOfItsContainersAlsoOfLaterOnes) {
  const std::string cgroup = "/kubepods/pod" + pod + "/";
  const std::string other(64, 'd');
  const std::string before = id_of({}, cgroup + id);
  table.learn(
      {"pod:" + pod, {{fact::kNamespace, "payments", KnownBy::kToken}, {fact::kPodName, "api-1", KnownBy::kToken}}});
  const auto known = resolve({}, cgroup + id).workload;
  EXPECT_EQ(known->id, before);
  EXPECT_EQ(known->name, "payments/api-1");
  EXPECT_EQ(known->known_by, KnownBy::kToken);
  EXPECT_EQ(name_of({}, cgroup + other), "payments/api-1");
  EXPECT_EQ(name_of({}, "/kubepods/pod1" + pod.substr(1) + "/" + id), "pod: 1" + pod.substr(1) + "/cccccccccccc");
}

TEST_F(WorkloadTest, WhatAContainerCallsAPodGetsNothingOfThatPod) {
  const std::string inner = "/kubepods/pod" + pod + "/" + id;
  table.learn(
      {"pod:" + pod, {{fact::kNamespace, "pay", KnownBy::kCluster}, {fact::kPodName, "api", KnownBy::kCluster}}});
  EXPECT_EQ(name_of({}, inner), "pay/api");
  const auto forged = resolve({}, "/docker/" + std::string(64, 'd') + inner).workload;
  table.learn({"pod:" + pod, {{fact::kServiceAccount, "payer", KnownBy::kCluster}}});
  EXPECT_EQ(table.find(forged->id)->name, "pod: " + pod + "/cccccccccccc in container dddddddddddd");
  for (const char* fact : {fact::kNamespace, fact::kPodName, fact::kServiceAccount})
    EXPECT_EQ(table.find(forged->id)->find(fact), nullptr) << fact;
}

TEST_F(WorkloadTest, NewsAreToldOnceWithTheirTime) {
  now = 77;
  table.learn({"unit:a", {{"x", "1", KnownBy::kRuntime}}});
  auto news = table.take_news();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_EQ(news[0].id, "unit:a");
  ASSERT_EQ(news[0].facts.size(), 1U);
  EXPECT_EQ(news[0].facts[0].since_ns, 77);
  now = 78;
  table.learn({"unit:a", {{"x", "1", KnownBy::kRuntime}}});
  EXPECT_TRUE(table.take_news().empty());
}

TEST_F(WorkloadTest, WhatIsTheWholeTakesAwayWhatIsNotInIt) {
  const std::string path = "/kubepods/pod" + pod + "/" + id;
  const auto value = [&](const char* name) { return std::string(resolve({}, path).workload->value(name)); };
  const auto learn = [&](std::vector<Fact> facts) {
    table.learn({.id = "pod:" + pod, .facts = std::move(facts), .whole = WorkloadFacts::Whole{KnownBy::kCluster}});
  };
  table.learn({"pod:" + pod, {{fact::kPodName, "p", KnownBy::kToken}}});
  learn({{fact::kPodName, "p", KnownBy::kCluster}, {"k8s.pod.label.app", "web", KnownBy::kCluster}});
  EXPECT_EQ(value("k8s.pod.label.app"), "web");
  (void)table.take_news();
  now = 2000;
  learn({{fact::kPodName, "p", KnownBy::kCluster}});
  EXPECT_EQ(value("k8s.pod.label.app"), "");
  EXPECT_EQ(resolve({}, path).workload->find(fact::kContainerId)->known_by, KnownBy::kKernel);
  EXPECT_EQ(std::ranges::count(resolve({}, path).workload->facts, fact::kPodName, &Fact::name), 2)
      << "the token's, too";
  const auto news = table.take_news();
  ASSERT_EQ(news.size(), 1U);
  ASSERT_TRUE(news[0].whole);
  EXPECT_EQ(news[0].whole->since_ns, 2000);
  ASSERT_EQ(news[0].facts.size(), 1U) << "all that is known so, also what is not new";
  EXPECT_EQ(news[0].facts[0].name, fact::kPodName);
  learn({{fact::kPodName, "p", KnownBy::kCluster}});
  EXPECT_TRUE(table.take_news().empty());
}

TEST_F(WorkloadTest, AKeyThatSomebodyWroteIntoALabelIsLeftOut) {
  const std::string key = "ghp_" + std::string(36, 'a');
  table.learn({"pod:" + pod,
               {{"k8s.pod.label.token", key, KnownBy::kCluster},
                {fact::kTeam, "see " + key, KnownBy::kCluster},
                {"k8s.pod.label.app", "web", KnownBy::kCluster},
                {"k8s.pod.label.commit", std::string(40, 'b'), KnownBy::kCluster},
                {fact::kImageName, "registry.test:5000/team/web:1.2.3-rc4", KnownBy::kRuntime},
                {fact::kImageDigest, "registry.test/web@sha256:" + std::string(64, '2'), KnownBy::kRuntime}}});
  const auto workload = resolve({}, "/kubepods/pod" + pod + "/" + id).workload;
  EXPECT_EQ(workload->value("k8s.pod.label.token"), "");
  EXPECT_EQ(workload->value(fact::kTeam), "");
  EXPECT_EQ(workload->value("k8s.pod.label.app"), "web");
  EXPECT_EQ(workload->value("k8s.pod.label.commit"), std::string(40, 'b'));
  EXPECT_NE(workload->value(fact::kImageName), "");
  EXPECT_NE(workload->value(fact::kImageDigest), "");
  EXPECT_EQ(table.stats().facts_like_keys, 2U);
  for (const WorkloadFacts& news : table.take_news()) {
    for (const Fact& one : news.facts)
      EXPECT_FALSE(one.value.contains(key));
  }
}

TEST_F(WorkloadTest, BoundsAreCounted) {
  table.learn({"unit:a", {{"x", std::string(513, 'v'), KnownBy::kRuntime}}});
  EXPECT_EQ(table.stats().facts_refused, 1U);
  std::vector<Fact> many;
  for (std::size_t i = 0; i < 70; ++i)
    many.push_back({"x" + std::to_string(i), "v", KnownBy::kRuntime});
  table.learn({"unit:b", many});
  EXPECT_EQ(table.stats().facts_refused, 7U);
  std::vector<Process> held;
  for (int i = 0; i < 70; ++i)
    held.push_back(resolve({.exe = "/x"}, "/jobs/" + std::to_string(i)));
  EXPECT_EQ(table.stats().over_bound, 6U);
  EXPECT_EQ(table.take_turned_away().size(), 6U) << "by name";
  EXPECT_TRUE(table.take_turned_away().empty());
  held.clear();  // nothing refers to them: there is room again
  (void)table.take_made();
  now += 1'000'000'000;
  resolve({.exe = "/x"}, "/jobs/next");
  EXPECT_EQ(table.stats().over_bound, 6U);
}

TEST_F(WorkloadTest, WhoMakesManyWorkloadsLeavesRoomForThoseOfOthers) {
  std::vector<Process> held;
  const auto flood = [&](int count, const std::string& directory, const CgroupMakers& makers) {
    for (int i = 0; i < count; ++i) {
      held.push_back({.exe = "/x"});
      resolver.resolve(held.back(), directory + std::to_string(i) + ".service", makers);
    }
  };
  flood(100, "/alice.slice/", {.claimed = 1, .owner = 1000});
  EXPECT_EQ(table.stats().over_bound, 68U) << "one user's alone: half of the 64";
  flood(4, "/bob.slice/", {.claimed = 1, .owner = 1001});
  flood(4, "/system.slice/", {});
  EXPECT_EQ(table.stats().over_bound, 68U);
  held.clear();
  (void)table.take_made();
  now += 1'000'000'000;
  for (int i = 0; i < 200; ++i) {  // programs in directories of one that was given away, however deep it lies
    held.push_back({.exe = "/x"});
    resolver.resolve(held.back(), "/a/b/" + std::to_string(i), {.claimed = 1, .owner = 1000});
  }
  flood(20, "/system.slice/", {});
  EXPECT_EQ(table.stats().over_bound, 68U + 168U) << "half of the 64, and nobody else is turned away";
  held.clear();
  (void)table.take_made();
  now += 1'000'000'000;
  for (int i = 0; i < 100; ++i) {
    held.push_back({.exe = "/x"});
    resolver.resolve(held.back(), "/jobs/a/b/" + std::to_string(i));
  }
  now += 1'000'000'000;
  EXPECT_TRUE(table.find(id_of({}, "/system.slice/new.service"))) << "whatever a directory's owner makes in it";
}

TEST_F(WorkloadTest, WhatIsInACgroupHasTheNameOfItsPathWhoeverItIs) {
  EXPECT_EQ(resolver.name_of("/system.slice/backup.service", {}), "backup.service");
  EXPECT_EQ(resolver.name_of("/system.slice/backup.service", {.claimed = 1, .owner = 1000}), "alice/backup.service");
  EXPECT_EQ(resolver.name_of("/user.slice/user-1000.slice/session-1.scope", {}), "person: alice");
  EXPECT_EQ(resolver.name_of("/jobs/nightly", {}), "cgroup /jobs/nightly") << "all programs in it";
  EXPECT_EQ(resolver.name_of("/", {}), "");
  const std::string path = "/kubepods/pod" + pod + "/" + id;
  EXPECT_EQ(resolver.name_of(path, {}), "pod: " + pod + "/" + id.substr(0, 12));
  resolve({}, path);
  table.learn({"pod:" + pod, {{fact::kNamespace, "pay", KnownBy::kToken}, {fact::kPodName, "api", KnownBy::kToken}}});
  EXPECT_EQ(resolver.name_of(path, {}), "pay/api");
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
