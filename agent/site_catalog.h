// SPDX-License-Identifier: Apache-2.0
// The catalog of the running agent: the built-in one and what the site added, read again on demand. Parsed in the
// worker, which has no privilege. remarks() from any thread, the rest from one.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "agent/catalog/additions.h"
#include "agent/catalog/catalog.h"

namespace keytrail {

class SiteCatalog {
 public:
  /// Reads the additions of `directory`. When they are refused the agent runs with the built-in catalog, and says so in
  /// log and status.
  explicit SiteCatalog(std::string directory);

  [[nodiscard]] const catalog::Catalog& catalog() const { return catalog_; }
  /// File names that the kernel side has to be told.
  [[nodiscard]] std::vector<std::string> watch_names() const { return additions_.watch_names(); }

  /// Reads again. True when other additions are in use now; when they are refused, those before stay.
  bool reload();

  /// What a person must know, as lines for `status`.
  [[nodiscard]] std::vector<std::string> remarks() const;

 private:
  bool use(Result<catalog::Additions> read, const char* otherwise);

  std::string directory_;
  catalog::Additions additions_ = catalog::Additions::none();
  catalog::Catalog catalog_ = catalog::Catalog::builtin();
  mutable std::mutex lock_;
  std::vector<std::string> remarks_;
};

}  // namespace keytrail
