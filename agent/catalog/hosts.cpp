// SPDX-License-Identifier: Apache-2.0
// Host names, metadata requests, variables that name a destination, and what each takes. Any thread.
// A host is looked up by each of its endings; only the expressions registered below one of them are tried.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

#include "agent/base/host.h"
#include "agent/catalog/impl.h"

namespace keytrail::catalog {
namespace {

using tables::kMaxBindingNames;
using tables::kNone;

bool contains(tables::Strings list, std::string_view text) { return std::ranges::find(list, text) != list.end(); }

/// What the '*' of a pattern stands for in the text; the pattern fits.
std::string starred(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return {};
  const std::size_t tail = pattern.size() - star - 1;
  if (star + tail > text.size()) return {};
  return std::string(text.substr(star, text.size() - star - tail));
}

/// "jdbc:postgresql://db:5432" and "postgresql+psycopg://db" → "postgresql"; empty for what is no URL.
std::string_view engine_of(std::string_view url) {
  url = url.substr(0, url.find("://") == std::string_view::npos ? 0 : url.find("://"));
  if (url.starts_with("jdbc:")) url.remove_prefix(5);
  return url.substr(0, url.find('+'));
}

/// Whether a group of an expression says what or where the endpoint is, and not whose.
bool says_which(std::string_view group) {
  return group.starts_with("service") || group.starts_with("region") || group == "shortregion" || group == "az" ||
         group == "engine" || group == "pre";
}

}  // namespace

const RE2& LazyRegex::get(std::string_view text) const {
  std::call_once(once_, [&] {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(tables::kMaxRegexMemory);
    compiled_ = std::make_unique<RE2>(re2::StringPiece(text.data(), text.size()), options);
  });
  return *compiled_;
}

int LazyRegex::group(const std::string& name) const {
  const auto& groups = compiled_->NamedCapturingGroups();
  const auto found = groups.find(name);
  return found == groups.end() ? 0 : found->second;
}

std::uint16_t Catalog::Impl::accept_for(const tables::Host& entry, std::string_view service,
                                        const std::string& host) const {
  if (!entry.by_service) return entry.accept;
  for (std::size_t i = 0; i < t_.services.size(); ++i) {
    const tables::Service& exception = t_.services[i];
    if (exception.provider != entry.provider || exception.service != service) continue;
    if (exception.host_regex.empty() || RE2::PartialMatch(host, service_regex_[i].get(exception.host_regex)))
      return exception.accept;
  }
  return entry.accept;
}

void Catalog::Impl::fill(Endpoint& endpoint, std::uint16_t accept) const {
  if (accept == kNone) return;
  const tables::Accept& rule = t_.accepts[accept];
  endpoint.accept = &rule;
  endpoint.takes_keys = !rule.kinds.empty();
  endpoint.open = rule.open;
  endpoint.anonymous = rule.anonymous;
}

std::optional<Endpoint> Catalog::Impl::try_host(std::uint16_t index, const std::string& host,
                                                std::size_t ending) const {
  const tables::Host& entry = t_.hosts[index];
  Endpoint out{.id = entry.id,
               .provider = entry.provider,
               .service = std::string(entry.service),
               .region = std::string(entry.region)};
  if (!entry.regex.empty()) {
    const LazyRegex& lazy = host_regex_[index];
    const RE2& regex = lazy.get(entry.regex);
    std::array<re2::StringPiece, 16> groups;
    const int count = std::min(regex.NumberOfCapturingGroups() + 1, static_cast<int>(groups.size()));
    if (count < 1 || !regex.Match(host, 0, host.size(), RE2::ANCHOR_BOTH, groups.data(), count)) return std::nullopt;
    const auto group = [&](std::initializer_list<const char*> names) -> std::string {
      for (const char* name : names) {
        const int number = lazy.group(name);
        if (number > 0 && number < count && !groups.at(static_cast<std::size_t>(number)).empty()) {
          return groups.at(static_cast<std::size_t>(number)).as_string();
        }
      }
      return {};
    };
    if (out.service.empty()) out.service = group({"service", "service2"});
    if (const std::string region = group({"region", "region2", "region3"}); !region.empty()) out.region = region;
    for (const auto& [name, number] : regex.NamedCapturingGroups()) {
      if (number < count && !says_which(name)) out.tenant += groups.at(static_cast<std::size_t>(number)).as_string();
    }
  } else {
    out.tenant = host.substr(0, ending);
  }
  if (out.region.empty()) out.region = entry.region_default.empty() ? "global" : std::string(entry.region_default);
  fill(out, accept_for(entry, out.service, host));
  if (out.open && !entry.regex.empty()) out.tenant = host;
  return out;
}

std::optional<Endpoint> Catalog::Impl::match_host(std::string_view given) const {
  const std::string host = base::parse_host(given).host;
  if (host.empty() || host.size() > 253) return std::nullopt;
  return known_hosts_.get(host, [&] { return find_host(host); });
}

std::optional<Endpoint> Catalog::Impl::find_host(const std::string& host) const {
  std::vector<std::pair<std::uint16_t, std::size_t>> candidates;  // entry, where the ending begins that leads to it
  for (std::size_t start = 0; start != std::string::npos;) {
    const std::string_view ending = std::string_view(host).substr(start);
    for (const tables::Domain& domain : std::ranges::equal_range(t_.domains, ending, {}, &tables::Domain::domain)) {
      if (domain.how != tables::How::kExact || start == 0) candidates.emplace_back(domain.host, start);
    }
    const std::size_t dot = host.find('.', start);
    start = dot == std::string::npos ? dot : dot + 1;
  }
  std::ranges::sort(candidates);
  for (const auto& [index, ending] : candidates) {
    if (std::optional<Endpoint> found = try_host(index, host, ending)) return found;
  }
  return named_by_binding(host);
}

std::optional<Endpoint> Catalog::Impl::named_by_binding(const std::string& host) const {
  for (std::size_t i = 0; i < t_.bindings.size(); ++i) {
    const tables::Binding& entry = t_.bindings[i];
    for (std::size_t n = 0; n < entry.names.size(); ++n) {
      // kubernetes.default.svc, with whatever cluster domain: the same meaning in every cluster.
      const std::string_view name = entry.names[n];
      const bool found = name.starts_with('^')
                             ? RE2::FullMatch(host, binding_regex_[i * kMaxBindingNames + n].get(name))
                             : name == host;
      if (!found) continue;
      Endpoint out{
          .id = entry.id, .provider = entry.provider, .service = std::string(entry.service), .region = "local"};
      fill(out, entry.accept);
      return out;
    }
  }
  return std::nullopt;
}

bool Catalog::Impl::is_metadata_address(const SocketAddress& remote) const {
  const std::string address = base::address_and_port(remote);
  return std::ranges::any_of(t_.metadata, [&](const tables::Metadata& entry) {
    return std::ranges::any_of(entry.addresses, [&](std::string_view pattern) {
      // Loopback and wildcard addresses are shared with everything else: there the request decides.
      return !pattern.contains('*') && !pattern.starts_with("127.") && pattern == address;
    });
  });
}

std::optional<Issue> Catalog::Impl::match_metadata(const SocketAddress& remote, std::string_view host,
                                                   std::string_view path, std::string_view provider) const {
  const std::string address = base::address_and_port(remote);
  const std::string name = base::parse_host(host).host;
  const tables::Metadata* best = nullptr;
  std::string_view best_pattern;
  for (const tables::Metadata& entry : t_.metadata) {
    const bool there = entry.provider == provider || contains(entry.hosts, name) ||
                       std::ranges::any_of(entry.addresses, [&](std::string_view p) { return glob(p, address); });
    if (!there) continue;
    for (const std::string_view pattern : entry.paths) {
      if (best != nullptr && pattern.size() <= best_pattern.size()) continue;
      if (!glob(pattern, path) && !glob(pattern, path.substr(0, path.find('?')))) continue;
      best = &entry;
      best_pattern = pattern;
    }
  }
  if (best == nullptr) return std::nullopt;
  Issue out{.id = best->id, .provider = best->provider, .kind = best->kind};
  if (best->role) out.role = starred(best_pattern, path.substr(0, path.find('?')));
  out.key = !best->kind.empty() && !best->step && (!best->role || !out.role.empty());
  return out;
}

const tables::Accept* Catalog::Impl::accept_of(const Endpoint& endpoint) const {
  if (endpoint.accept != nullptr) return endpoint.accept;
  // Made by hand (a destination named by a variable, a row of the history): by entry, else by provider and service.
  for (const tables::Host& entry : t_.hosts) {
    if (endpoint.id.empty() || entry.id != endpoint.id) continue;
    const std::uint16_t accept = accept_for(entry, endpoint.service, {});
    return accept == kNone ? nullptr : &t_.accepts[accept];
  }
  for (const tables::Service& entry : t_.services) {
    if (entry.provider == endpoint.provider && entry.service == endpoint.service && entry.host_regex.empty())
      return &t_.accepts[entry.accept];
  }
  for (const tables::Host& entry : t_.hosts) {
    if (entry.provider == endpoint.provider && entry.service == endpoint.service && entry.accept != kNone)
      return &t_.accepts[entry.accept];
  }
  for (const tables::Binding& entry : t_.bindings) {
    if (entry.provider == endpoint.provider && entry.service == endpoint.service) return &t_.accepts[entry.accept];
  }
  for (const tables::Port& entry : t_.ports) {
    if (entry.provider == endpoint.provider && entry.service == endpoint.service) return &t_.accepts[entry.accept];
  }
  return nullptr;
}

std::optional<Endpoint> Catalog::Impl::bound_endpoint(std::string_view env_name, std::string_view value) const {
  const Env* env = match_env(env_name);
  const auto named = [&](const tables::Binding& entry) { return entry.id == env->binding; };
  auto entry = env == nullptr ? t_.bindings.end() : std::ranges::find_if(t_.bindings, named);
  const std::string_view scheme = engine_of(value);
  if (entry != t_.bindings.end() && entry->service == "by-scheme" && !scheme.empty()) {
    entry = std::ranges::find_if(t_.bindings, [&](const auto& engine) { return contains(engine.schemes, scheme); });
  }
  if (entry == t_.bindings.end()) return std::nullopt;
  Endpoint out{.id = entry->id, .provider = entry->provider, .service = std::string(entry->service)};
  if (entry->provider == tables::kByVariable) out.provider = env->provider;
  if (entry->service == "by-service") {
    // AWS_ENDPOINT_URL_SECRETS_MANAGER: the end of the name is the service.
    out.service = starred(env->name, env_name);
    std::ranges::transform(out.service, out.service.begin(), [](char c) {
      return c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
  }
  fill(out, entry->accept);
  return out;
}

std::optional<Endpoint> Catalog::Impl::file_endpoint(std::string_view selector) const {
  for (const tables::Binding& entry : t_.bindings) {
    if (std::ranges::find(entry.selectors, selector) == entry.selectors.end()) continue;
    Endpoint out{.id = entry.id, .provider = entry.provider, .service = std::string(entry.service)};
    fill(out, entry.accept);
    return out;
  }
  return std::nullopt;
}

}  // namespace keytrail::catalog
