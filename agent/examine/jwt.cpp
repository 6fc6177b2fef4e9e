// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens (RFC 7519, compact form RFC 7515 section 7.1) and Kubernetes' service account tokens
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/); JWT-SVIDs
// (https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md). Signatures are not checked.
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "agent/examine/formats.h"
#include "agent/examine/spiffe_id.h"
#include "keytrail/workload.h"

namespace keytrail::examine::format {
namespace {

namespace json = boost::json;

constexpr std::int64_t kShortSeconds = std::int64_t{7} * 24 * 3600;

/// Decodes and parses one part; all memory is scratch memory.
bool read_part(std::string_view part, Work& work, json::monotonic_resource& memory, json::object& out) {
  std::string_view text;
  if (!decode_base64(part, true, work.scratch(), text)) return false;
  json::parse_options options;
  options.max_depth = 16;
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, &memory, options);
  if (error || !value.is_object()) return false;
  out = std::move(value.get_object());
  return true;
}

std::string_view string_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return {};
  const json::string& text = value->get_string();
  return {text.data(), text.size()};
}

/// NumericDate: seconds, maybe with a fraction; 0 when absent or absurd.
std::int64_t seconds_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return 0;
  const auto seconds = value->to_number<double>();
  return std::isfinite(seconds) && seconds > 0 && seconds < 1e12 ? static_cast<std::int64_t>(seconds) : 0;
}

/// A service account token is for its API server when its audience is the issuer itself, or the server's name in the
/// cluster.
bool is_for_api_server(const json::object& claims) {
  const auto names_it = [&](std::string_view audience) {
    return audience == string_of(claims, "iss") || audience.find("kubernetes.default") != std::string_view::npos ||
           audience == "k3s";
  };
  const json::value* audience = claims.if_contains("aud");
  if (audience == nullptr) return true;
  if (audience->is_string()) return names_it({audience->get_string().data(), audience->get_string().size()});
  if (!audience->is_array()) return false;
  return std::ranges::any_of(audience->get_array(), [&](const json::value& one) {
    return one.is_string() && names_it({one.get_string().data(), one.get_string().size()});
  });
}

std::string_view kind_of(const json::object& claims, std::string_view hinted) {
  if (string_of(claims, "iss") == "kubernetes/serviceaccount") return "k8s.legacy_service_account_token";
  if (claims.contains("kubernetes.io")) {
    return hinted == "k8s.service_account_token" || is_for_api_server(claims) ? "k8s.service_account_token"
                                                                              : "k8s.projected_token";
  }
  if (is_spiffe_id(string_of(claims, "sub"))) return "spiffe.jwt_svid";
  if (hinted.starts_with("generic.")) return "generic.identity_token";
  return hinted.empty() || hinted.starts_with("k8s.") || hinted.starts_with("aws.") ? "oidc.id_token" : hinted;
}

std::string_view text_at(const json::object& object, std::string_view outer, std::string_view inner) {
  const json::value* value = object.if_contains(outer);
  return value != nullptr && value->is_object() ? string_of(value->get_object(), inner) : std::string_view();
}

/// The pod that the token was made for, in both forms that API servers have signed; whom a JWT-SVID names.
std::vector<Claim> claims_of(const json::object& token) {
  std::vector<Claim> out;
  const auto add = [&](const char* name, std::string_view value) {
    if (is_name(value, 253) && !value.empty()) out.push_back({name, std::string(value)});
  };
  add(fact::kNamespace, string_of(token, "kubernetes.io/serviceaccount/namespace"));
  add(fact::kServiceAccount, string_of(token, "kubernetes.io/serviceaccount/service-account.name"));
  const json::value* bound = token.if_contains("kubernetes.io");
  if (bound == nullptr && is_spiffe_id(string_of(token, "sub"))) add(fact::kSpiffeId, string_of(token, "sub"));
  if (bound == nullptr || !bound->is_object()) return out;
  const json::object& about = bound->get_object();
  add(fact::kNamespace, string_of(about, "namespace"));
  add(fact::kServiceAccount, text_at(about, "serviceaccount", "name"));
  add(fact::kPodName, text_at(about, "pod", "name"));
  add(fact::kPodUid, text_at(about, "pod", "uid"));
  add(fact::kNodeName, text_at(about, "node", "name"));
  return out;
}

KeyFact token_fact(const json::object& claims, Work& work) {
  const std::int64_t issued = seconds_of(claims, "iat");
  const std::int64_t expires = seconds_of(claims, "exp");
  // A bound service account token is renewed every hour, though it may be valid for a year for old clients.
  const bool bound = claims.contains("kubernetes.io");
  const bool short_lived = expires != 0 && (bound || expires - issued <= kShortSeconds);
  KeyFact fact = work.fact(kind_of(claims, work.hints().key_kind), KeyClass::kIdentityToken, Lifetime::kUnknown);
  fact.key.lifetime = short_lived ? Lifetime::kShortLived : Lifetime::kLongLived;
  fact.key.issued_s = issued;
  fact.key.expires_s = expires;
  return fact;
}

}  // namespace

bool add_jwt(std::string_view token, Work& work) {
  if (!token.starts_with("eyJ") || std::ranges::count(token, '.') != 2) return false;
  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  // Claims are public, but they lie beside the signature: their memory is wiped with it. What does not fit is refused
  // by the parser.
  const std::span<char> memory = work.scratch().take(std::min<std::size_t>(16 * token.size() + 4096, 512U << 10U));
  if (memory.empty()) return false;
  json::monotonic_resource resource(reinterpret_cast<unsigned char*>(memory.data()), memory.size(),
                                    json::get_null_resource());
  json::object header(&resource);
  json::object claims(&resource);
  if (!read_part(token.substr(0, first), work, resource, header) || !header.contains("alg")) return false;
  if (!read_part(token.substr(first + 1, second - first - 1), work, resource, claims)) return false;
  KeyFact fact = token_fact(claims, work);
  const std::string_view kid = string_of(header, "kid");
  const std::string_view jti = string_of(claims, "jti");
  if (is_name(kid, 120) && is_name(jti, 120)) fact.key.id.append(kid).append("/").append(jti);
  if (const std::string_view subject = string_of(claims, "sub"); is_name(subject, 254))
    fact.key.principal = std::string(subject);
  fact.claims = claims_of(claims);
  work.add(std::move(fact), token);
  work.show();
  return true;
}

role::Unread jwt(std::string_view bytes, Work& work) {
  const std::string_view token = trimmed(bytes);
  if (token.empty()) return role::Unread::kNone;
  return add_jwt(token, work) ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
