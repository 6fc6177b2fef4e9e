// SPDX-License-Identifier: Apache-2.0
// What the matcher promises beyond the cases: paths as the kernel gives them, programs, selectors, sockets, metadata,
// speed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/host.h"
#include "agent/catalog/catalog.h"
#include "agent/catalog/ranges.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog {
namespace {

using testing::AllOf, testing::Contains, testing::EndsWith, testing::HasSubstr, testing::StartsWith;

const Catalog& catalog() { return Catalog::builtin(); }

std::string file_id(std::string_view path) {
  const File* found = catalog().match_file(path);
  return found == nullptr ? "-" : std::string(found->id);
}

SocketAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d, std::uint16_t port) {
  SocketAddress out;
  out.address = {a, b, c, d};
  out.port = port;
  return out;
}

TEST(Paths, ADotDirectoryCountsBelowAnyHome) {
  EXPECT_EQ(file_id("/tmp/test/home/.aws/credentials"), "aws.shared_credentials");
  EXPECT_EQ(file_id("/.aws/credentials"), "aws.shared_credentials");
  EXPECT_EQ(file_id("/var/lib/jenkins/.aws/credentials"), "aws.shared_credentials");
  EXPECT_EQ(file_id("/srv/app/.kube/config"), "k8s.kubeconfig_user");
}

TEST(Paths, ASingleDotFileCountsOnlyInAHome) {
  EXPECT_EQ(file_id("/home/dev/.netrc"), "vcs.netrc");
  EXPECT_EQ(file_id("/root/.netrc"), "vcs.netrc");
  EXPECT_EQ(file_id("/usr/share/doc/.netrc"), "-");
}

TEST(Paths, AProjectedVolumeMatchesAsTheKernelNamesIt) {
  const std::string at = "/run/secrets/kubernetes.io/serviceaccount/";
  EXPECT_EQ(file_id(at + "token"), "k8s.sa_token");
  EXPECT_EQ(file_id(at + "..data/token"), "k8s.sa_token");
  EXPECT_EQ(file_id(at + "..2026_11_21_04_05_06.123456789/token"), "k8s.sa_token");
  EXPECT_EQ(file_id("/var" + at + "..2026_11_21_04_05_06.123456789/token"), "k8s.sa_token");
}

TEST(Paths, ProcRootIsStrippedAndOtherProcPathsAreNot) {
  EXPECT_EQ(file_id("/proc/self/root/home/dev/.aws/credentials"), "aws.shared_credentials");
  EXPECT_EQ(file_id("/proc/x/root/etc/kubernetes/admin.conf"), "-");
}

TEST(Paths, ExclusionsHold) {
  EXPECT_EQ(file_id("/root/.ssh/id_ed25519"), "key.ssh_private");
  EXPECT_EQ(file_id("/root/.ssh/id_ed25519.pub"), "-");
  EXPECT_EQ(file_id("/etc/ssl/certs/ca-certificates.crt"), "key.none_authorities");
  EXPECT_EQ(file_id("/usr/lib/python3/dist-packages/certifi/cacert.pem"), "key.none_authorities");
}

TEST(Paths, StrangeInputIsNoMatch) {
  for (const char* path : {"", "/", "relative/.aws/credentials", "//", "/..", "/proc/1/root", "~/.aws/credentials"})
    EXPECT_EQ(file_id(path), "-") << path;
  EXPECT_EQ(file_id(std::string(5000, '/') + std::string(5000, 'a')), "-");
}

TEST(Paths, AFileOfManyKeysNamesItsSelectorAndFormat) {
  const File* found = catalog().match_file("/root/.aws/credentials");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->format, "aws_credentials");
  EXPECT_EQ(found->selector, "sel.aws.profile");
  EXPECT_EQ(found->kind, "aws.access_key");
  EXPECT_EQ(found->kinds.size(), 14U) << "AWS's and those of the services that speak S3";
  EXPECT_EQ(catalog().file("aws.shared_credentials"), found);
}

TEST(Environment, APairNamesItsOtherHalf) {
  const Env* id = catalog().match_env("AWS_ACCESS_KEY_ID");
  ASSERT_NE(id, nullptr);
  EXPECT_EQ(id->use, EnvUse::kIdentifier);
  EXPECT_EQ(id->pair, "AWS_SECRET_ACCESS_KEY");
  EXPECT_TRUE(id->show);
  const Env* secret = catalog().match_env("AWS_SECRET_ACCESS_KEY");
  ASSERT_NE(secret, nullptr);
  EXPECT_EQ(secret->pair, "AWS_ACCESS_KEY_ID");
  EXPECT_FALSE(secret->show);
}

TEST(Environment, AnExactNameWinsOverAPattern) {
  EXPECT_EQ(catalog().match_env("TELEPORT_BOT_TOKEN")->provider, "teleport");
  EXPECT_EQ(catalog().match_env("ANYTHING_TOKEN")->provider, "generic");
  EXPECT_EQ(catalog().match_env("HOME"), nullptr);
}

TEST(Environment, AVariableNamesADestination) {
  const auto cluster = catalog().bound_endpoint("KUBERNETES_SERVICE_HOST");
  ASSERT_TRUE(cluster);
  EXPECT_EQ(cluster->provider, "kubernetes");
  EXPECT_TRUE(catalog().accepts(*cluster, "k8s.service_account_token"));
  EXPECT_EQ(catalog().match_env("KUBERNETES_SERVICE_HOST")->service, "kubernetes/api");
  const auto s3 = catalog().bound_endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER");
  ASSERT_TRUE(s3);
  EXPECT_EQ(s3->service, "secrets-manager");
}

TEST(Metadata, TheRoleIsInThePath) {
  const auto found =
      catalog().match_metadata(v4(169, 254, 169, 254, 80), "", "/latest/meta-data/iam/security-credentials/app-role");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, "aws.session");
  EXPECT_EQ(found->role, "app-role");
  EXPECT_TRUE(found->key);
}

TEST(Metadata, ListingRolesAndTheSessionTokenAreSteps) {
  const auto list =
      catalog().match_metadata(v4(169, 254, 169, 254, 80), "", "/latest/meta-data/iam/security-credentials/");
  ASSERT_TRUE(list);
  EXPECT_FALSE(list->key);
  const auto token = catalog().match_metadata(v4(169, 254, 169, 254, 80), "", "/latest/api/token");
  ASSERT_TRUE(token);
  EXPECT_FALSE(token->key);
}

TEST(Metadata, OtherCloudsAndRelativesAreKnown) {
  const auto gcp = catalog().match_metadata(v4(169, 254, 169, 254, 80), "metadata.google.internal",
                                            "/computeMetadata/v1/instance/service-accounts/default/token");
  ASSERT_TRUE(gcp);
  EXPECT_EQ(gcp->kind, "gcp.access_token");
  EXPECT_EQ(gcp->role, "default");
  EXPECT_EQ(catalog().match_metadata(v4(169, 254, 169, 254, 80), "", "/metadata/identity/oauth2/token")->kind,
            "azure.access_token");
  EXPECT_EQ(catalog().match_metadata(v4(169, 254, 170, 2, 80), "", "/v2/credentials/0a1b")->kind, "aws.session");
  EXPECT_EQ(catalog().match_metadata(v4(169, 254, 170, 23, 80), "", "/v1/credentials")->kind, "aws.session");
  EXPECT_TRUE(catalog().is_metadata_address(v4(169, 254, 169, 254, 80)));
  EXPECT_TRUE(catalog().is_metadata_address(v4(169, 254, 170, 2, 80)));
  EXPECT_FALSE(catalog().is_metadata_address(v4(127, 0, 0, 1, 80)));
  EXPECT_FALSE(catalog().is_metadata_address(v4(10, 0, 0, 1, 80)));
}

TEST(Programs, AScriptIsKnownByWhatWasExecuted) {
  const Program* aws = catalog().match_program("/usr/bin/python3.11", "/usr/bin/aws");
  ASSERT_NE(aws, nullptr);
  EXPECT_EQ(aws->id, "pg.aws");
  EXPECT_TRUE(aws->obeys_selectors);
  const Program* python = catalog().match_program("/usr/bin/python3.11", "/usr/bin/python3");
  ASSERT_NE(python, nullptr);
  EXPECT_TRUE(python->runtime);
  EXPECT_FALSE(python->obeys_selectors);
}

TEST(Programs, ACopyElsewhereIsNotTrusted) {
  EXPECT_EQ(catalog().match_program("/tmp/aws", "/tmp/aws"), nullptr);
  EXPECT_EQ(catalog().match_program("/home/x/curl", ""), nullptr);
  EXPECT_EQ(catalog().match_program("/opt/../tmp/aws", ""), nullptr);
  const Program* script = catalog().match_program("/usr/bin/python3.11", "/tmp/aws");
  ASSERT_NE(script, nullptr);
  EXPECT_FALSE(script->obeys_selectors);
  const Program* runtime = catalog().match_program("/tmp/python3", "/usr/bin/aws");
  ASSERT_NE(runtime, nullptr);
  EXPECT_FALSE(runtime->obeys_selectors);
}

TEST(Programs, FlagsThatLowerEvidenceCountAnywhere) {
  EXPECT_TRUE(catalog().match_program("/app/envoy", "")->relay);
  EXPECT_TRUE(catalog().match_program("/usr/bin/tar", "")->bulk_reader);
  EXPECT_TRUE(catalog().match_program("/opt/venv/bin/python3.12", "")->runtime);
  EXPECT_TRUE(catalog().match_program("/usr/bin/git", "")->obeys_selectors);
  EXPECT_TRUE(catalog().match_program("/usr/lib/git-core/git-credential-store", "")->helper);
  EXPECT_EQ(catalog().match_program("/usr/bin/ls", ""), nullptr);
  EXPECT_EQ(catalog().match_program("", ""), nullptr);
}

TEST(Programs, ReadersInBulkAreProgramsToo) {
  EXPECT_TRUE(catalog().match_program("/usr/bin/borgmatic", "")->bulk_reader);
  EXPECT_TRUE(catalog().match_program("/usr/bin/python3.11", "/usr/bin/borgmatic")->bulk_reader);
  EXPECT_TRUE(catalog().match_program("/opt/sentinelone/bin/anything", "")->bulk_reader);
  EXPECT_EQ(catalog().match_program("/opt/sentineloneX/bin/anything", ""), nullptr);
  EXPECT_EQ(catalog().match_program("/opt/sentinelone/../../tmp/x", ""), nullptr);
  // The name in the kernel has 15 characters, the executable's has all.
  EXPECT_TRUE(catalog().match_program("/opt/qualys/qualys-cloud-agent", "")->bulk_reader);
}

TEST(Programs, ARelaySaysWhatIsItsOwn) {
  const Program* proxy = catalog().match_program("/usr/local/bin/cloud-sql-proxy", "");
  ASSERT_NE(proxy, nullptr);
  EXPECT_TRUE(proxy->relay);
  EXPECT_EQ(proxy->adds_key, Often::kAlways);
  EXPECT_EQ(proxy->ends_tls, Often::kAlways);
  EXPECT_NE(std::ranges::find(proxy->kinds, "gcp.access_token"), proxy->kinds.end());
  EXPECT_EQ(catalog().match_program("/usr/bin/tinyproxy", "")->adds_key, Often::kNever);
  // vault is a relay only as `vault agent` or `vault proxy`: its name alone says nothing.
  const Program* vault = catalog().match_program("/usr/bin/vault", "");
  EXPECT_TRUE(vault == nullptr || !vault->relay);
}

TEST(Readers, TheOwnerComesBeforeWhoeverReadsAnything) {
  const File* aws = catalog().match_file("/root/.aws/credentials");
  const auto owner = catalog().match_reader("/usr/bin/python3.11", "/usr/bin/aws", aws);
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->id, "rd.aws_cli");
  EXPECT_TRUE(owner->expected);
  const auto backup = catalog().match_reader("/usr/bin/restic", "", aws);
  EXPECT_EQ(backup->role, ReaderRole::kBackup);
  EXPECT_EQ(catalog().match_reader("/usr/bin/base64", "", aws)->role, ReaderRole::kPerson);
  const auto elsewhere = catalog().match_reader("/usr/bin/psql", "", aws);
  ASSERT_TRUE(elsewhere);
  EXPECT_FALSE(elsewhere->expected);
  EXPECT_FALSE(catalog().match_reader("/usr/bin/somebody", "", aws));
  EXPECT_EQ(catalog().match_reader("/opt/CrowdStrike/falcon", "", nullptr)->role, ReaderRole::kScanner);
}

TEST(Readers, AccountToolsUsuallyReadTheShadowFile) {
  const File* shadow = catalog().match_file("/etc/shadow");
  for (const auto& [exe, filename] : {std::pair{"/usr/bin/sudo", ""},
                                      {"/usr/bin/perl", "/usr/sbin/adduser"},
                                      {"/usr/bin/perl", "/usr/sbin/deluser"},
                                      {"/usr/sbin/sshd", ""}}) {
    const auto reader = catalog().match_reader(exe, filename, shadow);
    ASSERT_TRUE(reader) << exe << filename;
    EXPECT_TRUE(reader->expected && reader->role == ReaderRole::kOwner) << exe << filename;
  }
  const auto perl = catalog().match_reader("/usr/bin/perl", "/root/x.pl", shadow);
  EXPECT_FALSE(perl && perl->role == ReaderRole::kOwner) << "any other script of perl's is not";
}

TEST(Requests, ThePathThatHandsOutKeys) {
  const auto github = catalog().match_request("api.github.com", "/app/installations/42/access_tokens");
  ASSERT_TRUE(github);
  EXPECT_EQ(github->kinds.front(), "github.installation_token");
  EXPECT_FALSE(catalog().match_request("api.github.com", "/repos/x/y"));
  EXPECT_EQ(catalog().match_request("STS.eu-west-1.amazonaws.com:443", "/?Action=AssumeRole")->id, "iss.aws.sts");
  // Any host may serve Vault's paths: they count where the destination is a Vault.
  EXPECT_FALSE(catalog().match_request("www.example.org", "/v1/auth/approle/login"));
}

TEST(Requests, ThePathNarrowsWhatAnIssuerGives) {
  const auto vault = catalog().bound_endpoint("VAULT_ADDR");
  ASSERT_TRUE(vault);
  const auto all = catalog().issues(*vault, "vault.token");
  const auto created = catalog().issues(*vault, "vault.token", "/v1/auth/token/create");
  EXPECT_EQ(created, std::vector<std::string_view>{"vault.token"});
  EXPECT_GT(all.size(), created.size());
  // A path that is not listed says nothing.
  EXPECT_EQ(catalog().issues(*vault, "vault.token", "/v1/secret/data/app"), all);
}

TEST(Requests, WhatIsMadeFromAKeyIsFollowedToTheEnd) {
  const auto has = [](const std::vector<std::string_view>& all, std::string_view kind) {
    return std::ranges::find(all, kind) != all.end();
  };
  EXPECT_TRUE(has(catalog().issued_with("aws.access_key"), "aws.session"));
  EXPECT_TRUE(has(catalog().issued_with("k8s.projected_token"), "aws.session"));
  EXPECT_TRUE(catalog().issued_with("pgp.nothing").empty());
}

TEST(Kinds, WhatTheExaminerNamesExists) {
  for (const char* kind :
       {"aws.access_key", "aws.session", "generic.identity_token", "generic.secret", "k8s.legacy_service_account_token",
        "k8s.projected_token", "k8s.service_account_token", "oidc.id_token", "ssh.private_key", "tls.certificate",
        "tls.client_certificate", "tls.private_key"}) {
    EXPECT_NE(catalog().kind(kind), nullptr) << kind;
  }
  EXPECT_FALSE(catalog().kind("tls.certificate")->authenticates);
  EXPECT_EQ(catalog().kind("tls.certificate")->key_class, KeyClass::kCertificate);
}

TEST(Selectors, TheProfileIsChosenInTheDocumentedOrder) {
  const Selector* found = catalog().selector("sel.aws.profile");
  ASSERT_NE(found, nullptr);
  std::string order;
  for (const Selector::Step& step : found->steps)
    order += std::string(step.name) + " ";
  EXPECT_EQ(order,
            "--no-sign-request --profile AWS_ACCESS_KEY_ID AWS_WEB_IDENTITY_TOKEN_FILE AWS_DEFAULT_PROFILE AWS_PROFILE "
            "default ");
  EXPECT_EQ(found->steps.back().by, Selector::Step::By::kDefault);
  EXPECT_TRUE(catalog().selector("sel.k8s.context")->host_binds);
  EXPECT_EQ(catalog().selector("sel.nothing"), nullptr);
}

TEST(Sockets, HarmlessBrokerAndUnknown) {
  for (const char* path :
       {"/run/nscd/socket", "/var/run/nscd/socket", "/run/dbus/system_bus_socket", "/dev/log", "/run/systemd/notify",
        "/run/systemd/journal/stdout", "/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X0", "/var/lib/sss/pipes/nss"}) {
    EXPECT_EQ(catalog().match_socket(path).use, SocketUse::kHarmless) << path;
  }
  const LocalSocket agent = catalog().match_socket("/tmp/ssh-abc/agent.12");
  EXPECT_EQ(agent.use, SocketUse::kBroker);
  EXPECT_EQ(agent.kind, "ssh.private_key");
  EXPECT_EQ(catalog().match_socket("/run/docker.sock").use, SocketUse::kBroker);
  EXPECT_EQ(catalog().match_socket("/run/spire/sockets/agent.sock").use, SocketUse::kBroker);
  EXPECT_EQ(catalog().match_socket("/run/somebody/else.sock").use, SocketUse::kUnclassified);
  EXPECT_EQ(catalog().match_socket("").use, SocketUse::kUnclassified);
}

TEST(Hosts, PortTwentyTwoIsSsh) {
  const auto ssh = catalog().match_port(22);
  ASSERT_TRUE(ssh);
  EXPECT_TRUE(catalog().accepts(*ssh, "ssh.private_key"));
  const auto database = catalog().match_port(5432);
  ASSERT_TRUE(database);
  EXPECT_TRUE(catalog().accepts(*database, "postgres.password"));
  EXPECT_FALSE(catalog().match_port(443));
  const auto server = catalog().file_endpoint("sel.k8s.context");
  ASSERT_TRUE(server);
  EXPECT_EQ(server->provider, "kubernetes");
  EXPECT_FALSE(catalog().file_endpoint("sel.netrc"));
}

TEST(Hosts, AnEndpointMadeByHandTakesWhatItsServiceTakes) {
  const Endpoint s3{.provider = "aws", .service = "s3"};
  EXPECT_TRUE(catalog().accepts(s3, "aws.access_key"));
  EXPECT_FALSE(catalog().accepts(s3, "github.token"));
  EXPECT_FALSE(catalog().accepts({.provider = "nobody", .service = "x"}, "aws.access_key"));
}

TEST(Hosts, AWebSiteTakesNoKeys) {
  EXPECT_TRUE(catalog().match_host("s3.eu-west-1.amazonaws.com")->takes_keys);
  EXPECT_FALSE(catalog().match_host("site.s3-website.eu-central-1.amazonaws.com")->takes_keys);
  EXPECT_FALSE(catalog().match_host("example.org"));
}

TEST(Formats, AnIdentifierIsPublicAndASecretIsNot) {
  EXPECT_EQ(catalog().match_format("AKIA" + std::string(16, 'Q') + "\n"), "fmt.aws.akia");
  EXPECT_TRUE(catalog().format("fmt.aws.akia")->public_id);
  EXPECT_FALSE(catalog().format("fmt.github.pat_classic")->public_id);
  EXPECT_FALSE(catalog().match_format("hello"));
  EXPECT_FALSE(catalog().match_format("payments-abcdefghijklmnop"));
  EXPECT_TRUE(catalog().format(*catalog().match_format("0123456789abcdef0123456789abcdef"))->weak);
  EXPECT_FALSE(catalog().match_format(""));
}

TEST(Threads, ExpressionsAreCompiledOnceUnderContention) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (const char* host :
           {"dynamodb.eu-west-1.amazonaws.com", "a.blob.core.windows.net", "compute.googleapis.com"}) {
        EXPECT_TRUE(catalog().match_host(host));
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
}

TEST(List, EverySectionIsListed) {
  const auto all = catalog().list();
  EXPECT_GT(all.size(), 2000U);
  EXPECT_EQ(all.front().section, "kinds");
  std::set<std::string_view> sections;
  for (const auto& entry : all) {
    sections.insert(entry.section);
    if (entry.section == "files" || entry.section == "endpoints" || entry.section == "readers")
      EXPECT_NE(entry.verified, "") << entry.id;
  }
  EXPECT_EQ(sections, (std::set<std::string_view>{
                          "arguments", "bindings", "brokers",      "carried",  "commands", "endpoints", "env",
                          "files",     "formats",  "interpreters", "issuers",  "kinds",    "metadata",  "programs",
                          "proofs",    "ranges",   "readers",      "requests", "roles",    "selectors", "sockets"}));
  const auto wandb = std::ranges::find(all, "aws.shared_credentials", &Catalog::Listed::id);
  EXPECT_EQ(wandb->verified, "opened");
}

std::string hint(std::string_view provider, std::string_view address) {
  return range_hint(provider, base::parse_address(address).value());
}

TEST(Ranges, AnAddressOfTheProviderAnotherOrNobody) {
  EXPECT_THAT(hint("aws", "52.92.17.4"), StartsWith("in 52.92.0.0/16, a range that aws publishes (list of 20"));
  EXPECT_THAT(hint("cloudflare", "2606:4700:10::ac43:1"), StartsWith("in 2606:4700::/32, a range that cloudflare"));
  EXPECT_THAT(hint("github", "20.205.243.168"),
              AllOf(HasSubstr("that azure publishes"), EndsWith("in none of github's")));
  EXPECT_THAT(hint("aws", "203.0.113.9"),
              AllOf(StartsWith("in none of the ranges that aws publishes"), EndsWith("the large ones are known here")));
  EXPECT_THAT(hint("", "34.64.1.1"), StartsWith("in 34.64.0.0/10, a range that gcp publishes"));
}

TEST(Ranges, NothingIsSaidWhereNothingIsKnown) {
  EXPECT_EQ(hint("aws", "2001:db8::1"), "") << "no IPv6 block of aws is listed";
  EXPECT_EQ(hint("openai", "203.0.113.9"), "");
  EXPECT_EQ(hint("", "10.1.2.3"), "");
}

TEST(Ranges, APrivateAddressMayBeAPrivateEndpoint) {
  for (const char* address : {"10.1.2.3", "172.31.0.1", "192.168.1.1", "127.0.0.1", "fd00::1"})
    EXPECT_THAT(hint("aws", address), StartsWith("a private address: a private endpoint of aws")) << address;
}

TEST(Ranges, EachIsAProvidersWhoseHostsAreKnown) {
  const auto providers = catalog().words(Vocabulary::kProviders);
  ASSERT_FALSE(tables::kTables.ranges.empty());
  for (const auto& ranges : tables::kTables.ranges)
    EXPECT_THAT(providers, Contains(ranges.provider));
}

}  // namespace
}  // namespace keytrail::catalog
