// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/secret_guard.h"

#include <algorithm>

namespace keytrail::catalog {
namespace {

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_hex_any_case(char c) { return is_hex(c) || (c >= 'A' && c <= 'F'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex_any_case(text[i])) return false;
  }
  return true;
}

/// Forms that Keytrail itself shows as key ids.
bool is_own_id(std::string_view text) {
  if (text.starts_with("fp:")) return std::ranges::all_of(text.substr(3), is_hex) && text.size() <= 35;
  if (text.size() == 40 && std::ranges::all_of(text, is_hex))
    return true;  // a Google private_key_id, a certificate's SHA-1
  return is_uuid(text);
}

/// An AWS secret access key: 40 characters of base64 of all three sorts.
bool is_aws_secret(std::string_view text) {
  return text.size() == 40 && std::ranges::any_of(text, is_upper) && std::ranges::any_of(text, is_lower) &&
         std::ranges::any_of(text, [](char c) { return is_digit(c) || c == '/' || c == '+'; }) &&
         std::ranges::all_of(text, [](char c) {
           return is_upper(c) || is_lower(c) || is_digit(c) || c == '/' || c == '+' || c == '=';
         });
}

bool is_jwt(std::string_view text) { return text.starts_with("eyJ") && std::ranges::count(text, '.') >= 2; }

}  // namespace

bool looks_like_secret(const Catalog& catalog, std::string_view text) {
  if (text.size() < 8 || is_own_id(text)) return false;
  if (text.contains("-----BEGIN") || is_jwt(text) || is_aws_secret(text)) return true;
  const auto id = catalog.match_format(text);
  if (!id) return false;
  const Catalog::Format* format = catalog.format(*id);
  return format == nullptr || !format->public_id;
}

}  // namespace keytrail::catalog
