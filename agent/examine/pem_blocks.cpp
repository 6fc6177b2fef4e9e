// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/pem_blocks.h"

#include <malloc.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace keytrail::examine {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";
constexpr std::size_t kMaxLabel = 64;
constexpr std::size_t kMaxBlock = 64U << 10U;
constexpr std::size_t kMaxBadBlocks = 256;

void* wiping_alloc(std::size_t bytes, const char*, int) { return malloc(bytes); }

void wiping_free(void* memory, const char*, int) {
  if (memory != nullptr) explicit_bzero(memory, malloc_usable_size(memory));
  free(memory);
}

void* wiping_realloc(void* memory, std::size_t bytes, const char* file, int line) {
  if (memory == nullptr) return malloc(bytes);
  if (bytes == 0) {
    wiping_free(memory, file, line);
    return nullptr;
  }
  void* grown = malloc(bytes);
  if (grown == nullptr) return nullptr;
  memcpy(grown, memory, std::min(bytes, malloc_usable_size(memory)));
  wiping_free(memory, file, line);
  return grown;
}

void put_u32(std::string& out, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xffU);
}

void put_string(std::string& out, std::string_view text) {
  put_u32(out, text.size());
  out.append(text);
}

bool put_number(std::string& out, EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return false;
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  if (!bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80U) != 0) bytes.insert(0, 1, '\0');
  put_string(out, bytes);
  return true;
}

std::string rsa_blob(EVP_PKEY* key) {
  std::string out;
  put_string(out, "ssh-rsa");
  return put_number(out, key, OSSL_PKEY_PARAM_RSA_E) && put_number(out, key, OSSL_PKEY_PARAM_RSA_N) ? out
                                                                                                    : std::string();
}

std::string ec_blob(EVP_PKEY* key) {
  std::array<char, 64> group{};
  std::size_t length = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &length) != 1)
    return {};
  const std::string_view name(group.data(), length);
  const std::string_view curve = name == "prime256v1"  ? "nistp256"
                                 : name == "secp384r1" ? "nistp384"
                                 : name == "secp521r1" ? "nistp521"
                                                       : "";
  if (curve.empty()) return {};
  std::array<unsigned char, 256> point{};
  if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point.data(), point.size(), &length) !=
      1)
    return {};
  std::string out;
  put_string(out, "ecdsa-sha2-" + std::string(curve));
  put_string(out, curve);
  put_string(out, {reinterpret_cast<const char*>(point.data()), length});
  return out;
}

std::string ed25519_blob(EVP_PKEY* key) {
  std::array<unsigned char, 32> raw{};
  std::size_t length = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, raw.data(), &length) != 1) return {};
  std::string out;
  put_string(out, "ssh-ed25519");
  put_string(out, {reinterpret_cast<const char*>(raw.data()), length});
  return out;
}

}  // namespace

std::optional<PemBlock> next_block(std::string_view bytes, std::size_t& at, std::uint32_t& skipped) {
  // Windows and a bound on bad blocks: a file of markers alone must not cost the square of its size.
  for (std::size_t bad = 0; bad < kMaxBadBlocks; ++bad, ++skipped) {
    const std::size_t begin = bytes.find(kBegin, at);
    if (begin == std::string_view::npos) return std::nullopt;
    at = begin + kBegin.size();
    const std::string_view head = bytes.substr(at, kMaxLabel + kDashes.size());
    const std::size_t label_end = head.find(kDashes);
    if (label_end == std::string_view::npos) continue;
    PemBlock block;
    block.label = head.substr(0, label_end);
    const std::string_view rest = bytes.substr(at + label_end + kDashes.size(), kMaxBlock);
    const std::size_t end = rest.find(kEnd);
    if (end == std::string_view::npos) continue;
    block.body = rest.substr(0, end);
    std::string_view close = rest.substr(end + kEnd.size());
    if (!close.starts_with(block.label) || !close.substr(block.label.size()).starts_with(kDashes)) continue;
    const char* last = close.data() + block.label.size() + kDashes.size();
    at = static_cast<std::size_t>(last - bytes.data());
    block.text = bytes.substr(begin, at - begin);
    block.encrypted =
        block.label == "ENCRYPTED PRIVATE KEY" || block.body.substr(0, 200).find("ENCRYPTED") != std::string_view::npos;
    return block;
  }
  at = bytes.size();
  return std::nullopt;
}

Pkey read_private_key(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  return Pkey(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
}

std::string sha256_hex(std::string_view data) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest.data());
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

std::string public_key_id(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return {};
  std::string out = "spki:" + sha256_hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(length)});
  OPENSSL_free(der);
  return out;
}

std::string ssh_fingerprint(std::string_view public_blob) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(public_blob.data()), public_blob.size(), digest.data());
  std::array<unsigned char, 48> text{};
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  std::string out = "SHA256:" + std::string(reinterpret_cast<const char*>(text.data()));
  while (out.back() == '=')
    out.pop_back();
  return out;
}

std::string ssh_public_blob(EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      return rsa_blob(key);
    case EVP_PKEY_EC:
      return ec_blob(key);
    case EVP_PKEY_ED25519:
      return ed25519_blob(key);
    default:
      return {};
  }
}

bool openssl_wipe() {
  if (CRYPTO_set_mem_functions(wiping_alloc, wiping_realloc, wiping_free) != 1) return false;
  return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS |
                                 OPENSSL_INIT_NO_ATEXIT,
                             nullptr) == 1;
}

}  // namespace keytrail::examine
