// SPDX-License-Identifier: Apache-2.0
#include "agent/site_catalog.h"

#include <sstream>
#include <utility>

#include "agent/base/log.h"

namespace keytrail {

SiteCatalog::SiteCatalog(std::string directory) : directory_(std::move(directory)) {
  use(catalog::Additions::read_directory(directory_), "the built-in catalog is used alone");
}

bool SiteCatalog::reload() {
  Result<catalog::Additions> read = catalog::Additions::read_directory(directory_);
  if (read && read->same_as(additions_)) {
    spdlog::info("catalog additions of {}: unchanged", base::printable(directory_));
    const std::scoped_lock held(lock_);
    remarks_.clear();
    return false;
  }
  return use(std::move(read), "those read before stay in use");
}

bool SiteCatalog::use(Result<catalog::Additions> read, const char* otherwise) {
  std::vector<std::string> remarks;
  const bool good = read.has_value();
  if (good) {
    additions_ = *std::move(read);
    catalog_.replace(additions_.empty() ? catalog::Catalog::builtin() : catalog::Catalog::with_additions(additions_));
    if (!additions_.empty())
      spdlog::info("catalog additions of {}: {}", base::printable(directory_), additions_.summary());
    for (const std::string& remark : additions_.remarks())
      spdlog::warn("{}", base::printable(remark));
  } else {
    remarks.push_back("catalog additions are REFUSED, " + std::string(otherwise) + ". Mend: keytrail catalog check");
    spdlog::error("{}", remarks.front());
    std::istringstream lines(read.error().message);
    for (std::string line; std::getline(lines, line);) {
      spdlog::error("{}", line);
      if (remarks.size() <= 3) remarks.push_back(line);
    }
  }
  const std::scoped_lock held(lock_);
  remarks_ = std::move(remarks);
  return good;
}

std::vector<std::string> SiteCatalog::remarks() const {
  const std::scoped_lock held(lock_);
  return remarks_;
}

}  // namespace keytrail
