// SPDX-License-Identifier: Apache-2.0
// What the kernel side filters by: the names that matter are there, no password's fingerprint leaves, no secret is
// shown.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "agent/catalog/catalog.h"

namespace keytrail::catalog {
namespace {

bool passes(std::string_view leaf) {
  return std::ranges::any_of(kernel_tables().names, [&](const NamePattern& p) {
    switch (p.match) {
      case NamePattern::Match::kExact:
        return leaf == p.text;
      case NamePattern::Match::kPrefix:
        return leaf.starts_with(p.text);
      case NamePattern::Match::kSuffix:
        return leaf.ends_with(p.text);
    }
    return false;
  });
}

const EnvName* env(std::string_view name) {
  const auto found = std::ranges::find(kernel_tables().env, name, &EnvName::name);
  return found == kernel_tables().env.end() ? nullptr : &*found;
}

TEST(KernelNames, KeyFilesPassAndOrdinaryFilesDoNot) {
  for (const char* leaf : {"credentials", "token", "id_ed25519", "server.key", "kubelet-client-current.pem", ".netrc",
                           "krb5cc_1000", ".env"}) {
    EXPECT_TRUE(passes(leaf)) << leaf;
  }
  for (const char* leaf :
       {"passwd", "libc.so.6", "package.json", "nginx.conf", "values.yaml", "index.html", "main.py", "ld.so.cache"}) {
    EXPECT_FALSE(passes(leaf)) << leaf;
  }
}

TEST(KernelNames, NoRuleIsShortOrDouble) {
  std::set<std::string> seen;
  for (const NamePattern& p : kernel_tables().names) {
    EXPECT_TRUE(seen.insert(std::to_string(static_cast<int>(p.match)) + std::string(p.text)).second) << p.text;
    if (p.match != NamePattern::Match::kExact) EXPECT_GE(p.text.size(), 3U) << p.text;
  }
}

TEST(KernelNames, FreeNamesHaveTheirDirectory) {
  const auto has = [](std::string_view name) {
    return std::ranges::any_of(kernel_tables().directories, [&](const NamePattern& p) { return p.text == name; });
  };
  EXPECT_TRUE(has("cache"));
  EXPECT_TRUE(has("secrets"));
}

TEST(KernelEnvironment, SecretsAreNeverShown) {
  const Catalog& catalog = Catalog::builtin();
  for (const EnvName& rule : kernel_tables().env) {
    if (rule.prefix || rule.suffix) continue;
    const Env* entry = catalog.match_env(rule.name);
    ASSERT_NE(entry, nullptr) << rule.name;
    if (rule.action == EnvAction::kShow || rule.action == EnvAction::kShowAndWatchBaseName) {
      EXPECT_TRUE(entry->show) << rule.name;
      EXPECT_NE(entry->use, EnvUse::kSecret) << rule.name;
    }
  }
}

TEST(KernelEnvironment, APasswordHasNoFingerprint) {
  const Catalog& catalog = Catalog::builtin();
  for (const EnvName& rule : kernel_tables().env) {
    if (rule.prefix || rule.suffix || rule.action != EnvAction::kSecret || rule.unhashed) continue;
    for (const std::string_view kind : catalog.match_env(rule.name)->kinds) {
      EXPECT_FALSE(catalog.kind(kind)->guessable) << rule.name << " " << kind;
    }
  }
  EXPECT_EQ(env("MYSQL_PWD")->action, EnvAction::kSecret);
  EXPECT_TRUE(env("MYSQL_PWD")->unhashed);
  EXPECT_FALSE(env("AWS_SECRET_ACCESS_KEY")->unhashed);
  EXPECT_TRUE(env("https_proxy")->unhashed);
  EXPECT_EQ(env("AWS_SECRET_ACCESS_KEY")->action, EnvAction::kSecret);
  EXPECT_EQ(env("AWS_PROFILE")->action, EnvAction::kShow);
  EXPECT_EQ(env("AWS_SHARED_CREDENTIALS_FILE")->action, EnvAction::kShowAndWatchBaseName);
  EXPECT_TRUE(env("_API_KEY")->suffix);
  EXPECT_TRUE(env("TF_TOKEN_")->prefix);
}

TEST(KernelEnvironment, WhatNamesACiJobIsShown) {
  for (const char* name :
       {"GITHUB_REPOSITORY", "GITHUB_JOB", "GITHUB_RUN_ID", "CI_PROJECT_PATH", "CI_JOB_NAME", "CI_JOB_ID", "BUILD_TAG",
        "JENKINS_URL", "BUILDKITE_PIPELINE_SLUG", "CIRCLE_JOB", "BUILD_DEFINITIONNAME", "ARGO_WORKFLOW_NAME"}) {
    ASSERT_NE(env(name), nullptr) << name;
    EXPECT_EQ(env(name)->action, EnvAction::kShow) << name;
  }
  EXPECT_EQ(env("CI_JOB_TOKEN")->action, EnvAction::kSecret);
}

TEST(KernelArguments, FlagsAndFormats) {
  const auto flag = [](std::string_view name) {
    const auto found = std::ranges::find(kernel_tables().flags, name, &ArgFlag::flag);
    return found == kernel_tables().flags.end() ? nullptr : &*found;
  };
  ASSERT_NE(flag("--profile"), nullptr);
  EXPECT_EQ(flag("--profile")->action, FlagAction::kHash);
  ASSERT_NE(flag("--context"), nullptr);
  ASSERT_NE(flag("--token"), nullptr);
  EXPECT_EQ(flag("--token")->action, FlagAction::kPresence);
  EXPECT_EQ(flag("-v"), nullptr);
  for (const ArgFlag& one : kernel_tables().flags) {
    if (one.action == FlagAction::kHash)
      EXPECT_FALSE(one.flag.contains("password") || one.flag.contains("token") || one.flag.contains("secret"))
          << one.flag;
  }
  for (const ArgFormat& format : kernel_tables().formats) {
    EXPECT_GE(format.prefix.size(), format.kind.empty() && !format.is_public ? 1U : 3U);
    const Catalog::Format* known = Catalog::builtin().format(format.format_id);
    ASSERT_NE(known, nullptr) << format.format_id;
    EXPECT_EQ(known->public_id, format.is_public) << format.format_id;
  }
}

TEST(KernelFormats, StandTogetherByTheirFirstByte) {
  const auto formats = kernel_tables().formats;
  EXPECT_TRUE(std::ranges::is_sorted(formats, {}, [](const ArgFormat& one) {
    return static_cast<unsigned char>(one.prefix.front());
  })) << "the kernel side goes from the first to the last of a byte";
  EXPECT_LT(formats.size(), 255U) << "their numbers are bytes there";
  EXPECT_EQ(format_of_text(formats, "sk-ant-api03-0123456789012345678901234567")->kind, "anthropic.api_key")
      << "the longer beginning comes first";
  EXPECT_TRUE(is_shaped(formats, "github.token"));
  EXPECT_FALSE(is_shaped(formats, "gitlab.token")) << "a server may give its tokens any prefix";
  EXPECT_TRUE(Catalog::builtin().kind("github.token")->shaped);
}

TEST(Issuers, WhereACallAlwaysGivesAKey) {
  const Catalog& catalog = Catalog::builtin();
  const auto always = [&](const char* host, const char* with, const char* given) {
    const auto endpoint = catalog.match_host(host);
    return endpoint && catalog.issues_always(*endpoint, with, given);
  };
  EXPECT_TRUE(always("oauth2.googleapis.com", "gcp.service_account_key", "gcp.access_token"));
  EXPECT_TRUE(always("sts.eu-west-1.amazonaws.com", "k8s.projected_token", "aws.session"));
  EXPECT_FALSE(always("sts.eu-west-1.amazonaws.com", "aws.access_key", "aws.session")) << "it may only ask who calls";
  EXPECT_FALSE(always("kms.eu-west-1.amazonaws.com", "aws.access_key", "aws.access_key"));
  EXPECT_FALSE(always("management.azure.com", "azure.access_token", "azure.storage_account_key"));
  const auto vault = *catalog.bound_endpoint("VAULT_ADDR");
  EXPECT_TRUE(catalog.issues_always(vault, "vault.approle_secret_id", "vault.token")) << "a login";
  EXPECT_FALSE(catalog.issues_always(vault, "vault.token", "aws.session")) << "most read a secret";
  EXPECT_FALSE(catalog.issues_always(vault, "vault.token", "vault.token"));
  EXPECT_TRUE(catalog.is_issue_path(vault, "/v1/ssh/sign/ops"));
  EXPECT_FALSE(catalog.is_issue_path(vault, "/v1/secret/data/app"));
}

TEST(KernelArguments, ProgramsThatAreGivenKeys) {
  const KernelTables& tables = kernel_tables();
  EXPECT_TRUE(std::ranges::is_sorted(tables.carried, {}, &CarriedKey::name));
  for (const std::string_view shell : {"sh", "bash", "dash", "zsh", "busybox", "python3", "node", "env", "sudo"})
    EXPECT_EQ(std::ranges::find(tables.programs, shell, &ArgProgram::name), tables.programs.end())
        << shell << ": what stands in its arguments is not its own to use";
  for (const ArgProgram& program : tables.programs) {
    std::set<std::string_view> flags;
    for (const ArgRule& rule : program.rules)
      EXPECT_TRUE(rule.flag.empty() || flags.insert(rule.flag).second)
          << program.name << ": two rules for " << rule.flag;
  }
}

TEST(KernelArguments, PathsOfKeyFiles) {
  const KernelTables& tables = kernel_tables();
  const auto path_of = [&](std::string_view name) {
    return std::ranges::find(tables.flags, name, &ArgFlag::flag)->path_of;
  };
  const auto bit = [&](std::string_view program) {
    return 1U << static_cast<unsigned>(std::ranges::find(tables.flag_programs, program) - tables.flag_programs.begin());
  };
  EXPECT_EQ(path_of("--kubeconfig"), kAnyProgram | bit("kubectl") | bit("helm"));
  EXPECT_EQ(path_of("--cred-file"), kAnyProgram);
  EXPECT_EQ(path_of("-i"), bit("ssh") | bit("age"));
  EXPECT_EQ(path_of("--profile"), 0U);
  EXPECT_EQ(path_of("--token"), 0U);
  const Catalog& catalog = Catalog::builtin();
  EXPECT_EQ(catalog.file_of_flag("ssh", "-i")->id, "key.ssh_private");
  EXPECT_EQ(catalog.file_of_flag("age", "-i")->id, "sm.sops_age");
  EXPECT_EQ(catalog.file_of_flag("sed", "-i"), nullptr);
  EXPECT_EQ(catalog.file_of_flag("anything", "--kubeconfig")->id, "k8s.kubeconfig_user");
}

}  // namespace
}  // namespace keytrail::catalog
