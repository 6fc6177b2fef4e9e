// SPDX-License-Identifier: Apache-2.0
#include "agent/base/config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/base/config_keys.h"
#include "agent/base/host.h"
#include "agent/base/http_client.h"
#include "agent/base/log.h"
#include "agent/base/otel_environment.h"
#include "agent/base/small_file.h"
#include "agent/base/yaml_guard.h"
#include "keytrail/hooks.h"

namespace keytrail::base {
namespace {

using namespace config;

constexpr std::size_t kMaxBytes = 1U << 20U;

/// Fills `value` and `source`. `${env:NAME}` and `${file:PATH}` may stand anywhere in the text ("Bearer ${env:TOKEN}"),
/// once.
Result<void> resolve_header(const Context& context, OtlpHeader& header, const std::string& written, int line,
                            const std::string& path) {
  const auto begin = written.find("${");
  if (begin == std::string::npos) {
    header.value = written;
    header.source = "text";
    context.config.remarks.push_back(path +
                                     " is written in the file; ${env:NAME} or ${file:/path} keeps secrets out of it");
    return {};
  }
  const auto end = written.find('}', begin);
  const std::string reference = end == std::string::npos ? "" : written.substr(begin + 2, end - begin - 2);
  const bool env = reference.starts_with("env:") && reference.size() > 4;
  const bool file = reference.starts_with("file:/");
  if (!env && !file) return context.error(line, path, "a reference must be ${env:NAME} or ${file:/absolute/path}");
  header.source = reference;
  if (!context.options.resolve) return {};
  std::string secret;
  if (env) {
    const std::string name = reference.substr(4);
    const std::optional<std::string> value = look_up(context.options, name);
    if (!value)
      return context.error(line, path, fmt::format("the environment variable {} is not set", printable(name)));
    secret = *value;
  } else {
    Result<std::string> value = read_small_file(reference.substr(5), 16U << 10U, false);
    if (!value) return context.error(line, path, value.error().message);
    secret = std::move(*value);
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r'))
      secret.pop_back();
  }
  header.value = written.substr(0, begin) + secret + written.substr(end + 1);
  return {};
}

Result<void> read_headers(const Context& context, const YAML::Node& node, const std::string& path,
                          std::vector<OtlpHeader>& out) {
  if (!node.IsMap()) return context.error(node.Mark().line, path, "must be a mapping (name: value)");
  for (const auto& entry : node) {
    const int line = entry.first.Mark().line;
    if (!entry.first.IsScalar() || !is_header_name(entry.first.Scalar()))
      return context.error(line, path, "a header name must be an HTTP token");
    const std::string here = join(path, entry.first.Scalar());
    if (!entry.second.IsScalar()) return context.error(line, here, "must be a text");
    OtlpHeader header;
    header.name = entry.first.Scalar();
    std::ranges::transform(header.name, header.name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (std::ranges::find(out, header.name, &OtlpHeader::name) != out.end())
      return context.error(line, here, "is there twice");
    if (Result<void> done = resolve_header(context, header, entry.second.Scalar(), line, here); !done) return done;
    if (std::ranges::any_of(header.value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
      return context.error(line, here, "its value holds control characters");
    }
    out.push_back(std::move(header));
  }
  return {};
}

Result<void> check_endpoint(const Context& context, const YAML::Node& node, const std::string& path, std::string& out) {
  if (Result<void> done = text(context, out, 2048)(node, path); !done) return done;
  const bool http = out.starts_with("http://") && out.size() > 7;
  const bool https = out.starts_with("https://") && out.size() > 8;
  if (!http && !https)
    return context.error(node.Mark().line, path, "must begin with http:// or https://, like http://127.0.0.1:4318");
  const auto authority = out.substr(out.find("//") + 2, out.find('/', out.find("//") + 2) - out.find("//") - 2);
  if (authority.contains('@'))
    return context.error(node.Mark().line, path, "no user or password here; use headers with ${env:NAME}");
  if (const Result<base::HttpTarget> target = base::HttpTarget::parse(out); !target)
    return context.error(node.Mark().line, path, target.error().message);
  return {};
}

Result<void> read_otlp(const Context& context, const YAML::Node& node, const std::string& path) {
  OtlpConfig otlp;
  const int line = node.Mark().line;
  const Keys keys = {
      {"name",
       [&](const YAML::Node& value, const std::string& here) -> Result<void> {
         if (Result<void> done = text(context, otlp.name, 32)(value, here); !done) return done;
         if (otlp.name.empty() ||
             otlp.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos) {
           return context.error(value.Mark().line, here, "must be 1 to 32 of a-z, 0-9, _ and -");
         }
         return {};
       }},
      {"endpoint", [&](const YAML::Node& value,
                       const std::string& here) { return check_endpoint(context, value, here, otlp.endpoint); }},
      {"protocol", choice(context, {kOtlpProtocols.begin(), kOtlpProtocols.end()},
                          [&](const std::string& value) { otlp.protocol = value; })},
      {"headers", [&](const YAML::Node& value,
                      const std::string& here) { return read_headers(context, value, here, otlp.headers); }},
      {"compression",
       choice(context, {"gzip", "none"}, [&](const std::string& value) { otlp.gzip = value == "gzip"; })},
      {"timeout_s", number(context, otlp.timeout_s, 1, 300)},
      {"signals",
       [&](const YAML::Node& value, const std::string& here) {
         otlp.signals.clear();
         return list(context, kOtlpSignals.size(),
                     choice(context, {kOtlpSignals.begin(), kOtlpSignals.end()}, [&](const std::string& signal) {
                       if (std::ranges::find(otlp.signals, signal) == otlp.signals.end())
                         otlp.signals.push_back(signal);
                     }))(value, here);
       }},
      {"ca_file", absolute_path(context, otlp.ca_file)},
      {"cert_file", absolute_path(context, otlp.cert_file)},
      {"key_file", absolute_path(context, otlp.key_file)},
      {"metrics_s", number(context, otlp.metrics_s, 1, 3600)},
      {"from_start", boolean(context, otlp.from_start)},
  };
  if (Result<void> done = read_map(context, node, path, keys); !done) return done;
  if (otlp.endpoint.empty())
    return context.error(line, path, "endpoint is missing; like endpoint: http://127.0.0.1:4318");
  if (otlp.protocol == "grpc" && !base::HttpTarget::parse(otlp.endpoint)->path.empty())
    return context.error(line, path, "endpoint: gRPC has no path; write host and port only");
  if (otlp.signals.empty())
    return context.error(line, path, fmt::format("signals: at least one of {}", fmt::join(kOtlpSignals, ", ")));
  if (otlp.cert_file.empty() != otlp.key_file.empty())
    return context.error(line, path, "cert_file and key_file go together");
  if (std::ranges::find(context.config.otlp, otlp.name, &OtlpConfig::name) != context.config.otlp.end()) {
    return context.error(line, path, fmt::format("the name {} is taken; each exporter needs its own", otlp.name));
  }
  context.config.otlp.push_back(std::move(otlp));
  return {};
}

Setter listen_address(const Context& context, std::string& out) {
  return [&context, &out](const YAML::Node& node, const std::string& path) -> Result<void> {
    if (Result<void> done = text(context, out, 64)(node, path); !done || out.empty()) return done;
    const base::HostPort where = base::parse_host(out);
    if (base::is_address(where.host) && where.port != 0) return {};
    return context.error(node.Mark().line, path, "must be an address and a port, like 127.0.0.1:9477");
  };
}

Setter finding(const Context& context, const FindingType& is) {
  return [&context, &is](const YAML::Node& node, const std::string& path) -> Result<void> {
    FindingConfig& out = context.config.findings[std::string(is.type)];
    Keys keys = {{"enabled", boolean(context, out.enabled)},
                 {"severity", choice(context, {"info", "low", "medium", "high"},
                                     [&](const std::string& value) { out.severity = value; })}};
    for (const FindingSetting& setting : is.settings) {
      std::uint32_t& value = out.numbers[std::string(setting.name)] = setting.preset;
      keys.emplace_back(setting.name, number(context, value, setting.least, setting.most));
    }
    return read_map(context, node, path, keys);
  };
}

Keys finding_keys(const Context& context) {
  Keys keys;
  for (const FindingType& is : context.options.findings)
    keys.emplace_back(is.type, finding(context, is));
  return keys;
}

Result<void> read_root(const Context& context, const YAML::Node& root) {
  Config& c = context.config;
  const Keys keys = {
      {"history", section(context, {{"path", absolute_path(context, c.history.path)},
                                    {"max_mb", number(context, c.history.max_mb, 16, 1U << 20U)},
                                    {"retention_days", number(context, c.history.retention_days, 1, 3650)},
                                    {"reserve_mb", number(context, c.history.reserve_mb, 0, 1024)}})},
      {"api", section(context, {{"socket", absolute_path(context, c.api.socket, 107)}})},
      {"otlp", list(context, 16,
                    [&](const YAML::Node& node, const std::string& path) { return read_otlp(context, node, path); })},
      {"prometheus", section(context, {{"listen", listen_address(context, c.prometheus_listen)}})},
      {"log", section(context, {{"level", choice(context, {"trace", "debug", "info", "warn", "error"},
                                                 [&](const std::string& value) { c.log_level = value; })}})},
      {"hooks", section(context, {{"disable",
                                   list(context, 64,
                                        choice(context, {kHookFeatures.begin(), kHookFeatures.end()},
                                               [&](const std::string& name) { c.disabled_hooks.push_back(name); }))}})},
      {"catalog", section(context, {{"directory", absolute_path(context, c.catalog_directory)}})},
      {"sampling", section(context, {{"sockets_s", number(context, c.sampling.sockets_s, 5, 3600)},
                                     {"slots_s", number(context, c.sampling.slots_s, 1, 3600)}})},
      {"queries", section(context, {{"max_rows", number(context, c.queries.max_rows, 1, 10'000)},
                                    {"timeout_s", number(context, c.queries.timeout_s, 1, 60)}})},
      {"findings", section(context, finding_keys(context))},
      {"identity", section(context, identity_keys(context))},
  };
  return read_map(context, root, "", keys);
}

}  // namespace

bool is_header_name(const std::string& name) {
  constexpr std::string_view kToken = "!#$%&'*+-.^_`|~";
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kToken.contains(c);
  });
}

Result<Config> parse_config(const std::string& text, const std::string& file, const ConfigOptions& options) {
  if (text.size() > kMaxBytes)
    return fail(Error::Code::kTooLarge, printable(file) + ": larger than 1 MiB; that is no configuration of Keytrail");
  Config config;
  config.file = file;
  const Context context{file, options, config};
  if (Result<void> sound = check_yaml(text, file); !sound) return std::unexpected(sound.error());
  try {
    if (Result<void> done = read_root(context, YAML::Load(text)); !done) return std::unexpected(done.error());
  } catch (const YAML::Exception& error) {
    return context.error(error.mark.line, "", "not valid YAML: " + printable(error.msg));
  }
  return config;
}

namespace {

Result<Config> load_file(const std::string& path, const ConfigOptions& options) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 && errno == ENOENT) {
    if (!options.required) return Config{};
    return fail(Error::Code::kNotFound, fmt::format("{}: there is no such file", printable(path)));
  }
  Result<std::string> text = read_small_file(path, kMaxBytes, true);
  if (!text) return std::unexpected(text.error());
  return parse_config(*text, path, options);
}

}  // namespace

Result<Config> load_config(const std::string& path, const ConfigOptions& options) {
  Result<Config> config = load_file(path, options);
  if (!config || !options.environment) return config;
  const auto from = [&options](const std::string& name) { return look_up(options, name); };
  if (Result<void> read = read_otel_environment(*config, from); !read) return std::unexpected(read.error());
  return config;
}

std::string render_config(const Config& c) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  out << YAML::Key << "history" << YAML::BeginMap << YAML::Key << "path" << c.history.path << YAML::Key << "max_mb"
      << c.history.max_mb << YAML::Key << "retention_days" << c.history.retention_days << YAML::Key << "reserve_mb"
      << c.history.reserve_mb << YAML::EndMap;
  out << YAML::Key << "api" << YAML::BeginMap << YAML::Key << "socket" << c.api.socket << YAML::EndMap;
  out << YAML::Key << "otlp" << YAML::BeginSeq;
  for (const OtlpConfig& otlp : c.otlp) {
    out << YAML::BeginMap << YAML::Key << "name" << otlp.name << YAML::Key << "endpoint" << otlp.endpoint << YAML::Key
        << "protocol" << otlp.protocol << YAML::Key << "headers" << YAML::BeginMap;
    for (const OtlpHeader& header : otlp.headers) {
      out << YAML::Key << header.name
          << (header.source == "text" ? std::string("(set in the file)") : "(set: ${" + header.source + "})");
    }
    out << YAML::EndMap << YAML::Key << "compression" << (otlp.gzip ? "gzip" : "none") << YAML::Key << "timeout_s"
        << otlp.timeout_s << YAML::Key << "signals" << YAML::Flow << otlp.signals;
    for (const auto& [name, value] :
         {std::pair{"ca_file", &otlp.ca_file}, {"cert_file", &otlp.cert_file}, {"key_file", &otlp.key_file}}) {
      if (!value->empty()) out << YAML::Key << name << *value;
    }
    out << YAML::Key << "metrics_s" << otlp.metrics_s << YAML::Key << "from_start" << otlp.from_start << YAML::EndMap;
  }
  out << YAML::EndSeq;
  if (!c.prometheus_listen.empty())
    out << YAML::Key << "prometheus" << YAML::BeginMap << YAML::Key << "listen" << c.prometheus_listen << YAML::EndMap;
  out << YAML::Key << "log" << YAML::BeginMap << YAML::Key << "level" << c.log_level << YAML::EndMap;
  out << YAML::Key << "hooks" << YAML::BeginMap << YAML::Key << "disable" << YAML::Flow << c.disabled_hooks
      << YAML::EndMap;
  out << YAML::Key << "catalog" << YAML::BeginMap << YAML::Key << "directory" << c.catalog_directory << YAML::EndMap;
  out << YAML::Key << "sampling" << YAML::BeginMap << YAML::Key << "sockets_s" << c.sampling.sockets_s << YAML::Key
      << "slots_s" << c.sampling.slots_s << YAML::EndMap;
  out << YAML::Key << "queries" << YAML::BeginMap << YAML::Key << "max_rows" << c.queries.max_rows << YAML::Key
      << "timeout_s" << c.queries.timeout_s << YAML::EndMap;
  config::render_identity(out, c.identity);
  out << YAML::Key << "findings" << YAML::BeginMap;
  for (const auto& [type, finding] : c.findings) {
    out << YAML::Key << type << YAML::BeginMap << YAML::Key << "enabled" << finding.enabled;
    if (!finding.severity.empty()) out << YAML::Key << "severity" << finding.severity;
    for (const auto& [name, value] : finding.numbers)
      out << YAML::Key << name << value;
    out << YAML::EndMap;
  }
  out << YAML::EndMap;
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace keytrail::base
