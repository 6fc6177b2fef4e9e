// SPDX-License-Identifier: Apache-2.0
// The public face of the catalog over the compiled tables: kinds, variables, programs, selectors, sockets, formats. Any
// thread.
#include "agent/catalog/catalog.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <mutex>
#include <string>
#include <vector>

#include "agent/catalog/impl.h"

namespace keytrail::catalog {
namespace {

/// The entry with this id in a span sorted by `field`, or nullptr.
template <typename T>
const T* find_sorted(std::span<const T> entries, std::string_view id, std::string_view T::* field) {
  const auto found = std::ranges::lower_bound(entries, id, {}, field);
  return found != entries.end() && (*found).*field == id ? &*found : nullptr;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  while (!text.empty() && (text.front() == '\n' || text.front() == '\r' || text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  return text;
}

}  // namespace

Catalog::Impl::Impl(const tables::Tables& tables)
    : t_(tables),
      host_regex_(tables.hosts.size()),
      service_regex_(tables.services.size()),
      binding_regex_(tables.bindings.size() * tables::kMaxBindingNames),
      format_regex_(tables.formats.size()) {
  for (const tables::SelectorData& data : t_.selectors) {
    selectors_.push_back(
        {.id = data.id, .steps = {data.steps.begin(), data.steps.end()}, .host_binds = data.host_binds});
  }
  for (const tables::Socket& socket : t_.sockets)
    socket_paths_.push_back(cut_path(socket.path.substr(socket.path.starts_with("~/") ? 2 : 0)));
  for (const File& file : t_.files) {
    if (file.by_content) by_content_.push_back(&file);
  }
  for (std::size_t i = 0; i < t_.program_names.size(); ++i) {
    const auto index = static_cast<std::uint16_t>(i);
    if (t_.program_names[i].name.ends_with('*')) {
      program_prefixes_.push_back(index);
    } else {
      program_names_[t_.program_names[i].name].push_back(index);
    }
  }
}

const Env* Catalog::Impl::match_env(std::string_view name) const {
  if (const Env* exact = find_sorted(t_.env.first(t_.exact_env), name, &Env::name)) return exact;
  for (const tables::EnvPattern& pattern : t_.env_patterns) {
    if (glob(pattern.pattern, name)) return &t_.env[pattern.env];
  }
  return nullptr;
}

std::optional<std::string_view> Catalog::Impl::match_format(std::string_view given) const {
  const std::string_view text = trimmed(given);
  const re2::StringPiece piece(text.data(), text.size());
  std::optional<std::string_view> part;
  std::optional<std::string_view> weak;
  for (std::size_t i = 0; i < t_.formats.size(); ++i) {
    const Format& format = t_.formats[i].format;
    if (format.weak && weak) continue;
    const RE2& regex = format_regex_[i].get(t_.formats[i].regex);
    if (regex.Match(piece, 0, piece.size(), RE2::ANCHOR_BOTH, nullptr, 0)) {
      if (!format.weak) return format.id;
      weak = format.id;
    } else if (!format.weak && !part && RE2::PartialMatch(piece, regex)) {
      part = format.id;
    }
  }
  return part ? part : weak;
}

const Selector* Catalog::Impl::selector(std::string_view id) const {
  return find_sorted(std::span<const Selector>(selectors_), id, &Selector::id);
}

const Catalog& Catalog::builtin() {
  static const Impl impl(tables::kTables);
  static const Catalog catalog(impl);
  return catalog;
}

Catalog::Catalog(const Catalog& other) : impl_(&other.impl()), owner_(other.owner_) {}

void Catalog::replace(const Catalog& next) {
  static std::mutex lock;
  static std::vector<std::shared_ptr<const void>> kept;
  const std::scoped_lock held(lock);
  kept.push_back(next.owner_);
  impl_.store(&next.impl(), std::memory_order_release);
}

const Kind* Catalog::Impl::kind(std::string_view id) const { return find_sorted(t_.kinds, id, &Kind::id); }
const Kind* Catalog::kind(std::string_view id) const { return impl().kind(id); }
const File* Catalog::file(std::string_view id) const { return find_sorted(impl().tables().files, id, &File::id); }
const File* Catalog::file_of_content(std::string_view format) const {
  // Keys that tell their kind themselves: no place is needed for them.
  static constexpr std::array kAnywhere{File{.format = "pem"}, File{.format = "raw_token"},
                                        File{.format = "configuration"}};
  for (const File* file : impl().by_content()) {
    if (file->format == format) return file;
  }
  const auto* const anywhere = std::ranges::find(kAnywhere, format, &File::format);
  return anywhere != kAnywhere.end() ? anywhere : nullptr;
}
const File* Catalog::match_file(std::string_view path) const { return impl().match_file(path); }
const File* Catalog::file_of_flag(std::string_view program, std::string_view flag) const {
  const tables::FileFlag* found = nullptr;
  for (const tables::FileFlag& one : impl().tables().file_flags) {
    if (one.flag == flag && (one.program == program || (one.program.empty() && found == nullptr))) found = &one;
  }
  return found == nullptr ? nullptr : file(found->file);
}
const File* Catalog::file_of_option(const File& of, std::string_view option) const {
  const std::span<const tables::FileOption> options = impl().tables().file_options;
  const auto known = std::ranges::find_if(options, [&](const tables::FileOption& one) {
    return one.option == option && (one.of == of.id || one.of == of.format);
  });
  if (known != options.end()) return file(known->file);
  std::string variable = "OPTION_";
  for (const char c : option) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isupper(byte) != 0 && std::islower(static_cast<unsigned char>(variable.back())) != 0) variable += '_';
    variable += std::isalnum(byte) != 0 ? c : '_';
  }
  std::ranges::transform(variable, variable.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const Env* pointer = match_env(variable);
  return pointer != nullptr && pointer->use == EnvUse::kPointer ? file(pointer->file) : nullptr;
}
const Env* Catalog::match_env(std::string_view name) const { return impl().match_env(name); }
std::optional<Endpoint> Catalog::match_host(std::string_view host) const { return impl().match_host(host); }
bool Catalog::is_metadata_address(const SocketAddress& remote) const { return impl().is_metadata_address(remote); }
const Selector* Catalog::selector(std::string_view id) const { return impl().selector(id); }
std::optional<Endpoint> Catalog::bound_endpoint(std::string_view env_name, std::string_view value) const {
  return impl().bound_endpoint(env_name, value);
}
std::optional<Endpoint> Catalog::file_endpoint(std::string_view selector) const {
  return impl().file_endpoint(selector);
}
std::optional<std::string_view> Catalog::match_format(std::string_view text) const { return impl().match_format(text); }

std::optional<Issue> Catalog::match_metadata(const SocketAddress& remote, std::string_view host, std::string_view path,
                                             std::string_view provider) const {
  return impl().match_metadata(remote, host, path, provider);
}

const Program* Catalog::match_program(std::string_view exe, std::string_view filename) const {
  return impl().match_program(exe, filename);
}

const Role* Catalog::match_role(std::string_view exe, std::string_view filename, std::string_view script) const {
  return impl().match_role(exe, filename, script);
}

const Role* Catalog::find_role(std::string_view title) const { return impl().find_role(title); }

bool Catalog::accepts(const Endpoint& endpoint, std::string_view kind) const {
  const tables::Accept* accept = impl().accept_of(endpoint);
  return accept != nullptr && std::ranges::find(accept->kinds, kind) != accept->kinds.end();
}

std::span<const std::string_view> Catalog::accepted(const Endpoint& endpoint) const {
  const tables::Accept* accept = impl().accept_of(endpoint);
  return accept == nullptr ? std::span<const std::string_view>() : accept->kinds;
}

std::vector<std::string_view> Catalog::readers_of(const File& file) const {
  std::vector<std::string_view> out;
  for (const tables::ReaderData& reader : impl().tables().readers) {
    const bool for_it = std::ranges::any_of(
        reader.reads, [&](std::string_view pattern) { return pattern != "*" && glob(pattern, file.id); });
    if (for_it) out.push_back(reader.id);
  }
  return out;
}

std::vector<std::string_view> Catalog::issues(const Endpoint& endpoint, std::string_view kind, std::string_view path,
                                              bool usual_only) const {
  return impl().issues(endpoint, kind, path, usual_only);
}

std::vector<std::string_view> Catalog::issued_with(std::string_view kind) const {
  std::vector<std::string_view> out, next{kind};
  while (!next.empty()) {
    const std::string_view with = next.back();
    next.pop_back();
    for (const tables::Issuer& issuer : impl().tables().issuers) {
      for (const tables::Action& action : issuer.actions) {
        if (std::ranges::find(action.takes, with) == action.takes.end()) continue;
        for (const std::string_view given : action.gives) {
          if (std::ranges::find(out, given) != out.end()) continue;
          out.push_back(given);
          next.push_back(given);
        }
      }
    }
  }
  return out;
}

bool Catalog::issues_always(const Endpoint& endpoint, std::string_view with, std::string_view given) const {
  return impl().issues_always(endpoint, with, given);
}

bool Catalog::is_issue_path(const Endpoint& endpoint, std::string_view path) const {
  return impl().is_issue_path(endpoint, path);
}

std::optional<IssueRequest> Catalog::match_request(std::string_view host, std::string_view path) const {
  return impl().match_request(host, path);
}

std::optional<Reader> Catalog::match_reader(std::string_view exe, std::string_view filename, const File* file) const {
  return impl().match_reader(exe, filename, file);
}

std::optional<Endpoint> Catalog::match_port(std::uint16_t port) const {
  for (const tables::Port& entry : impl().tables().ports) {
    if (entry.port != port) continue;
    return Endpoint{.provider = entry.provider,
                    .service = std::string(entry.service),
                    .takes_keys = true,
                    .accept = &impl().tables().accepts[entry.accept]};
  }
  return std::nullopt;
}

LocalSocket Catalog::match_socket(std::string_view path) const { return impl().match_socket(path); }

const Catalog::Format* Catalog::format(std::string_view id) const {
  for (const tables::FormatData& entry : impl().tables().formats) {
    if (entry.format.id == id) return &entry.format;
  }
  return nullptr;
}

std::vector<Catalog::Listed> Catalog::list() const {
  std::vector<Listed> out;
  for (const tables::Line& line : impl().tables().lines)
    out.push_back({line.section, line.id, line.verified, std::string(line.text)});
  return out;
}

}  // namespace keytrail::catalog
