// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_access.h"

#include <unistd.h>

#include "agent/base/host.h"
#include "agent/base/log.h"

namespace keytrail::identify {

Result<std::optional<KubeAccess>> kube_access(
    const base::KubernetesConfig& config, const std::function<std::optional<std::string>(const std::string&)>& getenv) {
  const auto variable = [&](const char* name) { return getenv(name).value_or(""); };
  const bool automatic = config.mode == "auto";
  const std::string host = variable("KUBERNETES_SERVICE_HOST");
  if (config.mode == "off") return std::nullopt;
  if (automatic && (host.empty() || ::access(config.token_file.c_str(), F_OK) != 0)) return std::nullopt;

  KubeAccess out{.endpoint = {.url = config.api_server, .token_file = config.token_file, .ca_file = config.ca_file},
                 .node = config.node_name,
                 .kubelet = config.mode == "kubelet"};
  for (const char* name : {"KEYTRAIL_NODE_NAME", "NODE_NAME"}) {
    if (out.node.empty()) out.node = variable(name);
  }
  if (out.node.empty())
    return fail(Error::Code::kInvalid,
                "the node's name is not known: set identity.kubernetes.node_name, or KEYTRAIL_NODE_NAME from the pod's "
                "spec.nodeName");
  // It becomes part of a selector: nothing but a name may stand there.
  if (base::host_name(out.node) != out.node)
    return fail(Error::Code::kInvalid, base::printable(out.node) + " is no name of a node");
  if (out.kubelet) {
    out.endpoint.url = config.kubelet.empty() ? "https://" + out.node + ":10250" : config.kubelet;
  } else if (out.endpoint.url.empty()) {
    if (host.empty())
      return fail(Error::Code::kInvalid,
                  "the API server is not known: set identity.kubernetes.api_server (https://HOST:PORT)");
    const std::string port = variable("KUBERNETES_SERVICE_PORT");
    out.endpoint.url =
        "https://" + (host.contains(':') ? "[" + host + "]" : host) + ":" + (port.empty() ? "443" : port);
  }
  if (const auto target = base::HttpTarget::parse(out.endpoint.url); !target)
    return fail(Error::Code::kInvalid, base::printable(out.endpoint.url) + ": " + target.error().message);
  return out;
}

}  // namespace keytrail::identify
