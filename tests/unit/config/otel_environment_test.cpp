// SPDX-License-Identifier: Apache-2.0
#include "agent/base/otel_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace keytrail::base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

using Variables = std::map<std::string, std::string>;

Result<Config> read(const Variables& variables, Config config = {}) {
  const auto getenv = [&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  if (Result<void> done = read_otel_environment(config, getenv); !done) return std::unexpected(done.error());
  return config;
}

TEST(OtelEnvironment, NothingIsExportedWithoutAnEndpoint) {
  EXPECT_TRUE(read({})->otlp.empty());
  EXPECT_TRUE(read({{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, {"OTEL_EXPORTER_OTLP_ENDPOINT", " "}})->otlp.empty());
  EXPECT_TRUE(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"}, {"OTEL_SDK_DISABLED", "TRUE"}})->otlp.empty());
}

TEST(OtelEnvironment, OneEndpointIsOneExporterOfAllSignals) {
  const auto config = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317"},
                            {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
                            {"OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x, b = 2"},
                            {"OTEL_EXPORTER_OTLP_TIMEOUT", "2500"},
                            {"OTEL_EXPORTER_OTLP_COMPRESSION", "none"},
                            {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"},
                            {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert"},
                            {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key"}});
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->otlp.size(), 1U);
  const OtlpConfig& one = config->otlp[0];
  EXPECT_EQ(one.name, "environment");
  EXPECT_EQ(one.endpoint, "https://collector:4317");
  EXPECT_FALSE(one.whole_endpoint);
  EXPECT_EQ(one.protocol, "grpc");
  EXPECT_THAT(one.signals, ElementsAre("traces", "logs", "metrics"));
  ASSERT_EQ(one.headers.size(), 2U);
  EXPECT_EQ(one.headers[0].name, "authorization");
  EXPECT_EQ(one.headers[0].value, "Bearer x");
  EXPECT_EQ(one.headers[1].value, "2");
  EXPECT_EQ(one.timeout_s, 3U);
  EXPECT_FALSE(one.gzip);
  EXPECT_EQ(one.ca_file + one.cert_file + one.key_file, "/ca/cert/key");
  EXPECT_THAT(one.source, HasSubstr("OTEL_EXPORTER_OTLP_ENDPOINT"));
}

TEST(OtelEnvironment, ASignalsOwnVariablesWinAndItsEndpointIsTakenAsItIs) {
  const auto config = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"},
                            {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://siem/otlp/ingest"},
                            {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"},
                            {"OTEL_METRICS_EXPORTER", "none"}});
  ASSERT_TRUE(config);
  ASSERT_EQ(config->otlp.size(), 2U);
  EXPECT_EQ(config->otlp[0].name, "environment-traces");
  EXPECT_EQ(config->otlp[0].endpoint, "http://a:4318");
  EXPECT_EQ(config->otlp[1].name, "environment-logs");
  EXPECT_EQ(config->otlp[1].endpoint, "https://siem/otlp/ingest");
  EXPECT_EQ(config->otlp[1].protocol, "http/json");
  EXPECT_TRUE(config->otlp[1].whole_endpoint);
}

TEST(OtelEnvironment, GrpcTakesAnEndpointWithoutAScheme) {
  Variables variables{{"OTEL_EXPORTER_OTLP_ENDPOINT", "a:4317"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}};
  EXPECT_EQ(read(variables)->otlp.at(0).endpoint, "https://a:4317");
  variables["OTEL_EXPORTER_OTLP_INSECURE"] = "true";
  EXPECT_EQ(read(variables)->otlp.at(0).endpoint, "http://a:4317");
}

TEST(OtelEnvironment, TheFileWinsAndThatIsSaid) {
  Config file;
  file.file = "/etc/k.yaml";
  file.otlp.push_back({.name = "mine", .endpoint = "http://b"});
  const auto config = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"}}, file);
  ASSERT_TRUE(config);
  ASSERT_EQ(config->otlp.size(), 1U);
  EXPECT_EQ(config->otlp[0].name, "mine");
  EXPECT_THAT(config->remarks, ElementsAre("OTEL_EXPORTER_OTLP_ENDPOINT set and not used: otlp in /etc/k.yaml wins"));
}

TEST(OtelEnvironment, ResourceAttributesAndServiceNameAreRead) {
  const auto config =
      read({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=x,deployment.environment.name=prod%2Ceu,k8s.cluster.name=c"}});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->service_name, "x");
  EXPECT_THAT(config->resource_attributes,
              ElementsAre(Pair("deployment.environment.name", "prod,eu"), Pair("k8s.cluster.name", "c")));
  EXPECT_EQ(read({{"OTEL_RESOURCE_ATTRIBUTES", "service.name=x"}, {"OTEL_SERVICE_NAME", "y"}})->service_name, "y");
}

TEST(OtelEnvironment, ABadValueIsOneSentenceThatNamesTheVariableAndNotTheValue) {
  const Variables good{{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"}};
  for (const auto& [name, value] : Variables{{"OTEL_EXPORTER_OTLP_ENDPOINT", "canary"},
                                             {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://canary:b@c"},
                                             {"OTEL_EXPORTER_OTLP_PROTOCOL", "canary"},
                                             {"OTEL_EXPORTER_OTLP_HEADERS", "canary"},
                                             {"OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a b=canary"},
                                             {"OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=canary%0A"},
                                             {"OTEL_EXPORTER_OTLP_TIMEOUT", "1s-canary"},
                                             {"OTEL_EXPORTER_OTLP_COMPRESSION", "canary"},
                                             {"OTEL_EXPORTER_OTLP_CERTIFICATE", "canary"},
                                             {"OTEL_METRIC_EXPORT_INTERVAL", "0"},
                                             {"OTEL_TRACES_EXPORTER", "canary"},
                                             {"OTEL_RESOURCE_ATTRIBUTES", "canary"},
                                             {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/canary"}}) {
    Variables variables = good;
    variables[name] = value;
    const auto config = read(variables);
    ASSERT_FALSE(config) << name;
    EXPECT_THAT(config.error().message, HasSubstr(name));
    EXPECT_THAT(config.error().message, Not(HasSubstr("canary")));
  }
}

}  // namespace
}  // namespace keytrail::base
