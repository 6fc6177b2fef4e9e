// SPDX-License-Identifier: Apache-2.0
// The real-input cases of the chain, as events: files with profiles, environment, metadata, decoys, lineage, rotation,
// what ran before.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2", kC = "AKIACCCCCCCCCCCCCCC2";

class Cases : public Scene {
 protected:
  void three_profiles() {
    examiner.files[kCredentials] = file_of({aws_fact(kA), aws_fact(kB, "staging"), aws_fact(kC, "prod")});
  }
  void one_key() { examiner.files[kCredentials] = file_of({aws_fact(kA)}); }
};

// 1. A file of three profiles.
TEST_F(Cases, AwsWithProfileInEnvironmentIsInferredByItsSelector) {
  three_profiles();
  start(10, aws_program({shown("AWS_PROFILE", "prod")}));
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred selector: " + kC});
  EXPECT_EQ(uses[0].reason_detail, "profile prod");
  EXPECT_EQ(uses[0].destination.provider, "aws");
  EXPECT_EQ(uses[0].destination.service, "s3");
  EXPECT_EQ(uses[0].destination.region, "eu-west-1");
  EXPECT_EQ(uses[0].destination.name_source, NameSource::kSni);
  EXPECT_EQ(uses[0].actor.program, "aws");
  EXPECT_EQ(acquired(), (Lines{"file " + kCredentials + " [default] " + kA + " by 10",
                               "file " + kCredentials + " [staging] " + kB + " by 10",
                               "file " + kCredentials + " [prod] " + kC + " by 10"}));
}

TEST_F(Cases, AwsProfileArgumentBeatsTheVariable) {
  three_profiles();
  start(10, aws_program({shown("AWS_PROFILE", "prod")}, {flag("--profile", "staging")}));
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred selector: " + kB});
}

TEST_F(Cases, AwsWithoutSelectorUsesTheDefault) {
  three_profiles();
  start(10, aws_program());
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred selector: " + kA});
}

TEST_F(Cases, RuntimeWithProfileIsPossibleAndRankedFirst) {
  three_profiles();
  start(10, {.env = {shown("AWS_PROFILE", "prod")}});
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible selector_in_runtime: " + kC + " " + kA + " " + kB});
}

TEST_F(Cases, TheEntryThatTheFileNamesIsItsDefault) {
  KeyFact current = aws_fact(kB, "staging");
  current.current = true;
  examiner.files[kCredentials] = file_of({aws_fact(kA, "prod"), current});
  start(10, aws_program());
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred selector: " + kB});
}

TEST_F(Cases, RuntimeWithoutSelectorListsAllDefaultFirst) {
  examiner.files[kCredentials] = file_of({aws_fact(kB, "staging"), aws_fact(kA)});
  start(10);
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kA + " " + kB});
  EXPECT_EQ(uses[0].reason_detail, "1 of 2 AWS keys");
}

TEST_F(Cases, AwsWithAProfileThatIsNotInTheFileIsNotInferred) {
  one_key();
  start(10, aws_program({shown("AWS_PROFILE", "app")}));
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible another_entry_meant: " + kA});
}

TEST_F(Cases, AwsWithoutSignatureIsNotInferred) {
  one_key();
  start(10, aws_program({}, {flag("--no-sign-request", "")}));
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible another_entry_meant: " + kA});
}

TEST_F(Cases, FileNamedByAPointerVariable) {
  examiner.files["/root/keys/mine"] = file_of({aws_fact(kA)});
  start(10, {.env = {shown("AWS_SHARED_CREDENTIALS_FILE", "/root/keys/mine")}});
  open(10, "/root/keys/mine");
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

// 2. Environment.
TEST_F(Cases, KeyInTheEnvironment) {
  start(10, {.env = aws_env(kA)});
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(acquired(), Lines{"environment AWS_ACCESS_KEY_ID [] " + kA + " by 10"});
}

TEST_F(Cases, SessionInTheEnvironmentIsOneShortLivedKey) {
  const std::string id = "ASIAAAAAAAAAAAAAAAA2";
  auto env = aws_env(id);
  env.push_back(secret("AWS_SESSION_TOKEN", "a session token"));
  start(10, {.env = env});
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + id});
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_EQ(acquisitions[0].key.kind, "aws.session");
  EXPECT_EQ(acquisitions[0].key.key_class, KeyClass::kSessionToken);
  EXPECT_EQ(acquisitions[0].key.lifetime, Lifetime::kShortLived);
}

TEST_F(Cases, SameKeyInFileAndEnvironmentIsOneKeyInTwoSlots) {
  one_key();
  start(10, {.env = aws_env(kA)});
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(acquired(), (Lines{"environment AWS_ACCESS_KEY_ID [] " + kA + " by 10",
                               "file " + kCredentials + " [default] " + kA + " by 10"}));
}

TEST_F(Cases, LoneSecretIsTheSameKeyAsTheFileItsIdIsIn) {
  one_key();
  start(10, {.env = {secret("AWS_SECRET_ACCESS_KEY", "secret of " + kA)}});
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Cases, DifferentKeyInTheFileGivesTwoCandidatesEnvironmentFirst) {
  examiner.files[kCredentials] = file_of({aws_fact(kB)});
  start(10, {.env = aws_env(kA)});
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kA + " " + kB});
}

TEST_F(Cases, AwsWithThePairInTheEnvironmentBeatsTheFile) {
  examiner.files[kCredentials] = file_of({aws_fact(kB)});
  start(10, aws_program(aws_env(kA)));
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred selector: " + kA});
}

TEST_F(Cases, AwsWithThePairAndAProfileArgumentIsPossible) {
  examiner.files[kCredentials] = file_of({aws_fact(kB, "prod")});
  start(10, aws_program(aws_env(kA), {flag("--profile", "prod")}));
  open(10);
  call(10);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kB + " " + kA});
}

// 3. Metadata and issuers.
TEST_F(Cases, RoleFromTheMetadataService) {
  start(10);
  connect(10, 1, metadata_service());
  http(10, 1, "169.254.169.254", "/latest/api/token", "PUT");
  connect(10, 2, metadata_service());
  http(10, 2, "169.254.169.254", "/latest/meta-data/iam/security-credentials/");
  http(10, 2, "169.254.169.254", "/latest/meta-data/iam/security-credentials/web");
  answer(10, 2, 200);
  call(10);
  EXPECT_EQ(told(), Lines{"inferred issued_by_role: aws.session@role/web"});
  EXPECT_EQ(
      acquired(),
      Lines{"metadata 169.254.169.254 /latest/meta-data/iam/security-credentials/web [] aws.session@role/web by 10"});
  EXPECT_EQ(acquisitions[0].key.parent, "role/web");
  EXPECT_EQ(acquisitions[0].key.key_class, KeyClass::kSessionToken);
}

TEST_F(Cases, AMetadataServiceOnLoopbackIsKnownByItsRequest) {
  one_key();
  start(10);
  connect(10, 1, loopback(9911));
  http(10, 1, "127.0.0.1:9911", "/latest/meta-data/iam/security-credentials/edge");
  call(10);
  EXPECT_EQ(told(), Lines{"inferred issued_by_role: aws.session@role/edge"});
  // The same address with another request is a local socket like any other.
  start(11);
  connect(11, 2, loopback(9911));
  http(11, 2, "127.0.0.1:9911", "/health");
  open(11);
  call(11);
  EXPECT_EQ(uses.size(), 1U);
  EXPECT_EQ(told().back().substr(0, 21), "possible local_broker");
}

TEST_F(Cases, TheRequestPathSaysWhatAnIssuerGives) {
  KeyFact fact;
  fact.key.id = "fp:1";
  fact.key.kind = "vault.token";
  examiner.files["/root/.vault-token"] = file_of({fact});
  start(10, {.env = {shown("VAULT_ADDR", "http://vault.example:8200")}});
  open(10, "/root/.vault-token");
  connect(10, 1, ip(9, 8200));
  http(10, 1, "vault.example", "/v1/ssh/sign/ops", "POST");
  connect(10, 2, ip(9, 8200));
  http(10, 2, "vault.example", "/v1/auth/token/create", "POST");
  connect(10, 3, ip(9, 8200));
  http(10, 3, "vault.example", "/v1/secret/data/app");
  // The first path signs a certificate and makes no token, the second makes one.
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: fp:1", "inferred only_key_held: fp:1",
                           "possible parent_or_issued: vault.token@fp:1 fp:1"}));
}

TEST_F(Cases, ACallThatMayOnlyHaveAskedMakesNoKey) {
  one_key();
  start(10);
  open(10);
  for (const std::string issuer : {"sts", "kms", "secretsmanager"}) {
    call(10, issuer + ".eu-west-1.amazonaws.com", ip(2));
    call(10);
  }
  fork(10, 11);
  call(11);
  EXPECT_EQ(told(), Lines(7, "inferred only_key_held: " + kA));
  EXPECT_EQ(acquired().size(), 1U) << "the file's key alone";
  for (const auto& [pid, keys] : holders)
    EXPECT_EQ(keys.size(), 1U) << pid;
}

TEST_F(Cases, WhatASecretsStoreMayHaveGivenIsNamedOnlyWhereNothingElseFits) {
  KeyFact token;
  token.key.id = "fp:1";
  token.key.kind = "vault.token";
  examiner.files["/root/.vault-token"] = file_of({token});
  const auto run = [&](std::uint32_t pid, std::vector<EnvItem> env) {
    env.push_back(shown("VAULT_ADDR", "https://vault.example"));
    start(pid, {.env = std::move(env)});
    open(pid, "/root/.vault-token");
    call(pid, "vault.example", ip(9));
    call(pid, "vault.example", ip(9));
    call(pid);
  };
  run(10, aws_env(kA));
  EXPECT_EQ(told(),
            (Lines{"inferred only_key_held: fp:1", "inferred only_key_held: fp:1", "inferred only_key_held: " + kA}));
  run(11, {});
  EXPECT_EQ(told().back(), "possible several_keys: aws.access_key@fp:1 aws.session@fp:1");
  for (const std::string& line : acquired())
    EXPECT_FALSE(line.contains("@fp:1")) << "no key of a guess: " << line;
}

TEST_F(Cases, AtTheIssuerItselfTheKeyThatBuysComesFirst) {
  KeyFact login;
  login.key.id = "fp:1";
  login.key.kind = "github.token";
  login.selector = login.host = "ghcr.io";
  examiner.files["/root/.docker/config.json"] = file_of({login});
  start(10);
  open(10, "/root/.docker/config.json");
  for (int i = 0; i < 2; ++i)
    call(10, "ghcr.io", ip(9));
  EXPECT_EQ(told(),
            (Lines{"inferred only_key_held: fp:1", "possible parent_or_issued: fp:1 registry.bearer_token@fp:1"}));
  EXPECT_EQ(acquired().size(), 1U);
}

TEST_F(Cases, ARoleIsAssumedWithTheKeyOfItsSourceProfile) {
  KeyFact role;
  role.selector = "app";
  role.selector_hash = fingerprint_of("app");
  role.key.parent = "base";
  KeyFact base = aws_fact(kA);
  base.selector = "base";
  examiner.files["/root/.aws/config"] = file_of({role});
  examiner.files["/root/.aws/credentials"] = file_of({base});
  const auto run = [&](std::uint32_t pid, std::string profile) {
    start(pid, {.env = {shown("AWS_PROFILE", std::move(profile))}});
    open(pid, "/root/.aws/config");
    open(pid, "/root/.aws/credentials");
    call(pid, "sts.eu-west-1.amazonaws.com", ip(2));
    call(pid);
  };
  run(10, "app");
  EXPECT_EQ(told(),
            (Lines{"inferred only_key_held: " + kA, "possible parent_or_issued: aws.session@" + kA + " " + kA}));
  // A profile that nobody read; one that is bought by what is bought itself; and what is no issuer takes no such key.
  uses.clear();
  run(11, "other");
  EXPECT_EQ(told().front(), "possible another_entry_meant: " + kA);
  uses.clear();
  KeyFact chain = role;
  chain.selector = "base";
  chain.key.parent = "deeper";
  examiner.files["/root/.aws/config"] = file_of({role, chain});
  run(12, "app");
  EXPECT_EQ(told().front(), "possible another_entry_meant: " + kA);
  uses.clear();
  examiner.files["/root/.aws/config"] = file_of({role});
  start(13, {.env = {shown("AWS_PROFILE", "app")}});
  open(13, "/root/.aws/config");
  open(13, "/root/.aws/credentials");
  call(13);
  EXPECT_EQ(told(), Lines{"possible another_entry_meant: " + kA});
}

TEST_F(Cases, AnEntryWhoseKeyComesFromElsewhereIsNotAnothersKey) {
  KeyFact process;
  process.key.parent = "credential_process";
  KeyFact old = aws_fact(kA);
  old.selector = "old";
  examiner.files["/root/.aws/credentials"] = file_of({old});
  const auto run = [&](std::uint32_t pid, const char* profile, const std::string& exe) {
    process.selector = profile;
    process.selector_hash = fingerprint_of(profile);
    examiner.files["/root/.aws/config"] = file_of({process});
    uses.clear();
    start(pid, {.exe = exe, .filename = exe});
    open(pid, "/root/.aws/config");
    open(pid, "/root/.aws/credentials");
    call(pid);
    return told().at(0);
  };
  EXPECT_EQ(run(10, "default", "/usr/bin/aws"), "possible another_entry_meant: " + kA);
  EXPECT_EQ(run(11, "default", "/usr/bin/python3.11"), "possible another_entry_meant: " + kA);
  EXPECT_EQ(run(12, "ci", "/usr/bin/python3.11"), "possible another_entry_meant: " + kA) << "code may choose it";
}

TEST_F(Cases, AnIssuedKeyIsInferredWhereItsParentIsNotAccepted) {
  KeyFact token;
  token.key.id = "kid/jti";
  token.key.kind = "k8s.projected_token";
  const std::string path = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
  examiner.files[path] = file_of({token});
  start(10);
  open(10, path);
  call(10, "sts.eu-west-1.amazonaws.com", ip(2));
  call(10);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: kid/jti", "inferred only_key_held: aws.session@kid/jti"}));
}

TEST_F(Cases, TheRoleThatGoesWithATokenFileDoesNotBeatIt) {
  KeyFact token;
  token.key.id = "kid/jti";
  token.key.kind = "k8s.projected_token";
  const std::string path = "/run/secrets/eks.amazonaws.com/serviceaccount/..2026_11_21_01_00_00.1/token";
  examiner.files[path] = file_of({token});
  const auto env = [](const std::string& file) {
    return std::vector{shown("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
                       shown("AWS_WEB_IDENTITY_TOKEN_FILE", file)};
  };
  start(10, {.env = env("/var/run/secrets/eks.amazonaws.com/serviceaccount/token")});
  open(10, path);
  call(10, "sts.eu-west-1.amazonaws.com", ip(2));
  start(11, {.env = env("/var/run/secrets/another/token")});
  open(11, path);
  call(11, "sts.eu-west-1.amazonaws.com", ip(2));
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: kid/jti", "possible another_entry_meant: kid/jti"}));
}

TEST_F(Cases, AVariableThatNamesTheFileChoosesWhatWasReadFromIt) {
  KeyFact fact;
  fact.key.id = "fp:1";
  fact.key.kind = "gcp.service_account_key";
  examiner.files["/srv/sa.json"] = examiner.files["/srv/other.json"] = file_of({fact});
  for (const std::string read : {"/srv/sa.json", "/srv/other.json"}) {
    const std::uint32_t pid = read == "/srv/sa.json" ? 10 : 11;
    start(pid,
          {.env = {shown("GOOGLE_GHA_CREDS_PATH", read), shown("GOOGLE_APPLICATION_CREDENTIALS", "/srv/sa.json")}});
    open(pid, read);
    call(pid, "oauth2.googleapis.com", ip(3));
  }
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: fp:1", "possible another_entry_meant: fp:1"}));
}

// 4. Decoys.
TEST_F(Cases, ReadsAndNeverCalls) {
  one_key();
  start(10, {"/usr/bin/cat", "/bin/cat", {}, {}, false});
  open(10);
  exit(10);
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(acquisitions.size(), 1U);
}

TEST_F(Cases, CallWithoutAKeyIsUnattributed) {
  start(10);
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"});
}

TEST_F(Cases, KeyOfAnotherKindIsUnattributed) {
  KeyFact fact;
  fact.key.id = "SHA256:x";
  fact.key.kind = "ssh.private_key";
  examiner.files["/root/.ssh/id_ed25519"] = file_of({fact});
  start(10);
  open(10, "/root/.ssh/id_ed25519");
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_of_this_kind:"});
}

TEST_F(Cases, AKeyFileNamesItsHost) {
  KeyFact fact;
  fact.key.id = "fp:1";
  fact.key.kind = "k8s.static_token";
  fact.selector = "one";
  fact.host = "cluster.test";
  examiner.files["/root/.kube/config"] = file_of({fact});
  start(10);
  open(10, "/root/.kube/config");
  call(10, "cluster.test");
  call(10, "elsewhere.test");
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: fp:1", "possible unknown_destination: fp:1"}));
  EXPECT_EQ(uses[0].destination.provider, "kubernetes");
  EXPECT_EQ(uses[0].destination.service, "api");
}

TEST_F(Cases, AnEntryWhoseKeyIsElsewhereNamesItsHostAndLeavesNoCertainty) {
  KeyFact plugin, other;
  plugin.selector = "one";
  plugin.host = "cluster.test";
  plugin.current = true;
  other.key.id = "fp:1";
  other.key.kind = "k8s.static_token";
  other.selector = "two";
  other.host = "second.test";
  examiner.files["/root/.kube/config"] = file_of({plugin});
  examiner.files["/root/.kube/both.yaml"] = file_of({plugin, other});
  start(10);
  open(10, "/root/.kube/config");
  call(10, "cluster.test");
  call(10, "elsewhere.test");
  EXPECT_EQ(told(), Lines{"unattributed unidentified_file:"});
  EXPECT_EQ(uses[0].destination.provider, "kubernetes");
  start(11);
  open(11, "/root/.kube/both.yaml");
  call(11, "cluster.test");
  call(11, "second.test");
  EXPECT_EQ(told(), (Lines{"unattributed unidentified_file:", "possible unidentified_file: fp:1",
                           "inferred only_key_held: fp:1"}));
}

TEST_F(Cases, AKeyFileNamesTheHostOfAServiceThatNobodyKnows) {
  KeyFact fact;
  fact.key.id = "http.basic_password:robot@corp.test #1";
  fact.key.kind = "http.basic_password";
  fact.selector = fact.host = "corp.test";
  examiner.files["/root/.netrc"] = file_of({fact});
  start(10);
  open(10, "/root/.netrc");
  call(10, "corp.test");
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + fact.key.id});
  EXPECT_EQ(uses[0].destination.host, "corp.test");
}

TEST_F(Cases, WhatATokenTellsIsHandedBackWithWhoReadIt) {
  constexpr char kToken[] = "/run/secrets/kubernetes.io/serviceaccount/token";
  KeyFact named;
  named.key.id = "kid/jti";
  named.key.kind = "k8s.service_account_token";
  named.claims = {{fact::kPodName, "api-1"}};
  KeyFact without = named;
  without.key.id = "kid/other";
  without.claims.clear();
  examiner.files[kToken] = file_of({named, without});
  start(10);
  open(10, kToken);
  collect();
  ASSERT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens[0].workload->id, "host:test");
  EXPECT_EQ(tokens[0].place, kToken);
  EXPECT_EQ(tokens[0].key_kind, named.key.kind);
  EXPECT_EQ(tokens[0].claims, named.claims);
}

TEST_F(Cases, TheEntryOfAnotherHostIsNotInferred) {
  KeyFact fact;
  fact.key.id = "registry.password:robot@index.docker.io #1";
  fact.key.kind = "registry.password";
  fact.selector = "https://index.docker.io/v1/";
  examiner.files["/root/.docker/config.json"] = file_of({fact});
  start(10);
  open(10, "/root/.docker/config.json");
  call(10, "quay.io");
  call(10, "auth.docker.io");
  EXPECT_EQ(told(),
            (Lines{"possible entry_of_another_host: " + fact.key.id, "inferred only_key_held: " + fact.key.id}));
}

TEST_F(Cases, AnEntryOfAnIpv6AddressIsThatOfItsHost) {
  KeyFact fact;
  fact.key.id = "fp:1";
  fact.key.kind = "k8s.static_token";
  fact.selector = "one";
  fact.host = "[2001:DB8::0:1]:6443";
  KeyFact other = fact;
  other.key.id = "fp:2";
  other.selector = "two";
  other.host = "[2001:db8::2]:6443";
  examiner.files["/root/.kube/config"] = file_of({other, fact});
  SocketAddress server;
  server.v6 = true;
  server.address = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  server.port = 6443;
  start(10, {.exe = "/usr/bin/kubectl", .filename = "/usr/bin/kubectl"});
  open(10, "/root/.kube/config");
  call(10, "", server);
  EXPECT_EQ(told(), Lines{"inferred selector: fp:1"});
  EXPECT_EQ(uses[0].destination.host, "2001:db8::1");
}

TEST_F(Cases, ARegistryAtAnIpv6AddressHasItsEntry) {
  KeyFact fact;
  fact.key.id = "registry.password:robot@[::1]:5000 #1";
  fact.key.kind = "registry.password";
  fact.selector = fact.host = "[::1]:5000";
  examiner.files["/root/.docker/config.json"] = file_of({fact});
  SocketAddress registry;
  registry.v6 = true;
  registry.address[15] = 1;
  registry.port = 5000;
  start(10);
  open(10, "/root/.docker/config.json");
  connect(10, 1, registry);
  http(10, 1, "::1", "/v2/");
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + fact.key.id});
}

TEST_F(Cases, GitAsksItsHelperAfterTheServerRefused) {
  KeyFact fact;
  fact.key.id = "fp:1";
  fact.key.kind = "github.token";
  fact.selector = fact.host = "github.com";
  KeyFact other = fact;
  other.key.id = "fp:2";
  other.selector = other.host = "git.example";
  examiner.files["/root/.git-credentials"] = file_of({other, fact});
  start(10, {"/usr/lib/git-core/git-remote-http", "/usr/lib/git-core/git-remote-https", {}, {}, false});
  call(10, "github.com");
  EXPECT_TRUE(told().empty());
  fork(10, 11);
  exec(11, {"/usr/lib/git-core/git", "/usr/lib/git-core/git", {}, {}, false});
  open(11, "/root/.git-credentials");
  exit(11);
  exit(10);
  EXPECT_EQ(told(), Lines{"inferred helper: fp:1"});
}

TEST_F(Cases, TheArgumentOfSshNamesTheFileNotAnEntry) {
  KeyFact fact;
  fact.key.id = "SHA256:x";
  fact.key.kind = "ssh.private_key";
  examiner.files["/root/.ssh/id_deploy"] = file_of({fact});
  start(10, {"/usr/bin/ssh", "/usr/bin/ssh", {}, {flag("-i", "/root/.ssh/id_deploy")}, false});
  open(10, "/root/.ssh/id_deploy");
  connect(10, 1, ip(9, 22));
  payload(10, 1, "");
  exit(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: SHA256:x"});
}

TEST_F(Cases, TwoProcessesAtTheSameTimeDoNotMix) {
  start(10, {.env = aws_env(kA)});
  start(11, {.env = aws_env(kB)});
  connect(10, 1);
  connect(11, 2);
  payload(11, 2);
  payload(10, 1);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kB, "inferred only_key_held: " + kA}));
  EXPECT_EQ(uses[0].actor.id.tgid, 11U);
  EXPECT_EQ(uses[1].actor.id.tgid, 10U);
}

TEST_F(Cases, ABackupProgramIsABulkReader) {
  one_key();
  start(10, {"/usr/bin/tar", "/bin/tar", {}, {}, false});
  open(10);
  collect();
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_TRUE(acquisitions[0].bulk);
  EXPECT_TRUE(uses.empty());
}

TEST_F(Cases, EightKeyFilesInTenSecondsMakeABulkReader) {
  start(10);
  for (int i = 0; i < 9; ++i) {
    const std::string path = "/home/u" + std::to_string(i) + "/.aws/credentials";
    examiner.files[path] =
        file_of({aws_fact("AKIAAAAAAAAAAAAAAA" + std::to_string(20 + i))}, static_cast<std::uint64_t>(100 + i));
    open(10, path);
  }
  collect();
  EXPECT_FALSE(acquisitions.front().bulk);
  EXPECT_TRUE(acquisitions.back().bulk);
}

// 5. Lineage.
TEST_F(Cases, ParentReadsForkedChildCalls) {
  one_key();
  start(10);
  open(10);
  fork(10, 11);
  call(11);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(uses[0].actor.id.tgid, 11U);
  EXPECT_EQ(acquired().size(), 1U) << "a fork is no acquisition";
  EXPECT_EQ(holders[11][kA].how, How::kFork);
}

TEST_F(Cases, ShellExportsAndStarts) {
  start(10, {"/usr/bin/bash", "/bin/bash", {}, {}, false});
  fork(10, 11);
  exec(11, {.env = aws_env(kA)});
  call(11);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  EXPECT_EQ(acquired(), Lines{"environment AWS_ACCESS_KEY_ID [] " + kA + " by 11"});
}

TEST_F(Cases, BashThatExecutesInPlace) {
  start(10, {"/usr/bin/bash", "/bin/bash", aws_env(kA), {}, false});
  exec(10, {.env = aws_env(kA)});
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  collect();
  ASSERT_EQ(acquisitions.size(), 2U) << "the first of the chain, and the one that uses it";
  EXPECT_EQ(acquisitions[0].actor.program, "bash");
  EXPECT_EQ(acquisitions[1].actor.exe, "/usr/bin/python3.11");
}

TEST_F(Cases, SixteenHelpersThatInheritAreNoNews) {
  start(10, aws_program(aws_env(kA)));
  for (std::uint32_t pid = 100; pid < 116; ++pid) {
    fork(10, pid);
    exec(pid, {"/usr/bin/tool" + std::to_string(pid), "/usr/bin/tool" + std::to_string(pid), aws_env(kA), {}, false});
    exit(pid);
  }
  EXPECT_EQ(acquired().size(), 1U);
  EXPECT_EQ(holders.size(), 1U) << "what lived shorter than a batch never reaches the table";
}

TEST_F(Cases, KeyReadBeforeAnExecIsPossibleAtMost) {
  one_key();
  start(10);
  open(10);
  exec(10, {"/usr/bin/other", "/usr/bin/other", {}, {}, false});
  call(10);
  EXPECT_EQ(told(), Lines{"possible lost_at_exec: " + kA});
}

TEST_F(Cases, OneThreadReadsAnotherCalls) {
  one_key();
  start(10);
  open(10);  // threads share the instance: events name the process, whichever task it was
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Cases, AReusedPidDoesNotJoin) {
  one_key();
  start(10);
  open(10);
  exit(10);
  clock.now += kMs;
  start(10);
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"});
}

TEST_F(Cases, AReusedPidDoesNotJoinWhenTheExitWasMissed) {
  one_key();
  start(10);
  open(10);
  clock.now += kMs;
  start(10);
  call(10);
  EXPECT_EQ(told(), Lines{"unattributed no_key_seen:"});
  EXPECT_FALSE(holders.contains(10));
}

TEST_F(Cases, TheUseBelongsToTheWriter) {
  start(10);
  start(11, {.env = aws_env(kA)});
  connect(10, 1);
  payload(11, 1);
  collect();
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].actor.id.tgid, 11U);
}

TEST_F(Cases, WhatAHelperReadIsPossibleForItsCaller) {
  KeyFact fact;
  fact.key.id = "fp:11111111111111111111111111111111";
  fact.key.kind = "git.password";
  fact.untold = true;
  const std::string path = "/root/.git-credentials";
  ASSERT_NE(catalog::Catalog::builtin().match_file(path), nullptr);
  start(10, {"/usr/lib/git-core/git-remote-http", "/usr/lib/git-core/git-remote-https", {}, {}, false});
  fork(10, 11);
  exec(11, {"/usr/lib/git-core/git-credential-store", "/usr/lib/git-core/git-credential-store", {}, {}, false});
  fact.selector = "github.com";
  examiner.files[path] = file_of({fact});
  open(11, path);
  exit(11);
  call(10, "github.com");
  call(10, "api.github.com");
  exit(10);
  collect();
  ASSERT_FALSE(uses.empty());
  EXPECT_EQ(told()[0], "inferred helper: " + fact.key.id) << "its entry is bound to this host";
  for (std::size_t i = 1; i < uses.size(); ++i)
    EXPECT_EQ(told()[i], "possible from_helper: " + fact.key.id);
}

TEST_F(Cases, TheHostOfAnEntryBindsItWhateverItsSelectorIs) {
  KeyFact mine, other;
  mine.key.kind = other.key.kind = "github.token";
  mine.key.id = "fp:11111111111111111111111111111111";
  mine.selector = "work";
  mine.host = "github.com:443";
  other.key.id = "fp:22222222222222222222222222222222";
  other.selector = "github.com";  // a name only: its host is another
  other.host = "git.example";
  const std::string path = "/root/.git-credentials";
  start(10, {"/usr/bin/git", "/usr/bin/git", {}, {}, false});
  examiner.files[path] = file_of({other, mine});
  open(10, path);
  call(10, "github.com");
  exit(10);
  EXPECT_EQ(told(), Lines{"inferred selector: " + mine.key.id});
}

TEST_F(Cases, OneKeyOfTwoEntriesIsShownInTheOneThatIsMeant) {
  KeyFact elsewhere, here;
  elsewhere.key.kind = here.key.kind = "github.token";
  elsewhere.key.id = here.key.id = "fp:11111111111111111111111111111111";
  elsewhere.selector = elsewhere.host = "git.example";
  here.selector = here.host = "github.com";
  const std::string path = "/root/.git-credentials";
  start(10, {"/usr/bin/git", "/usr/bin/git", {}, {}, false});
  examiner.files[path] = file_of({elsewhere, here});
  open(10, path);
  call(10, "github.com");
  exit(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + here.key.id});
  EXPECT_EQ(uses.at(0).keys.at(0).slot.selector, "github.com");
}

// 6. Rotation.
TEST_F(Cases, OldKeyGoesOnAfterAnotherProcessReadTheNewOne) {
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 1);
  start(10);
  open(10);
  call(10);
  examiner.files[kCredentials] = file_of({aws_fact(kB)}, 2);
  start(11);
  open(11);
  call(10);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kA, "inferred only_key_held: " + kA}));
  EXPECT_TRUE(holders[10][kA].slot_changed);
  EXPECT_FALSE(holders[11][kB].slot_changed);
  ASSERT_EQ(slot_changes.size(), 2U) << "the first key and the other one";
  EXPECT_EQ(slot_changes[0].old_id, "");
  EXPECT_EQ(slot_changes[1].old_id, kA);
  EXPECT_EQ(slot_changes[1].new_id, kB);
  EXPECT_EQ(slot_changes[1].place, kCredentials);
}

TEST_F(Cases, WhoReadTheNewKeyOfASlotUsesItForNewConnectionsAndHoldsTheOldOneNoMore) {
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 1);
  start(10);
  open(10);
  call(10);
  collect();
  ASSERT_TRUE(holders[10].contains(kA));
  examiner.files[kCredentials] = file_of({aws_fact(kB)}, 2);
  open(10);
  call(10);
  collect();
  EXPECT_FALSE(holders[10].contains(kA));
  EXPECT_TRUE(holders[10].contains(kB));
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 3);  // and back
  open(10);
  call(10);
  EXPECT_EQ(told(),
            (Lines{"inferred only_key_held: " + kA, "inferred only_key_held: " + kB, "inferred only_key_held: " + kA}));
  EXPECT_TRUE(holders[10].contains(kA));
  EXPECT_FALSE(holders[10].contains(kB));
}

TEST_F(Cases, OtherEntriesOfAFileThatWasReadAgainAreStillHeld) {
  examiner.files[kCredentials] = file_of({aws_fact(kA, "default"), aws_fact(kB, "prod")}, 1);
  start(10);
  open(10);
  const std::string next = "AKIAI44QH8DHCEXAMPLE";
  examiner.files[kCredentials] = file_of({aws_fact(next, "default"), aws_fact(kB, "prod")}, 2);
  open(10);
  collect();
  EXPECT_FALSE(holders[10].contains(kA));
  EXPECT_TRUE(holders[10].contains(kB));
  EXPECT_TRUE(holders[10].contains(next));
}

TEST_F(Cases, ARotationThatNobodyReadsIsNoticedByLooking) {
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 1);
  start(10);
  open(10);
  tick();
  collect();
  EXPECT_FALSE(holders[10][kA].slot_changed);
  examiner.files[kCredentials] = file_of({aws_fact(kB)}, 2);
  tick(10'000);
  collect();
  EXPECT_TRUE(holders[10][kA].slot_changed);
  EXPECT_TRUE(replaced(kA));
  EXPECT_EQ(acquisitions.size(), 1U) << "nobody acquired the new key";
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
}

TEST_F(Cases, OnePathInTwoMountNamespacesIsNoRotation) {
  examiner.files[in_mount_ns(1, kCredentials)] = file_of({aws_fact(kA)}, 1);
  examiner.files[in_mount_ns(2, kCredentials)] = file_of({aws_fact(kB)}, 2);
  start(10);
  start(20);
  unshare(20, 2);
  open(10);
  open(20);
  tick(10'000);  // the looks through both
  open(10);
  collect();
  EXPECT_FALSE(replaced(kA));
  EXPECT_FALSE(replaced(kB));
  EXPECT_FALSE(holders[10][kA].slot_changed);
  EXPECT_FALSE(holders[20][kB].slot_changed);
}

TEST_F(Cases, ANewKeyThatAnotherMountNamespaceReadFirstIsARotationOfTheOneFile) {
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 1);
  start(10);
  start(20);
  unshare(20, 2);
  open(10);
  examiner.files[kCredentials] = file_of({aws_fact(kB)}, 2);
  open(20);
  collect();
  EXPECT_TRUE(replaced(kA));
  EXPECT_TRUE(holders[10][kA].slot_changed);
}

TEST_F(Cases, AServiceThatStartsAnewInAMountNamespaceOfItsOwnSeesARotation) {
  start(10);
  unshare(10, 2, "app.service");
  examiner.files[in_mount_ns(2, kCredentials)] = file_of({aws_fact(kA)}, 1);
  open(10);
  exit(10);
  start(20);
  unshare(20, 3, "app.service");
  examiner.files[in_mount_ns(3, kCredentials)] = file_of({aws_fact(kB)}, 2);
  open(20);
  collect();
  EXPECT_TRUE(replaced(kA));
}

TEST_F(Cases, ServicesWithMountsOfTheirOwnShareAPathAndEachRotationIsNoticed) {
  for (const std::uint32_t ns : {2U, 3U, 4U}) {
    examiner.files[in_mount_ns(ns, kCredentials)] = file_of({aws_fact(kA + std::to_string(ns))}, ns);
    start(10 * ns);
    unshare(10 * ns, ns, "app" + std::to_string(ns) + ".service");
    open(10 * ns);
  }
  tick(10'000);
  collect();
  for (const std::uint32_t ns : {2U, 3U, 4U}) {
    EXPECT_FALSE(replaced(kA + std::to_string(ns)));
    examiner.files[in_mount_ns(ns, kCredentials)] = file_of({aws_fact(kB + std::to_string(ns))}, 10 + ns);
  }
  tick(10'000);
  collect();
  for (const std::uint32_t ns : {2U, 3U, 4U}) {
    EXPECT_TRUE(replaced(kA + std::to_string(ns)));
    EXPECT_TRUE(holders[10 * ns][kA + std::to_string(ns)].slot_changed);
  }
}

TEST_F(Cases, AServiceThatEndsLeavesItsPathToNobodyElse) {
  examiner.files[in_mount_ns(1, kCredentials)] = file_of({aws_fact(kA)}, 1);
  examiner.files[in_mount_ns(2, kCredentials)] = file_of({aws_fact(kB)}, 2);
  start(10);
  start(20);
  unshare(20, 2);
  open(20);
  open(10);
  exit(20);
  tick(10'000);
  tick(10'000);
  collect();
  EXPECT_FALSE(replaced(kB)) << "what is read in another mount namespace is another file";
}

TEST_F(Cases, ASlotThatGoesBackIsNoRotationAnyMore) {
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 1);
  start(10);
  open(10);
  examiner.files[kCredentials] = file_of({aws_fact(kB)}, 2);
  open(10);
  examiner.files[kCredentials] = file_of({aws_fact(kA)}, 3);
  open(10);
  collect();
  EXPECT_FALSE(replaced(kA));
  EXPECT_TRUE(replaced(kB));
}

TEST_F(Cases, AReadThatCameTooLateIsTheFileThatWasReadBefore) {
  one_key();
  start(10);
  open(10);
  FileAnswer late;
  late.unread = "changed";
  // Put in its place, as git's credential store does; the open was of the file before.
  examiner.files[kCredentials] = late;
  start(11);
  open(11);
  call(11);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA});
  ASSERT_EQ(acquisitions.size(), 1U) << "and nothing says unread";
  collect();
  EXPECT_FALSE(replaced(kA));
  late.file.inode = 99;
  examiner.files[kCredentials] = late;
  open(11);
  EXPECT_EQ(acquired().back(), "file " + kCredentials + " [] unread changed by 11") << "another file";
}

TEST_F(Cases, AnUnreadFileIsOfTheClassThatItUsuallyHolds) {
  FileAnswer refused;
  refused.unread = "refused";
  examiner.files["/etc/cryptsetup-keys.d/data.key"] = refused;
  start(10);
  open(10, "/etc/cryptsetup-keys.d/data.key");
  collect();
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_EQ(acquisitions[0].key.kind, "disk.key");
  EXPECT_EQ(acquisitions[0].key.key_class, KeyClass::kEncryptionKey);
}

// 7. What ran before the agent, and after a restart.
TEST_F(Cases, BaselineEnvironmentIsPossible) {
  EnvironmentAnswer answer;
  for (const EnvItem& item : aws_env(kA))
    answer.env.push_back(item);
  examiner.environments[20] = answer;
  const ProcessRef old = make_process({20, 5, 3}, {}, {}, Origin::kBaseline);
  send(old->id, TaskEvent{}, old, {}, true);
  link->set_armed_ns(clock.now);
  call(20);
  EXPECT_EQ(told(), Lines{"possible exec_not_seen: " + kA});
  ASSERT_EQ(acquisitions.size(), 1U);
  EXPECT_TRUE(acquisitions[0].baseline);
  EXPECT_EQ(holders[20][kA].how, How::kBaseline);
}

TEST_F(Cases, BaselineOpenFileIsPossible) {
  one_key();
  const ProcessRef old = make_process({20, 5, 3}, {}, {}, Origin::kBaseline);
  send(old->id, TaskEvent{}, old, {}, true);
  open(20, kCredentials, true);
  send({}, BaselineDoneEvent{clock.now}, {});
  call(20);
  EXPECT_EQ(told(), Lines{"possible exec_not_seen: " + kA});
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_EQ(gaps[0].cause, "baseline");
}

TEST_F(Cases, AChildOfAnOldProcessIsNotSurer) {
  const ProcessRef old = make_process({20, 5, 3}, {}, {}, Origin::kBaseline);
  send(old->id, TaskEvent{}, old, {}, true);
  fork(20, 21);
  call(21);
  EXPECT_EQ(told(), Lines{"unattributed exec_not_seen:"});
}

TEST_F(Cases, AfterARestartTheHoldersAreKnownAsWellAsBefore) {
  one_key();
  start(10);
  open(10);
  call(10);
  collect();
  const Earlier stored = earlier();
  const Holding held = holders[10][kA];
  uses.clear();
  acquisitions.clear();
  make();
  link->load(stored);
  link->adopt(held, process(10));
  link->gap(clock.now, clock.now + kMs, "worker_restart", 0, "");
  tick();
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA}) << "the counters prove the gap empty";
  open(10);
  EXPECT_TRUE(acquired().empty()) << "no news";
  link->gap(clock.now, clock.now + kMs, "agent_restart", std::nullopt, "");
  clock.now += 2 * kMs;
  call(10);
  EXPECT_EQ(told().back(), "possible gap_in_life: " + kA);
}

TEST_F(Cases, AfterARestartABrokerIsNotForgotten) {
  one_key();
  start(10);
  open(10);
  send(process(10)->id, UnixConnectEvent{"/srv/unknown.sock"}, process(10));
  collect();
  const Earlier stored = earlier();
  const Holding held = holders[10][kA];
  make();
  link->load(stored);
  link->adopt(held, process(10));
  call(10);
  EXPECT_EQ(told(), Lines{"possible local_broker: " + kA});
}

TEST_F(Cases, AfterARestartAKeysHostIsKnownWithoutReadingItsFileAgain) {
  KeyFact fact;
  fact.key.id = "fp:1";
  fact.key.kind = "k8s.static_token";
  fact.selector = "one";
  fact.host = "cluster.test";
  KeyFact other = fact;
  other.key.id = "fp:2";
  other.selector = "two";
  other.host = "second.test";
  examiner.files["/root/.kube/config"] = file_of({fact, other});
  start(10);
  open(10, "/root/.kube/config");
  call(10, "second.test");
  const Lines before = told();
  EXPECT_EQ(before, Lines{"possible selector_in_runtime: fp:2 fp:1"});
  collect();
  uses.clear();
  const Earlier stored = earlier();
  const auto held = holders[10];
  ASSERT_EQ(held.size(), 2U);
  make();
  link->load(stored);
  for (const auto& [id, holding] : held)
    link->adopt(holding, process(10));
  call(10, "second.test");
  call(10, "elsewhere.test");
  EXPECT_EQ(told(), (Lines{before[0], "possible unknown_destination: fp:1 fp:2"}));
}

}  // namespace
}  // namespace keytrail::link
