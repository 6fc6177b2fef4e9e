// SPDX-License-Identifier: Apache-2.0
// PEM blocks (RFC 7468) and what OpenSSL tells of the keys in them. OpenSSL's memory is wiped when it is freed (see
// openssl_wipe).
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace keytrail::examine {

struct PkeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Pkey = std::unique_ptr<EVP_PKEY, PkeyFree>;

struct PemBlock {
  std::string_view label;  ///< "RSA PRIVATE KEY"
  std::string_view text;   ///< the whole block, markers included: views into the file
  std::string_view body;   ///< between the markers, header lines included
  bool encrypted = false;
};

/// The next block at or after `at`, which moves behind it; nothing at the end. A block without an end is skipped and
/// counted.
std::optional<PemBlock> next_block(std::string_view bytes, std::size_t& at, std::uint32_t& skipped);

/// The private key of an unencrypted block ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY").
[[nodiscard]] Pkey read_private_key(std::string_view der);
/// "spki:" and the SHA-256 of the SubjectPublicKeyInfo, hexadecimal; empty when it cannot be had.
[[nodiscard]] std::string public_key_id(EVP_PKEY* key);
[[nodiscard]] std::string sha256_hex(std::string_view data);
/// "SHA256:" and the unpadded base64, as ssh-keygen -l prints it.
[[nodiscard]] std::string ssh_fingerprint(std::string_view public_blob);
/// The SSH wire form (RFC 4253, 5656, 8709) of a public key; empty for a type that SSH does not have.
[[nodiscard]] std::string ssh_public_blob(EVP_PKEY* key);

/// Before any other use of OpenSSL: its allocations are wiped when freed, and no configuration file is read. False when
/// it was too late.
bool openssl_wipe();

}  // namespace keytrail::examine
