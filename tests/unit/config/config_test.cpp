// SPDX-License-Identifier: Apache-2.0
// What the configuration reader takes, and the sentence a person gets for what it does not.
#include "agent/base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace keytrail::base {
namespace {

using testing::HasSubstr;
using testing::Not;

Result<Config> parse(const std::string& text) {
  ConfigOptions options;
  options.getenv = [](const std::string& name) {
    return name == "TOKEN" ? std::optional<std::string>("s3cr3t-canary") : std::nullopt;
  };
  return parse_config(text, "/etc/k.yaml", options);
}

std::string error_of(const std::string& text) {
  const Result<Config> config = parse(text);
  return config ? "no error" : config.error().message;
}

TEST(Config, EmptyTextGivesTheDefaults) {
  const Result<Config> config = parse("");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->history.path, "/var/lib/keytrail/history.db");
  EXPECT_EQ(config->api.socket, "/run/keytrail/api.sock");
  EXPECT_TRUE(config->otlp.empty());
}

TEST(Config, ReadsEveryKey) {
  const Result<Config> config = parse(R"(
history: {path: /tmp/h.db, max_mb: 64, retention_days: 3, reserve_mb: 0}
api: {socket: /tmp/a.sock}
otlp:
  - name: siem
    endpoint: https://collector:4318
    protocol: http/protobuf
    headers: {Authorization: "Bearer ${env:TOKEN}"}
    compression: none
    timeout_s: 3
    signals: [logs]
    ca_file: /etc/ca.pem
    from_start: true
log: {level: debug}
hooks: {disable: [fentry]}
catalog: {directory: /tmp/c}
sampling: {sockets_s: 10, slots_s: 2}
queries: {max_rows: 100, timeout_s: 2}
identity:
  runtime: false
  cloud: off
  kubernetes:
    mode: api
    api_server: https://10.0.0.1:6443
    kubelet: https://node-1:10250
    token_file: /etc/token
    ca_file: /etc/kube.crt
    node_name: node-1
    labels: [app, example.org/tier, app]
    team_annotation: example.org/team
)");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->history.max_mb, 64U);
  ASSERT_EQ(config->otlp.size(), 1U);
  const OtlpConfig& otlp = config->otlp[0];
  EXPECT_EQ(otlp.headers.at(0).name, "authorization");
  EXPECT_EQ(otlp.headers.at(0).value, "Bearer s3cr3t-canary");
  EXPECT_FALSE(otlp.gzip);
  EXPECT_EQ(otlp.signals, std::vector<std::string>{"logs"});
  EXPECT_TRUE(otlp.from_start);
  EXPECT_EQ(config->disabled_hooks, std::vector<std::string>{"fentry"});
  EXPECT_EQ(config->queries.max_rows, 100U);
  EXPECT_TRUE(config->remarks.empty());
  EXPECT_FALSE(config->identity.runtime);
  EXPECT_EQ(config->identity.cloud, "off");
  const KubernetesConfig& kubernetes = config->identity.kubernetes;
  EXPECT_EQ(kubernetes.mode, "api");
  EXPECT_EQ(kubernetes.api_server, "https://10.0.0.1:6443");
  EXPECT_EQ(kubernetes.kubelet, "https://node-1:10250");
  EXPECT_EQ(kubernetes.token_file + kubernetes.ca_file, "/etc/token/etc/kube.crt");
  EXPECT_EQ(kubernetes.node_name, "node-1");
  EXPECT_EQ(kubernetes.labels, (std::vector<std::string>{"app", "example.org/tier"}));
  EXPECT_EQ(kubernetes.team_annotation, "example.org/team");
  const Result<Config> again = parse(render_config(*config).substr(render_config(*config).find("identity:")));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->identity.cloud, "off");
  EXPECT_EQ(again->identity.kubernetes.labels, kubernetes.labels);
  EXPECT_EQ(again->identity.kubernetes.api_server, kubernetes.api_server);
}

TEST(Config, IdentityIsCheckedToo) {
  const auto kubernetes = [](const std::string& text) { return error_of("identity: {kubernetes: {" + text + "}}"); };
  EXPECT_THAT(kubernetes("mode: maybe"), HasSubstr("identity.kubernetes.mode: must be one of: auto, api"));
  EXPECT_THAT(kubernetes("api_server: 10.0.0.1"), HasSubstr("must be https://HOST:PORT"));
  EXPECT_THAT(kubernetes("api_server: \"https://a/path\""), HasSubstr("without a path"));
  EXPECT_THAT(kubernetes("token_file: token"), HasSubstr("absolute path"));
  for (const char* key : {"a b", "/x", "x/", "-a", "a/b/c", "\"\""})
    EXPECT_THAT(kubernetes("labels: [" + std::string(key) + "]"), HasSubstr("labels[0]: must be the key of a label"))
        << key;
  EXPECT_THAT(kubernetes("team_annotation: " + std::string(113, 'x')), HasSubstr("longer than 112 bytes"));
  std::string many;
  for (int i = 0; i < 33; ++i)
    many += "l" + std::to_string(i) + ",";
  EXPECT_THAT(kubernetes("labels: [" + many + "]"), HasSubstr("more than 32 entries"));
  EXPECT_THAT(error_of("identity: {runtime: 1}"), HasSubstr("must be true or false"));
  EXPECT_THAT(error_of("identity: {cloud: ec2}"), HasSubstr("identity.cloud: must be one of: auto, aws"));
}

TEST(Config, UnknownKeyNamesTheNearestOneWithFileAndLine) {
  EXPECT_EQ(error_of("log: {level: info}\nhistory:\n  max_bm: 3\n"),
            "/etc/k.yaml:3: history.max_bm: unknown key; did you mean history.max_mb?");
  EXPECT_EQ(error_of("hystory: {}\n"), "/etc/k.yaml:1: hystory: unknown key; did you mean history?");
  EXPECT_THAT(error_of("otlp: [{endpoint: \"http://a\", tiemout_s: 1}]"),
              HasSubstr("otlp[0].tiemout_s: unknown key; did you mean otlp[0].timeout_s?"));
  EXPECT_THAT(error_of("api: {wholly_different_thing: 1}"), HasSubstr("unknown key; known here: socket"));
}

TEST(Config, WrongTypesAndRangesSayWhatIsWanted) {
  EXPECT_EQ(error_of("history: {max_mb: lots}"),
            "/etc/k.yaml:1: history.max_mb: must be a whole number from 16 to 1048576");
  EXPECT_THAT(error_of("history: {max_mb: 3}"), HasSubstr("from 16 to"));
  EXPECT_THAT(error_of("history: {max_mb: -1}"), HasSubstr("from 16 to"));
  EXPECT_THAT(error_of("history: {max_mb: [1]}"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("history: 7"), HasSubstr("must be a mapping"));
  EXPECT_THAT(error_of("otlp: {}"), HasSubstr("must be a list"));
  EXPECT_THAT(error_of("otlp: [{name: a}]"), HasSubstr("endpoint is missing"));
  EXPECT_THAT(error_of("otlp: [{endpoint: \"ftp://a\"}]"), HasSubstr("must begin with http"));
  EXPECT_THAT(error_of("otlp: [{endpoint: \"http://u:p@a\"}]"), HasSubstr("no user or password"));
  for (const char* url : {"http://[::1", "http://::1:4318", "http:///v1", "http://host:abc", "http://host:0",
                          "http://host:99999", "http://host?x", "http://host#f", "http://h\xc3\xb6st",
                          "http://host/%zz", "http://.", "http://a b", "http://[fe80::1%25lo]:4318"})
    EXPECT_THAT(error_of("otlp: [{endpoint: \"" + std::string(url) + "\"}]"), HasSubstr("it must look like")) << url;
  EXPECT_THAT(error_of("otlp: [{endpoint: \"http://a/v1\", protocol: grpc}]"), HasSubstr("gRPC has no path"));
  for (const char* url : {"http://[::1]:4318", "https://collector.example", "http://otel_collector:4318/x"})
    EXPECT_EQ(error_of("otlp: [{endpoint: \"" + std::string(url) + "\"}]"), "no error") << url;
  for (const char* listen : {"nonsense", "5", "127.0.0.1", ":9477", "localhost:9477", "127.0.0.1:99999", "127.0.0.1:0"})
    EXPECT_THAT(error_of("prometheus: {listen: \"" + std::string(listen) + "\"}"), HasSubstr("127.0.0.1:9477"))
        << listen;
  EXPECT_THAT(error_of("otlp: [{endpoint: \"http://a\"}, {endpoint: \"http://b\"}]"), HasSubstr("is taken"));
  EXPECT_THAT(error_of("otlp: [{endpoint: \"http://a\", from_start: maybe}]"), HasSubstr("true or false"));
  EXPECT_THAT(error_of("log: {level: loud}"), HasSubstr("must be one of: trace, debug"));
  EXPECT_THAT(error_of("api: {socket: run/x}"), HasSubstr("absolute path"));
  EXPECT_THAT(error_of("api: {socket: /" + std::string(120, 'x') + "}"), HasSubstr("longer than 107"));
  EXPECT_THAT(error_of("api: {socket: /a, socket: /b}"), HasSubstr("twice"));
}

TEST(Config, MalformedYamlIsAnErrorWithItsLine) {
  EXPECT_THAT(error_of("history:\n  path: [1\n"), HasSubstr("/etc/k.yaml:"));
  EXPECT_THAT(error_of("history:\n  path: [1\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(error_of("---\na: 1\n---\nb: 2\n"), HasSubstr("more than one document"));
}

TEST(Config, AliasBombsDepthAndSizeAreRefused) {
  EXPECT_THAT(error_of("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"), HasSubstr("not allowed"));
  EXPECT_THAT(error_of(std::string(100, '[') + std::string(100, ']')), HasSubstr("nested deeper"));
  EXPECT_THAT(error_of(std::string((1U << 20U) + 1, '#')), HasSubstr("larger than 1 MiB"));
  std::string many = "hooks: {disable: [";
  for (int i = 0; i < 30'000; ++i)
    many += "a,";
  EXPECT_THAT(error_of(many + "a]}"), HasSubstr("more than 20000 values"));
}

TEST(Config, SecretsOfHeadersAreNeverShown) {
  const Result<Config> config =
      parse("otlp: [{endpoint: \"http://a\", headers: {x-key: \"${env:TOKEN}\", y: plain-canary}}]");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(render_config(*config), Not(HasSubstr("canary")));
  EXPECT_THAT(render_config(*config), HasSubstr("(set: ${env:TOKEN})"));
  ASSERT_EQ(config->remarks.size(), 1U);
  EXPECT_THAT(config->remarks[0], Not(HasSubstr("canary")));
  EXPECT_EQ(error_of("otlp: [{endpoint: \"http://a\", headers: {k: \"${env:NOPE}\"}}]"),
            "/etc/k.yaml:1: otlp[0].headers.k: the environment variable NOPE is not set");
  EXPECT_THAT(error_of("otlp: [{endpoint: \"http://a\", headers: {k: \"a\\nb-canary\"}}]"), Not(HasSubstr("canary")));
}

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/keytrail-config-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string write(const std::string& text, mode_t mode = 0600) {
    const std::string path = directory_ + "/c.yaml";
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  std::string directory_;
};

TEST_F(ConfigFile, MissingDefaultFileMeansDefaultsMissingNamedFileIsAnError) {
  EXPECT_TRUE(load_config(directory_ + "/none.yaml"));
  ConfigOptions required;
  required.required = true;
  const Result<Config> named = load_config(directory_ + "/none.yaml", required);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().code, Error::Code::kNotFound);
}

TEST_F(ConfigFile, WorldWritableFileIsRefused) {
  const Result<Config> config = load_config(write("log: {level: info}", 0666));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Error::Code::kRefused);
  EXPECT_THAT(config.error().message, HasSubstr("chmod o-w"));
}

TEST_F(ConfigFile, FifoDirectoryAndHugeFileAreRefusedAtOnce) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(load_config(fifo));
  EXPECT_FALSE(load_config(directory_));
  EXPECT_EQ(load_config(write(std::string(2U << 20U, '#'))).error().code, Error::Code::kTooLarge);
}

TEST_F(ConfigFile, HeaderFromFileLosesItsLineEnd) {
  const std::string secret = directory_ + "/token";
  std::ofstream(secret) << "abc\n";
  const Result<Config> config =
      load_config(write("otlp: [{endpoint: \"http://a\", headers: {k: \"${file:" + secret + "}\"}}]"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->otlp[0].headers[0].value, "abc");
}

TEST(Config, ALongKeyIsNotQuotedWhole) {
  const std::string error = parse(std::string(1000, 'k') + ": 1\n").error().message;
  EXPECT_NE(error.find("kkk"), std::string::npos);
  EXPECT_LT(error.size(), 400U);
}

TEST(Config, RenderedConfigurationReadsBack) {
  const Result<Config> config = parse("otlp: [{endpoint: \"http://a\"}]\nhooks: {disable: [kprobe, iter]}");
  ASSERT_TRUE(config);
  const Result<Config> again = parse(render_config(*config));
  ASSERT_TRUE(again) << again.error().message << render_config(*config);
  EXPECT_EQ(render_config(*again), render_config(*config));
}

}  // namespace
}  // namespace keytrail::base
