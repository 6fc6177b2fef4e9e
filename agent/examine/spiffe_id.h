// SPDX-License-Identifier: Apache-2.0
// Names of workloads as SPIFFE writes them: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md. Pure;
// any thread.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <string_view>

namespace keytrail::examine {

/// "spiffe://TRUST-DOMAIN/PATH", at most 253 bytes; a trust domain alone names no workload.
[[nodiscard]] bool is_spiffe_id(std::string_view text);

/// Of an X.509-SVID: its one URI (X509-SVID.md, section 2). Empty: it is none, or an authority's.
[[nodiscard]] std::string spiffe_id_of(X509* certificate);

}  // namespace keytrail::examine
