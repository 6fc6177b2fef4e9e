// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/spiffe_id.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxId = 253;  // of a claim

struct NamesDelete {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

bool is_mark(char c) { return c == '.' || c == '-' || c == '_'; }
bool is_small(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || is_mark(c); }

bool is_segment(std::string_view part) {
  return !part.empty() && part != "." && part != ".." &&
         std::ranges::all_of(part, [](char c) { return is_small(c) || (c >= 'A' && c <= 'Z'); });
}

}  // namespace

bool is_spiffe_id(std::string_view text) {
  constexpr std::string_view kScheme = "spiffe://";
  if (text.size() > kMaxId || !text.starts_with(kScheme)) return false;
  text.remove_prefix(kScheme.size());
  std::size_t at = text.find('/');
  if (at == 0 || at == std::string_view::npos || !std::ranges::all_of(text.substr(0, at), is_small)) return false;
  while (at != std::string_view::npos) {
    text.remove_prefix(at + 1);
    at = text.find('/');
    if (!is_segment(text.substr(0, at))) return false;
  }
  return true;
}

std::string spiffe_id_of(X509* certificate) {
  // X509_check_ca() is content with one that may not sign.
  if ((X509_get_extension_flags(certificate) & EXFLAG_CA) != 0 || X509_check_ca(certificate) != 0) return {};
  const std::unique_ptr<GENERAL_NAMES, NamesDelete> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string out;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                                static_cast<std::size_t>(ASN1_STRING_length(uri)));
    if (!out.empty() || !is_spiffe_id(text)) return {};  // there must be one, and no other
    out = text;
  }
  return out;
}

}  // namespace keytrail::examine
