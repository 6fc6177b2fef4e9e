// SPDX-License-Identifier: Apache-2.0
// Entries of /etc/keytrail/catalog.d/*.yaml: a site's own kinds, files, hosts, sockets and programs, in the form of
// data/*.yaml. Read by the worker (no privilege) at start and on SIGHUP. Either all of it is sound, or none of it is
// used and the error says every place to mend.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "keytrail/result.h"

namespace keytrail::catalog {

/// Bytes of all files of additions together, at most.
inline constexpr std::size_t kMaxAdditionBytes = 1U << 20U;
inline constexpr std::size_t kMaxAdditionFiles = 64;

namespace source {
struct Model;
}

/// Checked additions. Copies share their data.
class Additions {
 public:
  /// Reads every *.yaml of the directory, in the order of their names. A directory that does not exist holds no
  /// additions. Errors: kInvalid with one line "file:line: what is wrong and what to do" per problem; kTooLarge;
  /// kSystem.
  [[nodiscard]] static Result<Additions> read_directory(const std::string& directory);
  /// The same for one file alone. A file that everybody may write is refused.
  [[nodiscard]] static Result<Additions> read_file(const std::string& path);
  /// The same for one text; `name` is what errors call it.
  [[nodiscard]] static Result<Additions> read_text(const std::string& text, const std::string& name);

  [[nodiscard]] static Additions none();

  [[nodiscard]] bool empty() const;
  /// Read from the same bytes.
  [[nodiscard]] bool same_as(const Additions& other) const;
  /// What is sound but may surprise, each a line "file:line: …".
  [[nodiscard]] std::vector<std::string> remarks() const;
  /// "1 kind, 2 files"
  [[nodiscard]] std::string summary() const;
  /// Last components of the added paths, for Loader::watch_name: the kernel side does not know them yet. A last
  /// component with a wildcard cannot be watched by name; such a path is found at the baseline and where another
  /// entry's name covers it.
  [[nodiscard]] std::vector<std::string> watch_names() const;

  struct Data;

 private:
  friend class Catalog;
  static Result<Additions> make(source::Model read, std::vector<std::string> problems, std::size_t content);
  explicit Additions(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  std::shared_ptr<const Data> data_;
};

}  // namespace keytrail::catalog
