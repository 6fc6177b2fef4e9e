// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "agent/base/config_keys.h"
#include "agent/base/http_client.h"

namespace keytrail::base::config {
namespace {

/// A key of a label or annotation: [prefix/]name
/// (kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set).
bool is_label_key(const std::string& key) {
  constexpr std::string_view kMarks = "-_.";
  const std::size_t slash = key.find('/');
  const std::string prefix = slash == std::string::npos ? "" : key.substr(0, slash);
  const std::string name = slash == std::string::npos ? key : key.substr(slash + 1);
  const auto letter = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto plain = [&](const std::string& text) {
    return !text.empty() && letter(text.front()) && letter(text.back()) &&
           std::ranges::all_of(text, [&](char c) { return letter(c) || kMarks.contains(c); });
  };
  return plain(name) && name.size() <= 63 && (slash == std::string::npos || (plain(prefix) && prefix.size() <= 253));
}

Setter url(const Context& context, std::string& out) {
  return [&context, &out](const YAML::Node& node, const std::string& path) -> Result<void> {
    if (Result<void> done = text(context, out, 2048)(node, path); !done) return done;
    const Result<HttpTarget> target = HttpTarget::parse(out);
    if (target && target->path.empty()) return {};
    return context.error(node.Mark().line, path, "must be https://HOST:PORT without a path");
  };
}

Setter label_key(const Context& context, std::function<void(const std::string&)> take) {
  return [&context, take = std::move(take)](const YAML::Node& node, const std::string& path) -> Result<void> {
    std::string key;
    if (Result<void> done = text(context, key, kMaxLabelKey)(node, path); !done) return done;
    if (!is_label_key(key))
      return context.error(node.Mark().line, path,
                           "must be the key of a label or annotation, like app.kubernetes.io/name");
    take(key);
    return {};
  };
}

}  // namespace

Keys identity_keys(const Context& context) {
  KubernetesConfig& k = context.config.identity.kubernetes;
  const auto labels = [&context, &k](const YAML::Node& node, const std::string& path) {
    k.labels.clear();
    return list(context, kMaxLabels, label_key(context, [&k](const std::string& key) {
                  if (std::ranges::find(k.labels, key) == k.labels.end()) k.labels.push_back(key);
                }))(node, path);
  };
  return {{"runtime", boolean(context, context.config.identity.runtime)},
          {"cloud", choice(context, {kClouds.begin(), kClouds.end()},
                           [&context](const std::string& value) { context.config.identity.cloud = value; })},
          {"kubernetes", section(context, {{"mode", choice(context, {kKubernetesModes.begin(), kKubernetesModes.end()},
                                                           [&k](const std::string& value) { k.mode = value; })},
                                           {"api_server", url(context, k.api_server)},
                                           {"kubelet", url(context, k.kubelet)},
                                           {"token_file", absolute_path(context, k.token_file)},
                                           {"ca_file", absolute_path(context, k.ca_file)},
                                           {"node_name", text(context, k.node_name, 253)},
                                           {"labels", labels},
                                           {"team_annotation", label_key(context, [&k](const std::string& key) {
                                              k.team_annotation = key;
                                            })}})}};
}

void render_identity(YAML::Emitter& out, const IdentityConfig& identity) {
  const KubernetesConfig& k = identity.kubernetes;
  out << YAML::Key << "identity" << YAML::BeginMap << YAML::Key << "runtime" << identity.runtime << YAML::Key << "cloud"
      << identity.cloud << YAML::Key << "kubernetes" << YAML::BeginMap;
  for (const auto& [name, value] : {std::pair{"mode", &k.mode},
                                    {"api_server", &k.api_server},
                                    {"kubelet", &k.kubelet},
                                    {"token_file", &k.token_file},
                                    {"ca_file", &k.ca_file},
                                    {"node_name", &k.node_name}}) {
    if (!value->empty()) out << YAML::Key << name << *value;
  }
  out << YAML::Key << "labels" << YAML::Flow << k.labels << YAML::Key << "team_annotation" << k.team_annotation
      << YAML::EndMap << YAML::EndMap;
}

}  // namespace keytrail::base::config
