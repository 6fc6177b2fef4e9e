// SPDX-License-Identifier: Apache-2.0
// The matcher behind Catalog: constant tables, and expressions that are compiled at their first use. Internal to this
// folder.
#pragma once

#include <re2/re2.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/lru_map.h"
#include "agent/catalog/glob.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog {

/// An expression that is compiled once, by whoever needs it first.
class LazyRegex {
 public:
  const RE2& get(std::string_view text) const;
  /// Index of a named group, or 0 when the expression has none of that name. Only after get().
  [[nodiscard]] int group(const std::string& name) const;

 private:
  mutable std::once_flag once_;
  mutable std::unique_ptr<RE2> compiled_;
};

/// Answers to what is asked again and again: a node opens few paths, runs few programs and calls few hosts, many times.
template <typename V, std::size_t kMost>
class Answers {
 public:
  static constexpr std::size_t kLongest = 256;  ///< what is longer is worked out each time

  template <typename F>
  V get(const std::string& asked, F&& work_out) {
    if (asked.size() > kLongest) return work_out();
    const std::scoped_lock held(lock_);
    if (const V* known = known_.find(asked)) return *known;
    V found = work_out();
    *known_.get(asked).first = found;
    return found;
  }

 private:
  std::mutex lock_;
  base::LruMap<std::string, V> known_{kMost};
};

class Catalog::Impl {
 public:
  explicit Impl(const tables::Tables& tables);

  [[nodiscard]] const File* match_file(std::string_view path) const;
  [[nodiscard]] LocalSocket match_socket(std::string_view path) const;
  [[nodiscard]] const Env* match_env(std::string_view name) const;
  [[nodiscard]] std::optional<Endpoint> match_host(std::string_view host) const;
  [[nodiscard]] std::optional<Issue> match_metadata(const SocketAddress& remote, std::string_view host,
                                                    std::string_view path, std::string_view provider) const;
  [[nodiscard]] bool is_metadata_address(const SocketAddress& remote) const;
  [[nodiscard]] const tables::Accept* accept_of(const Endpoint& endpoint) const;
  [[nodiscard]] std::optional<Endpoint> bound_endpoint(std::string_view env_name, std::string_view value) const;
  [[nodiscard]] std::optional<Endpoint> file_endpoint(std::string_view selector) const;
  [[nodiscard]] const Program* match_program(std::string_view exe, std::string_view filename) const;
  [[nodiscard]] const Role* match_role(std::string_view exe, std::string_view filename, std::string_view script) const;
  [[nodiscard]] const Role* find_role(std::string_view title) const;
  [[nodiscard]] std::optional<Reader> match_reader(std::string_view exe, std::string_view filename,
                                                   const File* file) const;
  [[nodiscard]] std::optional<IssueRequest> match_request(std::string_view host, std::string_view path) const;
  [[nodiscard]] const Kind* kind(std::string_view id) const;
  [[nodiscard]] bool is_issue_path(const Endpoint& endpoint, std::string_view path) const;
  [[nodiscard]] bool issues_always(const Endpoint& endpoint, std::string_view with, std::string_view given) const;
  [[nodiscard]] std::vector<std::string_view> issues(const Endpoint& endpoint, std::string_view kind,
                                                     std::string_view path, bool usual_only) const;
  [[nodiscard]] std::optional<std::string_view> match_format(std::string_view text) const;
  [[nodiscard]] const Selector* selector(std::string_view id) const;
  /// Of tables().files those that their content alone tells.
  [[nodiscard]] const std::vector<const File*>& by_content() const { return by_content_; }
  [[nodiscard]] const tables::Tables& tables() const { return t_; }

 private:
  [[nodiscard]] std::optional<Endpoint> find_host(const std::string& host) const;
  [[nodiscard]] const File* find_file(std::string_view path) const;
  [[nodiscard]] const Program* find_program(std::string_view exe, std::string_view filename) const;
  [[nodiscard]] std::optional<Endpoint> named_by_binding(const std::string& host) const;
  [[nodiscard]] std::optional<Endpoint> try_host(std::uint16_t index, const std::string& host,
                                                 std::size_t ending) const;
  [[nodiscard]] std::uint16_t accept_for(const tables::Host& entry, std::string_view service,
                                         const std::string& host) const;
  void fill(Endpoint& endpoint, std::uint16_t accept) const;
  [[nodiscard]] const tables::Request* request_of(std::string_view path, tables::Indices among) const;
  [[nodiscard]] const Program* program_named(std::string_view path, bool script, bool trusted) const;
  [[nodiscard]] bool installed(std::string_view path) const;

  const tables::Tables& t_;
  std::deque<LazyRegex> host_regex_, service_regex_, binding_regex_, format_regex_;
  std::vector<Selector> selectors_;                                       ///< sorted by id
  std::vector<std::vector<std::string_view>> socket_paths_;               ///< of tables().sockets, cut
  std::map<std::string_view, std::vector<std::uint16_t>> program_names_;  ///< whole names → program_names
  std::vector<std::uint16_t> program_prefixes_;
  std::vector<const File*> by_content_;
  mutable Answers<std::optional<Endpoint>, 1024> known_hosts_;  ///< about 300 kB when full of long names, and so on
  mutable Answers<const File*, 512> known_paths_;
  mutable Answers<const Program*, 256> known_programs_;
};

/// Components of a path as patterns see it: /proc/PID/root stripped, /var/run = /run, components of projected volumes
/// dropped.
[[nodiscard]] std::vector<std::string_view> cut_path(std::string_view path);
/// Does the pattern fit a path cut by cut_path()?
[[nodiscard]] bool fits(const tables::FilePattern& pattern, std::span<const std::string_view> path);

}  // namespace keytrail::catalog
