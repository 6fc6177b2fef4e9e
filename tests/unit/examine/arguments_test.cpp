// SPDX-License-Identifier: Apache-2.0
// Keys inside command lines, by the catalog's own rules: which words hold one, whose it is, and what is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>

#include "agent/examine/command_line.h"
#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::string_view kGithub = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
constexpr std::string_view kOpaque = "opaque-0123456789-value";

class Arguments : public ::testing::Test {
 protected:
  Found read(std::string_view program, std::initializer_list<std::string_view> words,
             std::string_view end = {"\0", 1}) {
    std::string bytes(program);
    for (const std::string_view word : words)
      bytes.append(1, '\0').append(word);
    bytes.append(end);
    Found found;
    parse_arguments(program.substr(0, 15), bytes, bench_.state, bench_.scratch, found);
    EXPECT_EQ(found.unread, role::Unread::kNone);
    bench_.scratch.wipe();
    return found;
  }
  /// "kind flag[selector] login@host" of each key.
  std::vector<std::string> keys(std::string_view program, std::initializer_list<std::string_view> words) {
    std::vector<std::string> out;
    for (const KeyFact& fact : read(program, words).keys) {
      if (!fact.path.empty()) continue;  // an address
      out.push_back(fact.key.kind + " " + fact.variable + "[" + fact.selector + "] " + fact.key.principal + "@" +
                    fact.host);
    }
    return out;
  }
  Key only(std::string_view program, std::initializer_list<std::string_view> words) {
    const Found found = read(program, words);
    EXPECT_EQ(found.keys.size(), 1U);
    return found.keys.empty() ? Key{} : found.keys.front().key;
  }

  Bench bench_;
};

TEST_F(Arguments, AHeaderCarriesAKeyForTheHostOfTheAddress) {
  EXPECT_THAT(keys("curl", {"-sf", "-H", "Authorization: Bearer opaque-0123456789-value", "https://api.test:8443/x"}),
              ElementsAre("generic.secret -H[Authorization] @api.test:8443"));
  const Key key = only("curl", {"--header", "authorization: bearer opaque-0123456789-value", "https://api.test/"});
  EXPECT_EQ(key.fingerprint, bench_.print(kOpaque));
  EXPECT_EQ(key.id, bench_.print(kOpaque).text());
}

TEST_F(Arguments, AHeaderIsFoundHoweverItIsWritten) {
  const std::string header = "X-Vault-Token: hvs.0123456789abcdefghijklmn";
  for (const auto& words : std::initializer_list<std::initializer_list<std::string_view>>{
           {"-H", header, "v.test"},
           {"-sSH", header, "v.test"},
           {"v.test", "--header", header},
           {"--max-time", "5", "-o", "/dev/null", "-H", header, "http://v.test"}})
    EXPECT_THAT(keys("curl", words), ElementsAre(StartsWith("vault.token "))) << *(words.begin() + 1);
  EXPECT_THAT(keys("curl", {"-HPRIVATE-TOKEN: a-token-of-gitlab-0123", "https://git.test"}),
              ElementsAre("gitlab.token -H[PRIVATE-TOKEN] @git.test"));
  EXPECT_THAT(keys("wget", {"-q", "--header=Authorization: token ghp_0123456789abcdefghijABCDEFGHIJ012345",
                            "https://api.github.com/user"}),
              ElementsAre("github.token --header[Authorization] @api.github.com"));
}

TEST_F(Arguments, HeadersThatCarryNoKeyGiveNone) {
  for (const std::string_view header :
       {"Accept: application/json", "X-CSRF-Token: 0123456789abcdef0123", "Authorization:", "Authorization: Bearer ",
        "Authorization: Bearer ${TOKEN}", "Authorization: Bearer $TOKEN", "@headers.txt", "no header", ":", "",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIA0123456789ABCDEF/x/y/z/aws4_request, Signature=0123456789",
        "Authorization: Bearer op://Prod/token/value"})
    EXPECT_THAT(keys("curl", {"-H", header, "https://api.test"}), IsEmpty()) << header;
}

TEST_F(Arguments, ADummyIsADummy) {
  EXPECT_EQ(only("curl", {"-H", "Authorization: Bearer changeme", "https://api.test"}).kind, "generic.dummy");
}

TEST_F(Arguments, ALoginIsAPasswordOfItsUserAtTheHost) {
  for (const auto& words : std::initializer_list<std::initializer_list<std::string_view>>{
           {"-u", "bob:short", "https://h.test:8443/"},
           {"-ubob:short", "https://h.test:8443/"},
           {"-sSLu", "bob:short", "https://h.test:8443/"},
           {"--user", "bob:short", "--url", "https://h.test:8443/"}})
    EXPECT_THAT(only("curl", words).id, StartsWith("http.basic_password:bob@h.test:8443 #"));
  const Found found = read("curl", {"-u", "bob:short", "h.test"});
  EXPECT_TRUE(found.keys.at(0).key.fingerprint.empty()) << "a password's fingerprint stays here";
  EXPECT_THAT(keys("curl", {"-u", "bob", "h.test"}), IsEmpty()) << "curl asks for the password";
  EXPECT_THAT(keys("curl", {"-u", "bob:", "h.test"}), IsEmpty());
}

TEST_F(Arguments, ATokenMayStandOnEitherSideOfTheColon) {
  const std::string token(kGithub);
  EXPECT_THAT(keys("curl", {"-u", "bob:" + token, "https://api.github.com"}),
              ElementsAre("github.token -u[] bob@api.github.com"));
  EXPECT_THAT(keys("curl", {"-u", token + ":", "https://api.github.com"}),
              ElementsAre("github.token -u[] @api.github.com"));
}

TEST_F(Arguments, ASigningLoginIsAnIdAndItsSecret) {
  const std::string secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzKEY0";
  const std::string login = "AKIA0123456789ABCDEF:" + secret;
  const Key key = only("curl", {"--aws-sigv4", "aws:amz:eu-west-1:s3", "--user", login, "https://b.s3.test/"});
  EXPECT_EQ(key.id, "AKIA0123456789ABCDEF");
  EXPECT_EQ(key.kind, "aws.access_key");
  EXPECT_EQ(key.fingerprint, bench_.print(secret));
  EXPECT_EQ(only("curl", {"--user", login, "https://b.s3.test/"}).kind, "http.basic_password")
      << "sent, not signed with";
  EXPECT_EQ(only("curl", {"--aws-sigv4", "aws:amz", "-u", "ASIA0123456789ABCDEF:" + secret, "https://b.s3.test/"}).kind,
            "aws.session");
}

TEST_F(Arguments, AnAddressMayHoldAPasswordOrAToken) {
  EXPECT_THAT(only("curl", {"http://bob:p%40ss@h.test/x"}).id, StartsWith("http.basic_password:bob@h.test #"));
  EXPECT_THAT(only("curl", {"bob:pass@h.test/x"}).id, StartsWith("http.basic_password:bob@h.test #"));
  EXPECT_THAT(keys("git", {"clone", "https://x-access-token:" + std::string(kGithub) + "@github.com/a/b"}),
              ElementsAre("github.token argument 2[] x-access-token@github.com"));
  EXPECT_THAT(keys("git-remote-https", {"origin", "https://" + std::string(kGithub) + "@github.com/a/b"}),
              ElementsAre("github.token argument 2[] @github.com"));
  EXPECT_THAT(keys("psql", {"postgres://robot:0123456789abcdefgh@db.test/app", "-Atc", "select 1"}),
              ElementsAre("postgres.password argument 1[] robot@db.test"));
  EXPECT_THAT(keys("curl", {"-L", "https://h.test/?x=1&access_token=opaque-0123456789-value&y=2#z"}),
              ElementsAre("oauth.access_token argument 2[access_token] @h.test"));
  EXPECT_THAT(keys("curl", {"https://acc.blob.test/c?sv=2024-01-01&se=2027&sig=QWJjZGVmZ2hpamtsbW5vcA%3D%3D"}),
              ElementsAre("azure.sas_token argument 1[sig] @acc.blob.test"));
}

TEST_F(Arguments, AFormMayHoldAKey) {
  EXPECT_THAT(keys("curl", {"-d", "grant_type=client_credentials&client_id=app&client_secret=opaque-0123456789-value",
                            "https://idp.test/token"}),
              ElementsAre("oauth.client_secret -d[client_secret] app@idp.test"));
  EXPECT_THAT(keys("curl", {"-d", "username=bob", "-d", "password=hunter22", "https://idp.test/token"}),
              ElementsAre("http.basic_password -d[password] @idp.test"));
  EXPECT_THAT(keys("curl", {"-d", "@body.json", "-d", "next_page_token=0123456789abcdef0", "https://idp.test"}),
              IsEmpty());
}

TEST_F(Arguments, DatabaseClients) {
  EXPECT_THAT(keys("mysql", {"-uroot", "-phunter22", "-h", "db.test", "-P", "3307", "app"}),
              ElementsAre("mysql.password -p[] root@db.test:3307"));
  EXPECT_THAT(keys("mysql", {"-u", "root", "-p", "app"}), IsEmpty()) << "it asks; app is the database";
  EXPECT_THAT(keys("mysqldump", {"--user=root", "--password=hunter22"}),
              ElementsAre("mysql.password --password[] root@"));
  EXPECT_THAT(keys("redis-cli", {"-h", "cache.test", "-p", "6380", "-a", "hunter22", "get", "x"}),
              ElementsAre("redis.password -a[] @cache.test:6380"));
  EXPECT_THAT(keys("psql", {"host=db.test user=robot password=hunter22 dbname=app"}),
              ElementsAre("postgres.password argument 1[password] robot@db.test"));
  EXPECT_THAT(keys("psql", {"-c", "ALTER USER x SET password = 'y'", "postgres://db.test/app"}), IsEmpty());
  EXPECT_THAT(keys("mongosh", {"mongodb+srv://app:hunter22@cluster.test/db"}),
              ElementsAre("mongodb.password argument 1[] app@cluster.test"));
}

TEST_F(Arguments, ACommandMustBeThere) {
  EXPECT_THAT(keys("docker", {"login", "-u", "bob", "-p", "hunter22", "registry.test:5000"}),
              ElementsAre("registry.password -p[] bob@registry.test:5000"));
  EXPECT_THAT(keys("docker", {"run", "-p", "8080:80", "nginx"}), IsEmpty()) << "a port";
  EXPECT_THAT(keys("vault", {"login", "-address", "https://v.test:8200", "opaque-0123456789-value"}),
              ElementsAre("vault.token argument 4[] @v.test:8200"));
  EXPECT_THAT(keys("vault", {"kv", "get", "secret/opaque-0123456789-value"}), IsEmpty());
}

TEST_F(Arguments, OtherPrograms) {
  EXPECT_THAT(keys("kubectl", {"--token=opaque-0123456789-value", "--server", "https://k.test:6443", "get", "pods"}),
              ElementsAre("k8s.static_token --token[] @k.test:6443"));
  EXPECT_THAT(keys("xh", {"-A", "bearer", "-a", "opaque-0123456789-value", "api.test/x"}),
              ElementsAre("generic.secret -a[] @api.test"));
  EXPECT_THAT(keys("az", {"login", "--service-principal", "-u", "app", "-p", "opaque-0123456789-value", "-t", "t"}),
              ElementsAre("azure.client_secret -p[] app@"));
  EXPECT_THAT(keys("az", {"login", "--service-principal", "-u", "app", "-p", "~/app.pem", "-t", "t"}), IsEmpty());
  EXPECT_THAT(keys("az", {"storage", "blob", "list", "--account-key", "MDEyMzQ1Njc4OWFiY2RlZg=="}),
              ElementsAre("azure.storage_account_key --account-key[] @"));
  EXPECT_THAT(keys("vault", {"write", "auth/approle/login", "role_id=r", "secret_id=0123456789abcdef0123"}),
              ElementsAre("vault.approle_secret_id argument 4[secret_id] @"));
  EXPECT_THAT(keys("vault", {"login", "-method=userpass", "username=bob", "password=hunter22"}),
              ElementsAre("generic.password argument 4[password] @"));
  EXPECT_THAT(keys("twine", {"upload", "-u", "bob", "-p", "hunter22", "--repository-url", "https://pypi.test/"}),
              ElementsAre("package.password -p[] bob@pypi.test"));
  EXPECT_THAT(keys("skopeo", {"copy", "--src-creds=bob:hunter22", "docker://a.test/x", "dir:/tmp/x"}),
              ElementsAre("registry.password --src-creds[] bob@"));
  EXPECT_THAT(keys("sshpass", {"-p", "hunter22", "ssh", "-p", "22", "h.test"}), ElementsAre("ssh.password -p[] @"));
  EXPECT_THAT(keys("http", {"-a", "bob:hunter22", "api.test/x", "X-Vault-Token:opaque-0123456789-value"}),
              ElementsAre("http.basic_password -a[] bob@api.test", "vault.token argument 4[X-Vault-Token] @api.test"));
  EXPECT_THAT(
      keys("git", {"-c", "http.extraHeader=Authorization: Basic " + base64("bob:" + std::string(kGithub)), "fetch"}),
      ElementsAre("github.token -c[Authorization] bob@"));
}

TEST_F(Arguments, AKeyForAProxyIsTheProxys) {
  const auto proxys = ElementsAre("http.basic_password -x[] bob@proxy.test:3128");
  EXPECT_THAT(keys("curl", {"-x", "http://bob:hunter22@proxy.test:3128", "https://h.test"}), proxys);
  EXPECT_THAT(keys("curl", {"-x", "bob:hunter22@proxy.test:3128", "https://h.test"}), proxys);
  EXPECT_THAT(keys("curl", {"--proxy", "proxy.test:3128", "-U", "bob:hunter22", "https://h.test"}),
              ElementsAre("http.basic_password -U[] bob@proxy.test:3128"));
  EXPECT_THAT(keys("curl", {"--proxy-user", "bob:hunter22", "https://h.test"}), IsEmpty())
      << "which proxy, a variable says";
}

TEST_F(Arguments, AJsonBodyMayHoldAKey) {
  EXPECT_THAT(keys("curl", {"-d", R"({"token": "opaque-0123456789-value"})", "https://h.test/login"}),
              ElementsAre("generic.secret -d[token] @h.test"));
  EXPECT_THAT(
      keys("curl", {"--json", R"({"auth":[{"username":"bob","password":"hunter22","n":1}]})", "https://h.test"}),
      ElementsAre("http.basic_password --json[password] bob@h.test"));
  EXPECT_THAT(keys("curl", {"--data-raw", R"({"role_id":"r","secret_id":"0123456789abcdef0123"})", "https://v.test"}),
              ElementsAre("vault.approle_secret_id --data-raw[secret_id] @v.test"));
  EXPECT_THAT(keys("wget", {"--post-data", R"({"apiKey":"opaque-0123456789-value"})", "https://h.test"}),
              ElementsAre("generic.secret --post-data[apiKey] @h.test"));
  EXPECT_THAT(keys("http", {"POST", "h.test/login", "username=bob", "password=hunter22"}),
              ElementsAre("http.basic_password argument 4[password] @h.test"));
  for (const std::string_view body :
       {R"({"nextPageToken":"0123456789abcdef0"})", R"({"csrf_token":"0123456789abcdef0"})",
        R"({"key":"summary of it"})", R"({"token":"${TOKEN}"})", R"({"token":"op://a/b/c"})",
        R"({"token":"/run/token"})", R"({"token":7})", "{", "[", R"({"token")",
        "[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]"})
    EXPECT_THAT(keys("curl", {"-d", body, "https://h.test"}), IsEmpty()) << body;
}

TEST_F(Arguments, WhatABodySaysBesideALoginIsNoLogin) {
  EXPECT_THAT(keys("curl", {"-H", "X-Vault-Token: opaque-0123456789-value", "-d", R"({"data":{"password":"hunter22"}})",
                            "https://v.test/v1/secret/data/app"}),
              ElementsAre("vault.token -H[X-Vault-Token] @v.test", "http.basic_password -d[password] @"));
}

TEST_F(Arguments, ALoginForAProxyIsNoLoginForTheHost) {
  EXPECT_THAT(keys("curl", {"-x", "http://bob:hunter22@proxy.test:3128", "-d", R"({"token":"opaque-0123456789-value"})",
                            "https://h.test"}),
              ElementsAre("http.basic_password -x[] bob@proxy.test:3128", "generic.secret -d[token] @h.test"));
}

TEST_F(Arguments, ACookieMayBeASession) {
  const auto session = ElementsAre("http.session_cookie -b[SESSIONID] @h.test");
  EXPECT_THAT(keys("curl", {"-b", "theme=dark; SESSIONID=0123456789abcdef0; csrftoken=0123456789abcdef0", "h.test"}),
              session);
  EXPECT_THAT(keys("curl", {"-H", "Cookie: SESSIONID=0123456789abcdef0", "https://h.test"}),
              ElementsAre("http.session_cookie -H[SESSIONID] @h.test"));
  EXPECT_THAT(keys("curl", {"--cookie", "_gitlab_session=0123456789abcdef0", "https://git.test"}),
              ElementsAre("gitlab.session_cookie --cookie[_gitlab_session] @git.test"));
  EXPECT_THAT(keys("curl", {"-b", "cookies.txt", "-b", "logged_in=true", "-b", ";=;;", "https://h.test"}), IsEmpty());
}

TEST_F(Arguments, KnownFormatsAreFoundAnywhereButForNoHost) {
  const std::string token(kGithub);
  EXPECT_THAT(keys("curl", {"-d", R"({"text": "mine is )" + token + R"(, keep it"})", "https://chat.test"}),
              ElementsAre("github.token -d[] @"));
  EXPECT_THAT(keys("curl", {"https://h.test/x/" + token + "/y"}), ElementsAre("github.token argument 1[] @"));
  EXPECT_THAT(keys("docker", {"run", "-l", "label=" + token, "image"}), ElementsAre("github.token argument 3[] @"));
  EXPECT_THAT(keys("npm", {"--//registry.test/:_authToken=npm_0123456789abcdefghijklmnopqrstuvwxyz", "ci"}),
              ElementsAre("npm.token argument 1[] @"));
}

TEST_F(Arguments, WhatIsToBeStoredIsNoKeyOfTheProgram) {
  EXPECT_THAT(keys("kubectl", {"create", "secret", "generic", "x", "--from-literal=password=hunter22", "--from-literal",
                               "user=bob"}),
              ElementsAre("generic.stored_secret --from-literal[password] @"));
  EXPECT_THAT(keys("terraform", {"apply", "-var", "db_password=hunter22", "-var=region=eu"}),
              ElementsAre("generic.stored_secret -var[db_password] @"));
  EXPECT_THAT(keys("terraform", {"apply", "-var", "token=" + std::string(kGithub)}),
              ElementsAre("github.token -var[token] @"));
  EXPECT_THAT(keys("aws", {"secretsmanager", "create-secret", "--name", "x", "--secret-string", "hunter22=="}),
              ElementsAre("generic.stored_secret --secret-string[] @"));
  EXPECT_THAT(keys("aws", {"secretsmanager", "create-secret", "--secret-string", "file://x.json"}), IsEmpty());
  EXPECT_THAT(keys("gh", {"secret", "set", "NAME", "-b", "hunter22"}), ElementsAre("generic.stored_secret -b[] @"));
  EXPECT_THAT(keys("gh", {"pr", "create", "-b", "hunter22"}), IsEmpty()) << "the text of a request";
  EXPECT_THAT(keys("docker", {"run", "-e", "DB_PASSWORD=hunter22", "-e", "DB_PASSWORD", "-e", "HOME=/x", "image"}),
              ElementsAre("generic.stored_secret -e[DB_PASSWORD] @"));
  EXPECT_THAT(keys("docker", {"run", "-e", "DB_\x01PASSWORD=hunter22", "image"}),
              ElementsAre("generic.stored_secret -e[] @"))
      << "what is no name does not leave";
  EXPECT_THAT(keys("vault", {"kv", "put", "secret/app", "password=hunter22"}),
              ElementsAre("generic.stored_secret argument 4[password] @"));
}

TEST_F(Arguments, AConfigurationOfCurlIsItsArguments) {
  const Found found =
      bench_.parse("curlrc",
                   "# mine\n\nurl = \"https://h.test/x\"\nsilent\n-H \"X-Vault-Token: opaque-0123456789\"\n"
                   "user: \"bob:hun\\\"ter22\"\n--proxy=proxy.test:3128 trailing\n",
                   "http.basic_password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.kind + " " + found.keys[0].selector, "vault.token X-Vault-Token");
  EXPECT_EQ(found.keys[1].key.id, "http.basic_password:bob@h.test #" + tag_of(bench_.state.key, "hun\"ter22"));
  EXPECT_EQ(found.keys[1].host, "h.test");
  for (const std::string_view broken : {"", "\"", "=", "-", "user = \"", "user = \"\\", ":::", "\n\n"})
    EXPECT_THAT(bench_.parse("curlrc", broken).keys, IsEmpty()) << broken;
}

TEST_F(Arguments, APairIsAnIdAndItsSecret) {
  const std::string secret = "0123456789abcdefghijABCDEFGHIJ0123456789";
  const Key key = only("s3cmd", {"--access_key=AKIA0123456789ABCDEF", "--secret_key=" + secret, "ls"});
  EXPECT_EQ(key.kind + " " + key.id, "aws.access_key AKIA0123456789ABCDEF");
  EXPECT_EQ(key.fingerprint, bench_.print(secret));
  EXPECT_THAT(keys("mc", {"alias", "set", "play", "https://s3.test:9000", "minioadmin7", secret}),
              ElementsAre("minio.access_key argument 6[] @s3.test:9000"));
  EXPECT_EQ(only("mc", {"alias", "set", "play", "https://s3.test:9000", "minioadmin7", secret}).id, "minioadmin7");
  EXPECT_THAT(keys("mc", {"ls", "play/bucket", "a", "b", "c"}), IsEmpty());
}

TEST_F(Arguments, OfSeveralHostsEachGetsTheKey) {
  EXPECT_THAT(keys("curl", {"-H", "X-Consul-Token: opaque-0123456789-value", "https://a.test", "https://b.test"}),
              ElementsAre("consul.token -H[X-Consul-Token] @a.test", "consul.token -H[X-Consul-Token] @b.test"));
}

TEST_F(Arguments, OnlyWhatLooksLikeAHostIsToldAsOne) {
  for (const std::string_view word : {"hunter22", "X-Api-Key:hunter22", "user=hunter22", "hunter22@", "a b.test", "@",
                                      ":", "h.test:port", "[::1", "hunter22:x@"})
    EXPECT_THAT(keys("curl", {"-H", "X-Consul-Token: opaque-0123456789-value", word}),
                ElementsAre("consul.token -H[X-Consul-Token] @"))
        << word;
  for (const std::string_view word :
       {"h.test", "h.test:8080", "localhost", "h:8080/x", "h/x", "[::1]:8080", "http://h"})
    EXPECT_EQ(keys("curl", {"-H", "X-Consul-Token: opaque-0123456789-value", word}).size(), 1U) << word;
  EXPECT_THAT(keys("http", {"X-Vault-Token:opaque-0123456789-value", "X-Api-Key:hunter@22.test"}),
              ElementsAre("vault.token argument 1[X-Vault-Token] @"));
  EXPECT_THAT(keys("psql", {"host=db.test password=a:b@c.test user=robot"}),
              ElementsAre("postgres.password argument 1[password] robot@db.test"));
}

TEST_F(Arguments, OfProgramsThatTakeAddressesHeadersAndLogins) {
  const std::string bearer = "Authorization: Bearer opaque-0123456789-value";
  const std::string url = "https://bob:pw-1234@h.test/x";
  EXPECT_THAT(keys("pip", {"install", "--index-url", url, "x"}),
              ElementsAre("package.password --index-url[] bob@h.test"));
  EXPECT_THAT(keys("pip3", {"install", "--extra-index-url=" + url}),
              ElementsAre("package.password --extra-index-url[] bob@h.test"));
  EXPECT_THAT(keys("helm", {"repo", "add", "--username", "bob", "--password", "pw-1234", "x", "https://h.test"}),
              ElementsAre("http.basic_password --password[] bob@h.test"));
  EXPECT_THAT(keys("restic", {"-r", "rest:" + url, "backup", "/x"}),
              ElementsAre("http.basic_password -r[] bob@h.test"));
  EXPECT_THAT(keys("grpcurl", {"-H", bearer, "h.test:443", "list"}),
              ElementsAre("generic.secret -H[Authorization] @h.test:443"));
  EXPECT_THAT(keys("ab", {"-n", "10", "-A", "bob:pw-1234", "https://h.test/"}),
              ElementsAre("http.basic_password -A[] bob@h.test"));
  EXPECT_THAT(keys("aria2c", {"--http-user=bob", "--http-passwd=pw-1234", "https://h.test/x"}),
              ElementsAre("http.basic_password --http-passwd[] bob@h.test"));
}

TEST_F(Arguments, SignedAddressesAndVendorsHeadersTellTheirKind) {
  EXPECT_THAT(keys("curl", {"https://storage.googleapis.com/b/k?X-Goog-Signature=0123456789abcdef0123456789abcdef"}),
              ElementsAre("gcp.signed_url argument 1[X-Goog-Signature] @storage.googleapis.com"));
  EXPECT_THAT(keys("curl", {"-H", "Ocp-Apim-Subscription-Key: 0123456789abcdef0123456789abcdef", "https://h.test"}),
              ElementsAre("azure.cognitive_key -H[Ocp-Apim-Subscription-Key] @h.test"));
  const std::string hook = "https://hooks.slack.com/services/";
  EXPECT_THAT(keys("curl", {"-d", "x", hook + "T00000000/B00000000/aBcDeFgHiJkLmNoPqRsTuVwX"}),
              ElementsAre("webhook.url argument 3[] @"));
}

TEST_F(Arguments, ATokenThatStandsAsTheLoginIsTheKey) {
  const std::string token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
  for (const std::string& login : {token + ":", token + ":x-oauth-basic", token})
    EXPECT_THAT(keys("curl", {"-u", login, "https://api.github.com"}), ElementsAre("github.token -u[] @api.github.com"))
        << login;
  EXPECT_THAT(keys("curl", {"-H", "Authorization: Basic " + base64(token + ":x-oauth-basic"), "https://h.test"}),
              ElementsAre("github.token -H[Authorization] @h.test"));
}

TEST_F(Arguments, AnAddressIsToldAsItsVariableWould) {
  const auto told = [&](std::string_view program, std::initializer_list<std::string_view> words) {
    std::string out;
    for (const KeyFact& fact : read(program, words).keys)
      out += fact.key.id.empty() ? fact.variable + "=" + fact.path + " " : std::string();
    return out;
  };
  EXPECT_EQ(told("aws", {"--endpoint-url", "http://minio.test:9000", "s3", "ls"}), "AWS_ENDPOINT_URL=minio.test:9000 ");
  EXPECT_EQ(told("aws", {"s3", "ls", "--endpoint-url=https://u:secret@h.test/x"}), "AWS_ENDPOINT_URL=h.test ");
  EXPECT_EQ(told("s3cmd", {"--host", "h.test:9000", "ls"}), "AWS_ENDPOINT_URL=h.test:9000 ");
  EXPECT_EQ(told("vault", {"kv", "get", "-address=https://v.test:8200", "x"}), "VAULT_ADDR=v.test:8200 ");
  EXPECT_EQ(told("aws", {"s3", "ls", "--profile", "https://h.test"}), "");
  EXPECT_EQ(told("curl", {"https://h.test"}), "") << "what it calls is seen anyway";
}

TEST_F(Arguments, WordsBehindTwoHyphensAreNoFlags) {
  EXPECT_THAT(keys("curl", {"--", "-H", "Authorization: Bearer opaque-0123456789-value"}), IsEmpty());
}

TEST_F(Arguments, AProgramWithoutRulesIsNotLookedAt) {
  EXPECT_THAT(keys("bash", {"-c", "curl -H 'Authorization: Bearer opaque-0123456789-value' https://h.test"}),
              IsEmpty());
}

TEST_F(Arguments, AWordThatWasCutIsCountedAndLeftOut) {
  const Found found = read("curl", {"https://h.test", "-H", "Authorization: Bearer opaque-0123456789-val"}, "");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.skipped, 1U);
}

TEST_F(Arguments, NothingAtAllIsNothing) {
  Found found;
  parse_arguments("curl", {}, bench_.state, bench_.scratch, found);
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.skipped, 0U);
  EXPECT_TRUE(read("curl", {"-H"}).keys.empty()) << "a flag whose value is missing";
}

}  // namespace
}  // namespace keytrail::examine
