// SPDX-License-Identifier: Apache-2.0
// SSH private keys: OpenSSH's own form (openssh-portable/PROTOCOL.key) and the older PEM forms. The id is the
// fingerprint of the public key, as `ssh-keygen -l` and every server's log show it; OpenSSH's form gives it without the
// passphrase.
#include <openssl/err.h>

#include "agent/examine/formats.h"
#include "agent/examine/pem_blocks.h"

namespace keytrail::examine::format {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "openssh-key-v1\0"sv;
constexpr std::size_t kMaxBlocks = 64;

bool take_u32(std::string_view& from, std::uint32_t& out) {
  if (from.size() < 4) return false;
  out = 0;
  for (std::size_t i = 0; i < 4; ++i)
    out = (out << 8U) | static_cast<unsigned char>(from[i]);
  from.remove_prefix(4);
  return true;
}

bool take_string(std::string_view& from, std::string_view& out) {
  std::uint32_t length = 0;
  if (!take_u32(from, length) || length > from.size()) return false;
  out = from.substr(0, length);
  from.remove_prefix(length);
  return true;
}

KeyFact ssh_fact(const Work& work) {
  const std::string_view hinted = work.hints().key_kind;
  return work.fact(hinted.starts_with("ssh.") ? hinted : "ssh.private_key", KeyClass::kAccessKey, Lifetime::kLongLived);
}

bool add_pem(const PemBlock& block, Work& work) {
  KeyFact fact = ssh_fact(work);
  if (!block.encrypted) {
    std::string_view der;
    if (!decode_base64(block.body, false, work.scratch(), der)) return false;
    const Pkey key = read_private_key(der);
    if (!key) return false;
    if (const std::string blob = ssh_public_blob(key.get()); !blob.empty()) fact.key.id = ssh_fingerprint(blob);
  }
  work.add(std::move(fact), block.text);
  return true;
}

}  // namespace

bool add_openssh(std::string_view body, std::string_view block, Work& work) {
  if (!body.starts_with(kMagic)) return false;
  body.remove_prefix(kMagic.size());
  std::string_view cipher, kdf, kdf_options, public_blob;
  std::uint32_t keys = 0;
  if (!take_string(body, cipher) || !take_string(body, kdf) || !take_string(body, kdf_options) || !take_u32(body, keys))
    return false;
  if (keys != 1 || !take_string(body, public_blob) || public_blob.size() < 8)
    return false;  // ssh itself reads one key only
  KeyFact fact = ssh_fact(work);
  fact.key.id = ssh_fingerprint(public_blob);
  work.add(std::move(fact), block);
  return true;
}

role::Unread ssh_private_key(std::string_view bytes, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  std::size_t at = 0;
  std::size_t blocks = 0;
  while (blocks < kMaxBlocks) {
    const std::optional<PemBlock> block = next_block(bytes, at, work.found().skipped);
    if (!block) break;
    if (!block->label.ends_with("PRIVATE KEY")) continue;
    ++blocks;
    bool added = false;
    if (block->label == "OPENSSH PRIVATE KEY") {
      std::string_view body;
      added = decode_base64(block->body, false, work.scratch(), body) && add_openssh(body, block->text, work);
    } else {
      added = add_pem(*block, work);
    }
    if (!added) work.skip();
  }
  ERR_clear_error();
  return blocks == 0 || work.found().keys.empty() ? role::Unread::kUnknownFormat : role::Unread::kNone;
}

}  // namespace keytrail::examine::format
