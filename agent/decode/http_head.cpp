// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/http_head.h"

#include <algorithm>
#include <string_view>

#include "agent/base/host.h"
#include "agent/decode/bytes.h"

namespace keytrail::decode {
namespace {

constexpr std::size_t kMaxMethod = 16;

bool is_method(std::string_view text) {
  return !text.empty() && text.size() <= kMaxMethod &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; });
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ' || text.back() == '\t' || text.back() == '\0'))
    text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  return text;
}

void take_name(std::string_view authority, HttpHead& out) {
  base::HostPort parsed = base::parse_host(authority);
  out.host = std::move(parsed.host);
  out.port = parsed.port;
  if (out.host.empty() && !authority.empty()) out.truncated = true;
}

}  // namespace

HttpHead parse_http_head(std::span<const std::byte> data) {
  HttpHead out;
  const std::string_view text = text_of(data);
  const std::size_t line_end = text.find('\n');
  const std::string_view line = text.substr(0, line_end);
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || !is_method(line.substr(0, space))) return out;
  std::string_view target = line.substr(space + 1);
  target = strip(target.substr(0, target.find(' ')));
  if (target.empty()) return out;
  out.http = true;
  out.method = line.substr(0, space);
  const std::string_view host =
      line_end == std::string_view::npos ? std::string_view{} : strip(text.substr(line_end + 1));

  if (out.method == "CONNECT") {
    out.connect = true;
    take_name(target, out);
    return out;
  }
  target = target.substr(0, target.find_first_of("?#"));
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos && !target.starts_with('/')) {
    const std::string_view rest = target.substr(scheme + 3);  // absolute form, to a proxy: it beats the Host header
    const std::size_t slash = rest.find('/');
    std::string_view authority = rest.substr(0, slash);
    // User information may be a password: it is dropped before anything is made of it.
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
    take_name(authority, out);
    out.path = slash == std::string_view::npos ? "/" : rest.substr(slash);
    return out;
  }
  if (target.starts_with('/')) out.path = target;
  take_name(host, out);
  if (line_end == std::string_view::npos) out.truncated = true;
  return out;
}

}  // namespace keytrail::decode
