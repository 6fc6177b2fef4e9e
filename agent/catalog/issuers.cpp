// SPDX-License-Identifier: Apache-2.0
// What a call to an issuer may give, by its destination, the key it was made with and, where it was seen, the request's
// path. Any thread.
#include <algorithm>

#include "agent/base/host.h"
#include "agent/catalog/impl.h"

namespace keytrail::catalog {
namespace {

bool is_in(tables::Strings list, std::string_view text) { return std::ranges::find(list, text) != list.end(); }

std::string_view without_query(std::string_view path) { return path.substr(0, path.find_first_of("?#")); }

bool fits_path(const tables::Request& request, std::string_view path) {
  return std::ranges::any_of(request.paths, [&](std::string_view pattern) { return glob(pattern, path); });
}

}  // namespace

const tables::Request* Catalog::Impl::request_of(std::string_view path, tables::Indices among) const {
  if (path.empty()) return nullptr;
  const auto found = std::ranges::find_if(
      among, [&](std::uint16_t index) { return fits_path(t_.requests[index], without_query(path)); });
  return found == among.end() ? nullptr : &t_.requests[*found];
}

std::vector<std::string_view> Catalog::Impl::issues(const Endpoint& endpoint, std::string_view kind,
                                                    std::string_view path, bool usual_only) const {
  std::vector<std::string_view> out;
  const tables::Accept* accept = accept_of(endpoint);
  if (accept == nullptr) return out;
  // An issuer takes here what both its call and the destination name.
  if (!kind.empty() && !is_in(accept->kinds, kind)) return out;
  const bool known_path = is_issue_path(endpoint, path);
  for (const std::uint16_t issuer : accept->issuers) {
    const tables::Request* request = request_of(path, t_.issuers[issuer].requests);
    if (known_path && request == nullptr) continue;
    for (const tables::Action& action : t_.issuers[issuer].actions) {
      if (usual_only && action.seldom && request == nullptr) continue;
      if (kind.empty() ? !action.takes.empty() : !is_in(action.takes, kind)) continue;
      for (const std::string_view given : action.gives) {
        if (request != nullptr && !is_in(request->is.kinds, given)) continue;
        if (std::ranges::find(out, given) == out.end()) out.push_back(given);
      }
    }
  }
  return out;
}

bool Catalog::Impl::is_issue_path(const Endpoint& endpoint, std::string_view path) const {
  const tables::Accept* accept = accept_of(endpoint);
  return accept != nullptr && std::ranges::any_of(accept->issuers, [&](std::uint16_t issuer) {
           return request_of(path, t_.issuers[issuer].requests) != nullptr;
         });
}

bool Catalog::Impl::issues_always(const Endpoint& endpoint, std::string_view with, std::string_view given) const {
  const tables::Accept* accept = accept_of(endpoint);
  const Kind* key = kind(with);
  if (accept == nullptr || key == nullptr) return false;
  const bool own = key->provider == endpoint.provider;
  // A store's own key, which it gives at a login.
  const bool login = !accept->kinds.empty() && accept->kinds.front() == given && with != given;
  return std::ranges::any_of(accept->issuers, [&](std::uint16_t at) {
    const tables::Issuer& issuer = t_.issuers[at];
    if ((issuer.whoami && own) || (issuer.hands_out_others && !login)) return false;
    return std::ranges::any_of(issuer.actions, [&](const tables::Action& action) {
      return !action.seldom && is_in(action.takes, with) && is_in(action.gives, given);
    });
  });
}

std::optional<IssueRequest> Catalog::Impl::match_request(std::string_view host, std::string_view path) const {
  const std::string name = base::parse_host(host).host;
  for (const tables::Request& request : t_.requests) {
    const bool there = std::ranges::any_of(
        request.hosts, [&](std::string_view pattern) { return pattern != "*" && glob(pattern, name); });
    if (there && fits_path(request, without_query(path))) return request.is;
  }
  return std::nullopt;
}

}  // namespace keytrail::catalog
