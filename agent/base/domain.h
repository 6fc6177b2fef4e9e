// SPDX-License-Identifier: Apache-2.0
// Whose a host name is, by the Public Suffix List that is compiled into libpsl (with its private part: below github.io
// or elb.amazonaws.com every name is somebody else's). Any thread. A call takes 0.7 µs (libpsl 0.21): compare whole
// names first.
#pragma once

#include <string_view>

namespace keytrail::base {

/// The name that one owner registered: "example.co.uk" of "www.example.co.uk", "me.github.io" of "a.me.github.io". A
/// view into `host` (lower case, no port). An address, a single label and a public suffix are themselves.
[[nodiscard]] std::string_view registrable_domain(std::string_view host);

/// Whether the list knows the end of the name. If not (vault.ns.svc.cluster.local), only a local name server can have
/// answered it.
[[nodiscard]] bool is_public_name(std::string_view host);

}  // namespace keytrail::base
