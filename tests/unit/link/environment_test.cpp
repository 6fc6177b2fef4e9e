// SPDX-License-Identifier: Apache-2.0
// Keys in an environment, and the variables and flags that point at files.
#include "agent/link/environment.h"

#include <gtest/gtest.h>

#include "agent/link/instance.h"
#include "scene.h"

namespace keytrail::link {
namespace {

TEST(Environment, AnIdentifierAloneIsNoKey) {
  const SharedList<EnvItem> env{shown("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAA2")};
  EXPECT_TRUE(keys_of_environment(env, catalog::Catalog::builtin(), "w").empty());
}

TEST(Environment, ASessionTokenAloneIsAKeyOfItsOwn) {
  const SharedList<EnvItem> env{secret("AWS_SESSION_TOKEN", "token of a session")};
  const auto found = keys_of_environment(env, catalog::Catalog::builtin(), "w");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].key.id.starts_with("fp:"));
  EXPECT_EQ(found[0].key.kind, "aws.session");
}

TEST(Environment, APasswordIsNamedByItsPlace) {
  EnvItem password{"PGPASSWORD", {}, {}, 9, false};
  const auto found = keys_of_environment({password}, catalog::Catalog::builtin(), "payments");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key.id, "postgres.password:PGPASSWORD@payments #?");
  EXPECT_TRUE(found[0].key.fingerprint.empty());
}

TEST(Environment, AReferenceIsNoKey) {
  for (const char* value :
       {"op://Prod/github/token-of-the-team", "vault:secret/data/app#password", "ref+vault://secret/openai#/key",
        "${GITHUB_TOKEN}", "$(gh auth token)", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/key-AbCdEf",
        "ENC[AES256_GCM,data:Tr7o=]", "{cipher}AQB2b3", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/x/)",
        "projects/123/secrets/api/versions/latest", "awsssm:/prod/x"})
    EXPECT_TRUE(keys_of_environment({secret("GITHUB_TOKEN", value)}, catalog::Catalog::builtin(), "w").empty())
        << value;
}

TEST(Environment, ADummyIsSaidAndFitsNowhere) {
  const auto& catalog = catalog::Catalog::builtin();
  for (const char* value :
       {"placeholder", "test", "changeme", "<your token>", "xxxxxxxxxxxxxxxxxxxxxxxx", "REPLACE_ME"}) {
    const auto found = keys_of_environment({secret("GITHUB_TOKEN", value)}, catalog, "w");
    ASSERT_EQ(found.size(), 1U) << value;
    EXPECT_EQ(found[0].key.kind, "generic.dummy") << value;
    EXPECT_EQ(found[0].key.id, "generic.dummy:GITHUB_TOKEN@w #?") << value;
    EXPECT_TRUE(found[0].key.fingerprint.empty()) << value;
    EXPECT_TRUE(found[0].kinds.empty()) << value;
  }
  const auto example = keys_of_environment(aws_env("AKIAIOSFODNN7EXAMPLE"), catalog, "w");
  ASSERT_EQ(example.size(), 1U);
  EXPECT_EQ(example[0].key.kind, "generic.dummy");
}

TEST(Environment, ADummyOfAKindWithAKnownFormat) {
  const auto& catalog = catalog::Catalog::builtin();
  const auto kind = [&](const std::string& name, const std::string& value) {
    const auto found = keys_of_environment({secret(name, value)}, catalog, "w");
    return found.empty() ? std::string() : found[0].key.kind;
  };
  for (const char* name : {"GITHUB_TOKEN", "GITLAB_TOKEN", "NPM_TOKEN", "SLACK_BOT_TOKEN"}) {
    for (const char* value : {"test", "none", "fake", "secret", "[REDACTED]", "undefined"})
      EXPECT_EQ(kind(name, value), "generic.dummy") << name << " " << value;
  }
  EXPECT_EQ(kind("GITHUB_TOKEN", "ghp_" + std::string(36, 'x')), "generic.dummy");
  EXPECT_EQ(kind("GITLAB_TOKEN", "glpat-" + std::string(20, 'X')), "generic.dummy");
  EXPECT_EQ(kind("GITLAB_TOKEN", "of-a-server-of-ours"), "gitlab.token");
  EXPECT_EQ(kind("VAULT_TOKEN", "root"), "vault.token") << "as a server in development mode is started";
  const auto filler = keys_of_environment(aws_env("AKIAXXXXXXXXXXXXXXXX"), catalog, "w");
  ASSERT_EQ(filler.size(), 1U);
  EXPECT_EQ(filler[0].key.kind, "generic.dummy");
}

TEST(Environment, AValueSaysItsKindBeforeItsName) {
  const auto& catalog = catalog::Catalog::builtin();
  const std::string github = "ghp_" + std::string(36, 'a');
  const auto kind = [&](const std::string& name, const std::string& value) {
    const auto found = keys_of_environment({secret(name, value)}, catalog, "w");
    return found.empty() ? std::string() : found[0].key.kind;
  };
  EXPECT_EQ(kind("BROKER_TOKEN", github), "github.token");
  EXPECT_EQ(kind("GITHUB_TOKEN", github), "github.token");
  EXPECT_EQ(kind("GITHUB_TOKEN", "glpat-" + std::string(20, 'b')), "gitlab.token");
  EXPECT_EQ(kind("DEEPSEEK_API_KEY", "sk-" + std::string(32, 'c')), "deepseek.api_key") << "what many keys begin with";
  EXPECT_EQ(kind("OPENAI_API_KEY", std::string(32, 'd')), "generic.secret") << "some other service's";
  EXPECT_EQ(kind("APP_ENCRYPTION_KEY", std::string(32, 'e')), "generic.encryption_key");
}

TEST(Environment, EmptyAndUnknownVariablesAreNothing) {
  const SharedList<EnvItem> env{EnvItem{"AWS_SECRET_ACCESS_KEY", {}, {}, 0, false},
                                secret("NOT_A_NAME_OF_THE_LIST_X", "x")};
  for (const FoundKey& one : keys_of_environment(env, catalog::Catalog::builtin(), "w"))
    EXPECT_NE(one.slot.place, "AWS_SECRET_ACCESS_KEY");
}

TEST(Environment, PointerVariables) {
  const auto& catalog = catalog::Catalog::builtin();
  const SharedList<EnvItem> env{shown("AWS_SHARED_CREDENTIALS_FILE", "keys/mine")};
  EXPECT_NE(file_of_pointer(env, catalog, "/root/keys/mine"), nullptr);
  EXPECT_EQ(file_of_pointer(env, catalog, "/root/otherkeys/mine"), nullptr);
  EXPECT_EQ(file_of_pointer(env, catalog, "keys/mine2"), nullptr);
}

TEST(Environment, PathsAsPeopleWriteThem) {
  EXPECT_TRUE(names_path("/a/key", "/a/key"));
  EXPECT_FALSE(names_path("/a/key", "/b/a/key"));
  EXPECT_TRUE(names_path("key", "/a/key"));
  EXPECT_FALSE(names_path("key", "/a/monkey"));
  EXPECT_TRUE(names_path("./key", "/a/key"));
  EXPECT_TRUE(names_path("../../b/key", "/a/b/key"));
  EXPECT_FALSE(names_path("", "/a/key"));
  EXPECT_FALSE(names_path("./", "/a/key"));
}

TEST(Environment, PathsOfVolumesListsAndHomes) {
  EXPECT_TRUE(names_path("/etc/gcp/key.json", "/etc/gcp/..2026_11_28_10/key.json")) << "a Secret volume's generation";
  EXPECT_TRUE(names_path("/etc/gcp/..data/key.json", "/etc/gcp/..2026_11_28_10/key.json"));
  EXPECT_FALSE(names_path("/etc/gcp/key.json", "/etc/..gcp/other/key.json"));
  EXPECT_TRUE(names_path("/var/run/secrets/token", "/run/secrets/token"));
  EXPECT_TRUE(names_path("~/keys/mine", "/home/ada/keys/mine"));
  EXPECT_TRUE(names_path("file:///root/key.json", "/root/key.json"));
  const auto& catalog = catalog::Catalog::builtin();
  const SharedList<EnvItem> env{shown("KUBECONFIG", "/root/dev.conf:/root/prod.conf::rel/third")};
  for (const char* path : {"/root/dev.conf", "/root/prod.conf", "/srv/rel/third"})
    EXPECT_NE(file_of_pointer(env, catalog, path), nullptr) << path;
  EXPECT_EQ(file_of_pointer(env, catalog, "/root/other.conf"), nullptr);
}

TEST(Environment, FlagsThatNameAFile) {
  const auto& catalog = catalog::Catalog::builtin();
  Process process;
  process.exe = "/usr/bin/ssh";
  process.args = {ArgItem{.flag = "-i", .value = "/backup/key"}};
  ASSERT_NE(file_of_argument(process, catalog, "/backup/key"), nullptr);
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/key")->id, "key.ssh_private");
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/other"), nullptr);
  process.exe = "/usr/bin/sed";
  EXPECT_EQ(file_of_argument(process, catalog, "/backup/key"), nullptr);
  process.filename = "/opt/bin/ssh";  // a script, under its own name
  EXPECT_NE(file_of_argument(process, catalog, "/backup/key"), nullptr);
}

TEST(Environment, AProgramStartedInPlaceOrUnderAnotherNameRenamesNoKeyOfAVariable) {
  const auto owner = [](const std::string& id, WorkloadKind kind, std::vector<Fact> facts) {
    auto workload = std::make_shared<Workload>();
    workload->id = id;
    workload->kind = kind;
    workload->facts = SharedList<Fact>(std::move(facts));
    auto process = std::make_shared<Process>();
    process->workload = workload;
    Instance instance;
    instance.process = process;
    return variable_owner(instance);
  };
  const auto of_program = [&](const std::string& name) {
    return owner("cgroup:/jobs:" + name, WorkloadKind::kHost, {{fact::kProgram, name}, {fact::kCgroup, "/jobs"}});
  };
  EXPECT_EQ(of_program("sh"), "cgroup:/jobs");
  EXPECT_EQ(of_program("copy-of-psql"), of_program("sh"));
  EXPECT_EQ(owner("host:sh", WorkloadKind::kHost, {{fact::kProgram, "sh"}}), "host");
  EXPECT_EQ(owner("unit:a.service", WorkloadKind::kSystemdUnit, {}), "unit:a.service");
}

}  // namespace
}  // namespace keytrail::link
