// SPDX-License-Identifier: Apache-2.0
#include "agent/base/otel_environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/url/pct_string_view.hpp>
#include <charconv>
#include <set>
#include <vector>

#include "agent/base/http_client.h"

namespace keytrail::base {
namespace {

constexpr std::size_t kPairsMax = 64;

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return text;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

struct Variable {
  std::string name, value;
  [[nodiscard]] std::unexpected<Error> bad(const std::string& must) const {
    return fail(Error::Code::kInvalid, "the environment variable " + name + " " + must);
  }
};

/// An empty variable is an unset one.
std::optional<Variable> look_up(const GetEnv& getenv, const std::string& name) {
  const std::optional<std::string> value = getenv(name);
  if (!value || trim(*value).empty()) return std::nullopt;
  return Variable{name, std::string(trim(*value))};
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// "name=value,name=value", values percent-encoded (W3C Baggage, without metadata).
Result<Pairs> parse_pairs(const Variable& from) {
  Pairs out;
  std::string_view left = from.value;
  while (!left.empty()) {
    const std::size_t comma = std::min(left.find(','), left.size());
    const std::string_view item = trim(left.substr(0, comma));
    left.remove_prefix(std::min(comma + 1, left.size()));
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const std::string name(trim(item.substr(0, equals)));
    if (equals == std::string_view::npos || name.empty()) return from.bad("must be like name=value,name=value");
    const std::string_view written = trim(item.substr(equals + 1));
    const auto value = boost::urls::make_pct_string_view(boost::urls::string_view(written.data(), written.size()));
    if (!value) return from.bad("must be like name=value,name=value, with % only as in %2C");
    std::string text = value->decode();
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
      return from.bad("holds control characters");
    out.emplace_back(name, std::move(text));
    if (out.size() > kPairsMax) return from.bad(fmt::format("has more than {} entries", kPairsMax));
  }
  return out;
}

/// The settings of one signal's exporter.
class Reader {
 public:
  Reader(const GetEnv& getenv, const char* signal) : getenv_(getenv), signal_(signal) { out_.signals = {signal}; }

  /// nullopt: this signal is not exported.
  Result<std::optional<OtlpConfig>> read() {
    if (const auto exporter = look_up(getenv_, "OTEL_" + upper(signal_) + "_EXPORTER")) {
      if (exporter->value == "none") return std::nullopt;
      if (exporter->value != "otlp") return exporter->bad("must be otlp or none");
    }
    const auto endpoint = find("ENDPOINT");
    if (!endpoint) return std::nullopt;
    for (const auto step : {&Reader::protocol, &Reader::headers, &Reader::compression, &Reader::timeout,
                            &Reader::interval, &Reader::files}) {
      if (Result<void> done = (this->*step)(); !done) return std::unexpected(done.error());
    }
    if (Result<void> done = take_endpoint(*endpoint); !done) return std::unexpected(done.error());
    for (const std::string& name : used_)
      out_.source += (out_.source.empty() ? "" : ", ") + name;
    return out_;
  }

 private:
  /// That of the signal, or that of all signals.
  std::optional<Variable> find(const std::string& suffix) {
    auto found = look_up(getenv_, "OTEL_EXPORTER_OTLP_" + upper(signal_) + "_" + suffix);
    if (!found) found = look_up(getenv_, "OTEL_EXPORTER_OTLP_" + suffix);
    if (found) used_.insert(found->name);
    return found;
  }

  Result<void> take_endpoint(const Variable& from) {
    std::string url = from.value;
    if (out_.protocol == "grpc" && !url.contains("://")) {
      const auto insecure = find("INSECURE");
      url = (insecure && lower(insecure->value) == "true" ? "http://" : "https://") + url;
    }
    const std::string authority = url.substr(std::min(url.find("//") + 2, url.size()));
    if ((!url.starts_with("http://") && !url.starts_with("https://")) || authority.empty())
      return from.bad("must begin with http:// or https://, like http://127.0.0.1:4318");
    if (authority.substr(0, authority.find('/')).contains('@'))
      return from.bad("holds a user or password; use OTEL_EXPORTER_OTLP_HEADERS");
    const Result<base::HttpTarget> target = base::HttpTarget::parse(url);
    if (!target)
      return fail(Error::Code::kInvalid, "the environment variable " + from.name + ": " + target.error().message);
    if (out_.protocol == "grpc" && !target->path.empty()) return from.bad("has a path; gRPC has none");
    out_.endpoint = url;
    out_.whole_endpoint = out_.protocol != "grpc" && from.name != "OTEL_EXPORTER_OTLP_ENDPOINT";
    return {};
  }

  Result<void> protocol() {
    const auto from = find("PROTOCOL");
    if (!from) return {};
    if (std::ranges::find(kOtlpProtocols, from->value) == kOtlpProtocols.end())
      return from->bad(fmt::format("must be one of: {}", fmt::join(kOtlpProtocols, ", ")));
    out_.protocol = from->value;
    return {};
  }

  Result<void> headers() {
    const auto from = find("HEADERS");
    if (!from) return {};
    Result<Pairs> pairs = parse_pairs(*from);
    if (!pairs) return std::unexpected(pairs.error());
    for (auto& [name, value] : *pairs) {
      if (!is_header_name(name)) return from->bad("names a header that is no HTTP token");
      out_.headers.push_back({.name = lower(name), .value = std::move(value), .source = "env:" + from->name});
    }
    return {};
  }

  Result<void> compression() {
    const auto from = find("COMPRESSION");
    if (!from) return {};
    if (from->value != "gzip" && from->value != "none") return from->bad("must be one of: gzip, none");
    out_.gzip = from->value == "gzip";
    return {};
  }

  Result<void> seconds(const std::optional<Variable>& from, std::uint32_t most, std::uint32_t& out) {
    if (!from) return {};
    std::uint32_t ms = 0;
    const char* end = from->value.data() + from->value.size();
    const auto [at, error] = std::from_chars(from->value.data(), end, ms);
    if (error != std::errc{} || at != end || ms == 0 || ms > most * 1000)
      return from->bad(fmt::format("must be milliseconds from 1 to {}", most * 1000));
    out = (ms + 999) / 1000;
    return {};
  }
  Result<void> timeout() { return seconds(find("TIMEOUT"), 300, out_.timeout_s); }
  Result<void> interval() { return seconds(look_up(getenv_, "OTEL_METRIC_EXPORT_INTERVAL"), 3600, out_.metrics_s); }

  Result<void> files() {
    for (const auto& [suffix, out] : {std::pair{"CERTIFICATE", &out_.ca_file},
                                      {"CLIENT_CERTIFICATE", &out_.cert_file},
                                      {"CLIENT_KEY", &out_.key_file}}) {
      const auto from = find(suffix);
      if (from && !from->value.starts_with('/')) return from->bad("must be an absolute path");
      if (from) *out = from->value;
    }
    if (out_.cert_file.empty() == out_.key_file.empty()) return {};
    return fail(Error::Code::kInvalid,
                "the environment variables OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go "
                "together");
  }

  const GetEnv& getenv_;
  const std::string signal_;
  OtlpConfig out_;
  std::set<std::string> used_;
};

bool same_but_signal(const OtlpConfig& a, const OtlpConfig& b) {
  return !a.whole_endpoint && !b.whole_endpoint && a.endpoint == b.endpoint && a.protocol == b.protocol &&
         a.headers == b.headers && a.gzip == b.gzip && a.timeout_s == b.timeout_s && a.ca_file == b.ca_file &&
         a.cert_file == b.cert_file && a.key_file == b.key_file;
}

Result<void> read_resource(Config& config, const GetEnv& getenv) {
  if (const auto attributes = look_up(getenv, "OTEL_RESOURCE_ATTRIBUTES")) {
    Result<Pairs> pairs = parse_pairs(*attributes);
    if (!pairs) return std::unexpected(pairs.error());
    for (auto& pair : *pairs) {
      if (pair.first == "service.name")
        config.service_name = pair.second;
      else
        config.resource_attributes.push_back(std::move(pair));
    }
  }
  if (const auto name = look_up(getenv, "OTEL_SERVICE_NAME")) config.service_name = name->value;
  return {};
}

}  // namespace

Result<void> read_otel_environment(Config& config, const GetEnv& getenv) {
  if (Result<void> done = read_resource(config, getenv); !done) return done;
  if (const auto disabled = look_up(getenv, "OTEL_SDK_DISABLED"); disabled && lower(disabled->value) == "true")
    return {};
  std::vector<OtlpConfig> found;
  for (const char* signal : kOtlpSignals) {
    Result<std::optional<OtlpConfig>> one = Reader(getenv, signal).read();
    if (!one) return std::unexpected(one.error());
    if (!*one) continue;
    const auto same =
        std::ranges::find_if(found, [&](const OtlpConfig& other) { return same_but_signal(other, **one); });
    if (same != found.end()) {
      same->signals.emplace_back(signal);
    } else {
      found.push_back(std::move(**one));
    }
  }
  if (!config.otlp.empty()) {
    if (!found.empty())
      config.remarks.push_back(found.front().source + " set and not used: otlp in " + config.file + " wins");
    return {};
  }
  for (OtlpConfig& one : found) {
    one.name = found.size() == 1 ? "environment" : "environment-" + one.signals.front();
    config.otlp.push_back(std::move(one));
  }
  return {};
}

}  // namespace keytrail::base
