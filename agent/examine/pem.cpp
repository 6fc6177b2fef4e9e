// SPDX-License-Identifier: Apache-2.0
// TLS private keys and certificates in PEM (RFC 7468, 5958, 5280). A key's id is the hash of its public half, so that a
// key and its certificate show the same one. OpenSSL's errors are dropped unread: they may quote the file.
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "agent/examine/formats.h"
#include "agent/examine/pem_blocks.h"
#include "agent/examine/spiffe_id.h"

namespace keytrail::examine::format {
namespace {

constexpr std::size_t kMaxBlocks = 1024;
constexpr std::string_view kSvid = "spiffe.x509_svid";

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm when{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &when) != 1) return 0;
  return timegm(&when);
}

/// The place's usual kind where that may be a private key's; else by what it is.
std::string_view kind_of_private_key(const Hints& hints) {
  const std::string_view usual = hints.key_kind;
  const bool other = usual.empty() || usual.ends_with("secret") || usual.ends_with("password") ||
                     usual.ends_with("token") || usual.ends_with("storage") || usual.ends_with(".certificate");
  return other ? std::string_view("tls.private_key") : usual;
}

void add_private_key(const PemBlock& block, Work& work) {
  KeyFact fact = work.fact(kind_of_private_key(work.hints()), KeyClass::kEncryptionKey, Lifetime::kLongLived);
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
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text.data(),
                                               static_cast<int>(text.size()));
  const std::string_view name(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return is_name(name, 254) ? std::string(name) : std::string();
}

/// The place's kind where that is a certificate; else by its extended key usage (RFC 5280, 4.2.1.12).
std::string_view certificate_kind(X509* certificate, const Hints& hints) {
  if (hints.key_class == KeyClass::kCertificate && !hints.key_kind.empty()) return hints.key_kind;
  const bool client = (X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) != 0 &&
                      (X509_get_extended_key_usage(certificate) & XKU_SSL_CLIENT) != 0;
  return client ? "tls.client_certificate" : "tls.certificate";
}

/// The key of a certificate for TLS clients, or of a workload, beside it is what one logs in with.
void know_client_keys(std::vector<KeyFact>& keys) {
  for (KeyFact& own : keys) {
    if (own.key.kind != "tls.private_key") continue;
    const auto of = std::ranges::find_if(keys, [&](const KeyFact& other) {
      return (other.key.kind == "tls.client_certificate" || other.key.kind == kSvid) && other.key.id == own.key.id &&
             other.selector == own.selector;
    });
    if (of == keys.end()) continue;
    own.key.kind = of->key.kind;
    own.key.key_class = KeyClass::kAccessKey;
    if (of->key.kind == kSvid) own.key.lifetime = of->key.lifetime;
  }
}

/// A certificate and its private key in one file, both of the place's kind, are one key: the fingerprint of one, the
/// dates of the other.
void join_pairs(std::vector<KeyFact>& keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t k = i + 1; k < keys.size();) {
      if (keys[k].key.id != keys[i].key.id || keys[k].key.kind != keys[i].key.kind ||
          keys[k].selector != keys[i].selector) {
        ++k;
        continue;
      }
      Key& one = keys[i].key;
      const Key& other = keys[k].key;
      if (one.key_class == KeyClass::kCertificate) one.key_class = other.key_class;
      if (one.fingerprint.empty()) one.fingerprint = other.fingerprint;
      if (one.principal.empty()) one.principal = other.principal;
      if (keys[i].claims.empty()) keys[i].claims = std::move(keys[k].claims);
      if (one.expires_s == 0) {
        one.issued_s = other.issued_s;
        one.expires_s = other.expires_s;
      }
      keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }
}

/// The first certificate of a file, and later ones that are no authorities: the rest of a chain belongs to others.
void add_certificate(const PemBlock& block, bool first, Work& work) {
  std::string_view der;
  if (!decode_base64(block.body, false, work.scratch(), der)) return work.skip();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  if (certificate == nullptr) return work.skip();
  if (first || X509_check_ca(certificate) == 0) {
    std::string svid = spiffe_id_of(certificate);
    KeyFact fact = svid.empty() ? work.fact(certificate_kind(certificate, work.hints()), KeyClass::kCertificate,
                                            Lifetime::kUnknown)
                                : work.fact(kSvid, KeyClass::kCertificate, Lifetime::kShortLived);
    if (EVP_PKEY* key = X509_get0_pubkey(certificate); key != nullptr) fact.key.id = public_key_id(key);
    fact.key.principal = svid.empty() ? common_name(certificate) : svid;
    if (!svid.empty()) fact.claims.push_back({fact::kSpiffeId, std::move(svid)});
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
      if (!decode_base64(block->body, false, work.scratch(), body) || !add_openssh(body, block->text, work))
        work.skip();
    } else if (block->label.ends_with("PRIVATE KEY")) {
      add_private_key(*block, work);
    }  // parameters, requests, public keys: no keys of anybody
  }
  const bool bound = blocks == kMaxBlocks || work.full();
  if (bound && bytes.find("PRIVATE KEY-----", at) != std::string_view::npos) work.skip();
  ERR_clear_error();
  know_client_keys(work.found().keys);
  join_pairs(work.found().keys);
  return blocks == 0 ? role::Unread::kUnknownFormat : role::Unread::kNone;
}

}  // namespace keytrail::examine::format
