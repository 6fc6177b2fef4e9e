// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/address.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "agent/base/host.h"
#include "agent/examine/facts.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxShown = 126;  ///< as a fact's host

/// Where a server of such URLs listens unless its URL says otherwise (IANA's registry, the vendors' manuals).
std::string_view usual_port(std::string_view scheme) {
  static constexpr std::pair<std::string_view, std::string_view> kPorts[] = {
      {"postgres", "5432"},    {"postgresql", "5432"}, {"redshift", "5439"}, {"cockroachdb", "26257"},
      {"mysql", "3306"},       {"mysql2", "3306"},     {"mariadb", "3306"},  {"redis", "6379"},
      {"rediss", "6379"},      {"valkey", "6379"},     {"valkeys", "6379"},  {"mongodb", "27017"},
      {"amqp", "5672"},        {"amqps", "5671"},      {"mssql", "1433"},    {"sqlserver", "1433"},
      {"oracle", "1521"},      {"clickhouse", "9000"}, {"neo4j", "7687"},    {"bolt", "7687"},
      {"cassandra", "9042"},   {"couchdb", "5984"},    {"http", "80"},       {"https", "443"},
      {"sparse+https", "443"}, {"rest:https", "443"},  {"s3:https", "443"}};
  if (scheme.starts_with("jdbc:")) scheme.remove_prefix(5);
  for (const std::string_view name : {scheme, scheme.substr(0, scheme.find('+'))}) {
    for (const auto& [known, port] : kPorts) {
      if (known == name) return port;
    }
  }
  return {};
}

/// "host", "host:port" as it is, or nothing when it is not certainly that.
std::string plain_host(std::string_view text, std::string_view port) {
  const base::HostPort parsed = base::parse_host(text);
  if (parsed.host.empty()) return {};
  std::string out = parsed.host.find(':') == std::string::npos ? parsed.host : "[" + parsed.host + "]";
  if (parsed.port != 0) return out + ":" + std::to_string(parsed.port);
  return port.empty() ? out : out.append(":").append(port);
}

/// The scheme stands before the first only.
void add(std::string& out, std::string_view scheme, const std::string& host) {
  if (host.empty() || out.size() + scheme.size() + host.size() + 4 > kMaxShown) return;
  if (!out.empty()) {
    out += ',';
  } else if (!scheme.empty()) {
    out.append(scheme).append("://");
  }
  out += host;
}

/// "direct", "off": what may stand among URLs beside them.
bool is_word(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isalpha(c) != 0; });
}

/// A secret with '/', '?' or '#' in it that nobody encoded ends the authority too early: then an '@' comes later.
void add_url(std::string& out, std::string_view text) {
  const std::optional<Url> url = split_url(text);
  if (!url || url->host.empty() || url->rest.find('@') != std::string_view::npos || url->scheme.ends_with("+srv"))
    return;
  // JDBC's URLs have no user information: an '@' stands in a field behind the host.
  if (url->login.find(';') != std::string_view::npos || url->secret.find(';') != std::string_view::npos) return;
  std::string_view hosts = url->host.substr(0, url->host.find(';'));  // "jdbc:sqlserver://db;user=…"
  if (hosts.size() < url->host.size() && url->host.find('@', hosts.size()) != std::string_view::npos) return;
  while (!hosts.empty())
    add(out, url->scheme, plain_host(cut(hosts, ','), usual_port(url->scheme)));
}

/// The text between `from` and the next comma that begins another URL, blank or bar; moves behind it.
std::string_view next_url(std::string_view& rest) {
  std::size_t end = rest.find_first_of(" \t\r\n|");
  for (std::size_t comma = rest.find(','); comma < end; comma = rest.find(',', comma + 1)) {
    const std::size_t scheme = rest.find("://", comma);
    if (scheme == std::string_view::npos ||
        rest.substr(comma + 1, scheme - comma - 1).find_first_of("/,@:") != std::string_view::npos)
      continue;
    end = comma;
    break;
  }
  end = std::min(end, rest.size());
  const std::string_view url = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return url;
}

/// "Server=tcp:db.example,1433;…": the value of the first of its fields that names a host.
std::string of_fields(std::string_view text, char separator) {
  static constexpr std::array<std::string_view, 9> kFields{
      "endpoint", "blobendpoint", "ingestionendpoint", "server", "data source", "host", "hostname", "addr", "hostaddr"};
  std::string_view host, port;
  while (!text.empty()) {
    std::string_view value = cut(text, separator);
    const std::string_view name = trimmed(cut(value, '='));
    value = unquoted(trimmed(value));
    if (same_word(name, "port")) port = value;
    if (!host.empty()) continue;
    for (const std::string_view field : kFields) {
      if (same_word(name, field)) host = value;
    }
  }
  if (host.find("://") != std::string_view::npos) {
    std::string out;
    add_url(out, host);
    return out;
  }
  if (host.starts_with("tcp:")) host.remove_prefix(4);
  if (const std::size_t comma = host.find(','); comma != std::string_view::npos) {
    port = trimmed(host.substr(comma + 1));
    host = host.substr(0, comma);
  }
  const bool is_port = port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
  return plain_host(host, is_port ? port : std::string_view());
}

}  // namespace

std::string address_of(std::string_view value) {
  value = unquoted(trimmed(value));
  const std::size_t scheme = value.find("://");
  const bool is_url =
      scheme != std::string_view::npos && value.substr(0, scheme).find_first_of("=; \t") == std::string_view::npos;
  if (is_url) {
    std::string out;
    while (!value.empty()) {
      const std::string_view one = next_url(value);
      const bool is_one = one.find("://") != std::string_view::npos;
      // A blank or bar may have been a secret's: then what was said of the part before it could be one, too.
      if (!is_one && !is_word(one)) return {};
      if (is_one) add_url(out, one);
    }
    return out;
  }
  if (const std::size_t at = value.rfind("@tcp("); at != std::string_view::npos) {  // Go's MySQL driver
    const std::string_view rest = value.substr(at + 5);
    return plain_host(rest.substr(0, rest.find(')')), "3306");
  }
  if (value.find('=') == std::string_view::npos) return {};
  return of_fields(value, value.find(';') != std::string_view::npos ? ';' : ' ');
}

}  // namespace keytrail::examine
