// SPDX-License-Identifier: Apache-2.0
// TLS private keys and certificates in PEM (RFC 7468, 5958, 5280). A key's id is the hash of its public half, so that a key and its
// certificate show the same one. OpenSSL's errors are dropped unread: they may quote the file.
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>

#include "agent/examine/formats.h"
#include "agent/examine/pem_blocks.h"

namespace keytrail::examine::format {
namespace {

constexpr std::size_t kMaxBlocks = 1024;

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm when{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &when) != 1) return 0;
  return timegm(&when);
}

void add_private_key(const PemBlock& block, Work& work) {
  const std::string_view hinted = work.hints().key_kind;
  KeyFact fact =
      work.fact(hinted.empty() || hinted == "tls.certificate" ? "tls.private_key" : hinted, KeyClass::kEncryptionKey, Lifetime::kLongLived);
  if (!block.encrypted) {
    std::string_view der;
    const Pkey key = decode_base64(block.body, false, work.scratch(), der) ? read_private_key(der) : Pkey();
    if (!key) return work.skip();
    fact.key.id = public_key_id(key.get());
  }
  work.add(std::move(fact), block.text);  // an encrypted one shows no public half: its id is the fingerprint
}

/// The subject's common name, or empty.
std::string common_name(const X509* certificate) {
  std::array<char, 256> text{};
  const int length =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text.data(), static_cast<int>(text.size()));
  const std::string_view name(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return is_name(name, 254) ? std::string(name) : std::string();
}

/// The first certificate of a file, and later ones that are no authorities: the rest of a chain belongs to others.
void add_certificate(const PemBlock& block, bool first, Work& work) {
  std::string_view der;
  if (!decode_base64(block.body, false, work.scratch(), der)) return work.skip();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  if (certificate == nullptr) return work.skip();
  if (first || X509_check_ca(certificate) == 0) {
    KeyFact fact = work.fact("tls.certificate", KeyClass::kCertificate, Lifetime::kUnknown);
    if (EVP_PKEY* key = X509_get0_pubkey(certificate); key != nullptr) fact.key.id = public_key_id(key);
    fact.key.principal = common_name(certificate);
    fact.key.issued_s = seconds_of(X509_get0_notBefore(certificate));
    fact.key.expires_s = seconds_of(X509_get0_notAfter(certificate));
    work.add(std::move(fact), {});
  }
  X509_free(certificate);
}

}  // namespace

role::Unread pem(std::string_view bytes, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  std::size_t at = 0;
  std::size_t blocks = 0;
  bool first_certificate = true;
  while (blocks < kMaxBlocks && !work.full()) {
    const std::optional<PemBlock> block = next_block(bytes, at, work.found().skipped);
    if (!block) break;
    ++blocks;
    if (block->label == "CERTIFICATE" || block->label == "X509 CERTIFICATE" || block->label == "TRUSTED CERTIFICATE") {
      add_certificate(*block, first_certificate, work);
      first_certificate = false;
    } else if (block->label == "OPENSSH PRIVATE KEY") {
      std::string_view body;
      if (!decode_base64(block->body, false, work.scratch(), body) || !add_openssh(body, block->text, work)) work.skip();
    } else if (block->label.ends_with("PRIVATE KEY")) {
      add_private_key(*block, work);
    }  // parameters, requests, public keys: no keys of anybody
  }
  ERR_clear_error();
  return blocks == 0 ? role::Unread::kUnknownFormat : role::Unread::kNone;
}

}  // namespace keytrail::examine::format
