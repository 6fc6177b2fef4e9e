// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/loaded_part.h"

#include <dlfcn.h>

#include <filesystem>

#include "agent/base/log.h"

namespace keytrail::otlp {

std::string folder_of_parts() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

Result<void*> load_part(const std::string& folder, const std::string& file, const char* entry) {
  void* part = ::dlopen((folder + "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
  void* function = part == nullptr ? nullptr : ::dlsym(part, entry);
  if (function != nullptr) return function;
  const char* why = ::dlerror();
  return fail(Error::Code::kNotFound, "this protocol needs " + file +
                                          " beside the program, and the libraries it names: " +
                                          base::printable(why == nullptr ? "unknown reason" : why));
}

}  // namespace keytrail::otlp
