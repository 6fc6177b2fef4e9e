// SPDX-License-Identifier: Apache-2.0
#include "agent/base/domain.h"

#include <libpsl.h>

#include <string>

#include "agent/base/host.h"

namespace keytrail::base {

std::string_view registrable_domain(std::string_view host) {
  if (!host.contains('.') || is_address(host)) return host;
  const std::string text(host);  // ends with a zero
  const char* const found = psl_registrable_domain(psl_builtin(), text.c_str());
  return found == nullptr ? host : host.substr(static_cast<std::size_t>(found - text.c_str()));
}

bool is_public_name(std::string_view host) {
  const std::string last(host.substr(host.rfind('.') + 1));
  return !is_address(host) &&
         psl_is_public_suffix2(psl_builtin(), last.c_str(), PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE) != 0;
}

}  // namespace keytrail::base
