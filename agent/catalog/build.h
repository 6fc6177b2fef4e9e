// SPDX-License-Identifier: Apache-2.0
// The one way from entries to the matcher's tables: used by the build-time tool, which prints them as C++, and by
// additions, which use them as they are. Any thread.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/catalog/source.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog::source {

/// Tables and what their views point into. The model must live as long, and have passed check().
class Built {
 public:
  /// The entries of `model` beside those of `base`, which go first where the order decides. `site`: the entries are a
  /// site's own, and `catalog list` says so instead of what they are.
  explicit Built(const Model& model, const tables::Tables& base = {}, bool site = false);
  Built(const Built&) = delete;
  Built& operator=(const Built&) = delete;

  [[nodiscard]] const tables::Tables& tables() const { return t_; }

 private:
  void kinds(const Model& m);
  void files(const Model& m);
  void add_patterns(const FileEntry& entry);
  void sort_patterns();
  void env(const Model& m);
  void issuers(const Model& m);
  void accepts(const Model& m);
  std::uint16_t accept(const AcceptEntry& entry);
  void hosts(const Model& m);
  void metadata(const Model& m);
  void ranges(const Model& m);
  void sockets(const Model& m);
  void programs(const Model& m);
  void selectors(const Model& m);
  void formats(const Model& m);
  void lines(const Model& m, bool site);
  void point();

  tables::Strings strings(const std::vector<std::string>& list);
  tables::Indices indices(std::vector<std::uint16_t> list);
  std::string_view owned(std::string text);

  tables::Tables t_;
  std::deque<std::string> texts_;
  std::deque<std::vector<std::string_view>> lists_;
  std::deque<std::vector<std::string>> segments_;
  std::deque<std::vector<std::uint16_t>> numbers_;
  std::deque<std::vector<tables::Action>> actions_;
  std::deque<std::vector<Selector::Step>> steps_;
  std::map<std::string_view, std::pair<std::uint16_t, bool>> rules_;  ///< by endpoint: its accept entry, by_service

  std::vector<Kind> kinds_;
  std::vector<File> files_;
  std::vector<tables::FilePattern> patterns_;
  std::vector<tables::Leaf> leaves_;
  std::vector<tables::Head> heads_;
  std::vector<tables::FileFlag> flags_;
  std::vector<tables::FileOption> options_;
  std::vector<Env> env_;
  std::vector<tables::EnvPattern> env_patterns_;
  std::vector<tables::Request> requests_;
  std::vector<tables::Issuer> issuers_;
  std::vector<tables::Service> services_;
  std::vector<tables::Binding> bindings_;
  std::vector<tables::Port> ports_;
  std::vector<tables::Accept> accepts_;
  std::vector<tables::Host> hosts_;
  std::vector<tables::Domain> domains_;
  std::vector<tables::Metadata> metadata_;
  std::vector<tables::Ranges> ranges_;
  std::vector<tables::Socket> sockets_;
  std::vector<std::string_view> installed_;
  std::vector<Program> programs_;
  std::vector<tables::ProgramName> program_names_;
  std::vector<tables::ProgramFolder> program_folders_;
  std::vector<tables::RoleData> roles_;
  std::vector<tables::ReaderData> readers_;
  std::vector<tables::SelectorData> selectors_;
  std::vector<tables::FormatData> formats_;
  std::vector<tables::Line> lines_;
};

/// One entry in one line for `catalog list`.
struct ListedLine {
  std::string_view section, id;
  std::string text, verified;
};
[[nodiscard]] std::vector<ListedLine> lines_of(const Model& model);

}  // namespace keytrail::catalog::source
