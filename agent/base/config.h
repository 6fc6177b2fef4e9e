// SPDX-License-Identifier: Apache-2.0
// The configuration file: /etc/keytrail/keytrail.yaml. Read once at start (and by `keytrail config check`); any thread.
// In: a YAML file of at most 1 MiB. Out: a Config in which every value is within its range, or an error with file, line
// and what to write.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "keytrail/result.h"

namespace keytrail::base {

inline constexpr char kDefaultConfigPath[] = "/etc/keytrail/keytrail.yaml";
inline constexpr char kDefaultApiSocket[] = "/run/keytrail/api.sock";

struct HistoryConfig {
  std::string path = "/var/lib/keytrail/history.db";
  std::uint32_t max_mb = 1024;        ///< 16 to 1,048,576: database without its write-ahead log
  std::uint32_t retention_days = 30;  ///< 1 to 3,650
  std::uint32_t reserve_mb = 8;       ///< 0 to 1,024: file that is given up to get out of a full disk
};

struct ApiConfig {
  std::string socket = kDefaultApiSocket;  ///< absolute, at most 107 bytes
};

/// What an exporter may be told; the code behind each is in exporters/otlp (transport.cpp, signals.cpp).
inline constexpr std::array kOtlpProtocols{"http/protobuf", "http/json", "grpc"};
inline constexpr std::array kOtlpSignals{"traces", "logs", "metrics"};

/// A header of each export request. `value` is a secret as a rule: never log or print it; `render_config` does not.
struct OtlpHeader {
  std::string name;    ///< lower case
  std::string value;   ///< resolved: the text of the variable or file it referred to
  std::string source;  ///< "text", "env:NAME" or "file:/path"
  bool operator==(const OtlpHeader&) const = default;
};

struct OtlpConfig {
  std::string name = "default";  ///< [a-z0-9_-]{1,32}: the name of its cursor in the history
  /// "http://127.0.0.1:4318", base of /v1/traces and so on; without a port: 4318 (gRPC 4317), https 443.
  std::string endpoint;
  std::string protocol = "http/protobuf";  ///< one of kOtlpProtocols
  bool whole_endpoint = false;  ///< HTTP: the endpoint is the whole URL of its one signal, nothing is put behind it
  std::vector<OtlpHeader> headers;
  bool gzip = true;                                    ///< compression: gzip | none
  std::uint32_t timeout_s = 10;                        ///< 1 to 300
  std::vector<std::string> signals{"traces", "logs"};  ///< of kOtlpSignals
  std::string ca_file, cert_file, key_file;            ///< absolute paths or empty
  std::uint32_t metrics_s = 60;                        ///< 1 to 3,600: how often metrics are sent
  std::string source;                                  ///< the environment variables it comes from; empty = the file
  bool from_start = false;  ///< a new exporter gets the whole history, not only what comes from now on
};

struct SamplingConfig {
  std::uint32_t sockets_s = 60;  ///< 5 to 3,600: how often the sockets of holders are looked at
  std::uint32_t slots_s = 5;     ///< 1 to 3,600: how often known slots are looked at
};

struct QueryConfig {
  std::uint32_t max_rows = 10'000;  ///< 1 to 10,000: rows of one page
  std::uint32_t timeout_s = 5;  ///< 1 to 60: a client that does not finish its request, or take its answer, is cut off
};

/// A number that a finding's rule can be told, for the check of the file.
struct FindingSetting {
  std::string_view name;
  std::uint32_t preset, least, most;
};
/// A type of finding that exists, and what can be set of it beside `enabled` and `severity`.
struct FindingType {
  std::string_view type;
  std::span<const FindingSetting> settings;
};

struct FindingConfig {
  bool enabled = true;
  std::string severity;                          ///< info, low, medium, high; empty: the rule's own
  std::map<std::string, std::uint32_t> numbers;  ///< settings that the file gives
};

/// auto: the API server when this is a pod of a cluster, else nothing.
inline constexpr std::array kKubernetesModes{"auto", "api", "kubelet", "off"};
inline constexpr std::size_t kMaxLabels = 32;     ///< shown labels of a pod
inline constexpr std::size_t kMaxLabelKey = 112;  ///< bytes: with its prefix it is the name of a fact

/// auto: the one that the firmware names, else nobody is asked.
inline constexpr std::array kClouds{"auto", "aws", "gcp", "azure", "oci", "off"};

/// Names of this node's pods, from the API server or the kubelet.
struct KubernetesConfig {
  std::string mode = "auto";  ///< one of kKubernetesModes
  std::string api_server;     ///< "https://10.0.0.1:443"; empty = KUBERNETES_SERVICE_HOST and …_PORT
  std::string kubelet;        ///< "https://node-1:10250"; empty = the node's name, port 10250
  std::string token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  std::string ca_file = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
  std::string node_name;  ///< empty = KEYTRAIL_NODE_NAME or NODE_NAME
  /// Keys of the labels that become facts.
  std::vector<std::string> labels{"app",
                                  "app.kubernetes.io/name",
                                  "app.kubernetes.io/instance",
                                  "app.kubernetes.io/component",
                                  "app.kubernetes.io/part-of",
                                  "app.kubernetes.io/version"};
  std::string team_annotation = "keytrail/team";
};

/// Where names of workloads come from beside the kernel.
struct IdentityConfig {
  bool runtime = true;         ///< the container runtimes' state on this node
  std::string cloud = "auto";  ///< one of kClouds: whose metadata service is asked what this machine is
  KubernetesConfig kubernetes;
};

struct Config {
  IdentityConfig identity;
  HistoryConfig history;
  ApiConfig api;
  std::vector<OtlpConfig> otlp;
  std::string prometheus_listen;          ///< "127.0.0.1:9477"; empty = no Prometheus port
  std::string service_name = "keytrail";  ///< of the agent itself: OTEL_SERVICE_NAME
  std::vector<std::pair<std::string, std::string>> resource_attributes;  ///< OTEL_RESOURCE_ATTRIBUTES
  std::string log_level = "info";                                        ///< trace, debug, info, warn, error
  std::vector<std::string> disabled_hooks;                               ///< features not to use, as --no-feature=NAME
  std::string catalog_directory = "/etc/keytrail/catalog.d";
  SamplingConfig sampling;
  QueryConfig queries;
  std::map<std::string, FindingConfig> findings;  ///< by type
  std::string file;                               ///< where it was read from; empty = defaults
  std::vector<std::string> remarks;               ///< legal, but worth a warning: "header … is written in the file"
};

struct ConfigOptions {
  bool required = false;    ///< a missing file is an error (--config names it); else the defaults apply
  bool resolve = true;      ///< look up ${env:NAME} and ${file:PATH}; `config check` does not need to
  bool environment = true;  ///< take the variables of OpenTelemetry too (otel_environment.h)
  /// Which findings there are; base does not know. A file that names another is wrong.
  std::span<const FindingType> findings;
  /// Environment look-up, replaceable by tests; empty = getenv.
  std::function<std::optional<std::string>(const std::string&)> getenv;
};

/// Is it an HTTP token of at most 128 bytes?
[[nodiscard]] bool is_header_name(const std::string& name);

/// Reads and checks a configuration. Errors:
/// kNotFound (only when required), kRefused (permissions), kTooLarge, kInvalid.
[[nodiscard]] Result<Config> load_config(const std::string& path, const ConfigOptions& options = {});
/// The same from text; `file` is only shown.
[[nodiscard]] Result<Config> parse_config(const std::string& text, const std::string& file,
                                          const ConfigOptions& options = {});
/// The whole configuration as YAML, header values replaced by where they come from.
[[nodiscard]] std::string render_config(const Config& config);

}  // namespace keytrail::base
