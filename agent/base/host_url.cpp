// SPDX-License-Identifier: Apache-2.0
// Apart from host.cpp, so that the examiner has no URL library.
#include <boost/url.hpp>

#include "agent/base/host.h"

namespace keytrail::base {

HostPort host_of_url(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == text.npos) return parse_host(text.substr(0, text.find_first_of("/?#")));
  // What stands behind the authority is of no interest, and not always a URL's ("jdbc:mysql://host/db;x", a path with
  // spaces).
  text.remove_prefix(scheme + 3);
  const auto authority = boost::urls::parse_authority(text.substr(0, text.find_first_of("/?#")));
  if (!authority) return {};
  // Its port_number() wraps 99999 (Boost 1.81).
  const boost::core::string_view host = authority->encoded_host_and_port();
  return parse_host({host.data(), host.size()});
}

}  // namespace keytrail::base
