// SPDX-License-Identifier: Apache-2.0
#include "agent/link/metadata.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/host.h"
#include "agent/link/fits.h"

namespace keytrail::link {
namespace {

/// The kernel side reports all requests to these and their answers (bpf/name.bpf.c, socket__is_metadata); of other
/// places that hand out keys over plain HTTP only the first request of a connection is seen.
bool is_seen_whole(const SocketAddress& remote) {
  const auto starts = [&](std::initializer_list<std::uint8_t> bytes) {
    return std::ranges::equal(bytes, std::span(remote.address).first(bytes.size()));
  };
  return remote.v6 ? starts({0xfd, 0x00, 0x0e, 0xc2}) : starts({169, 254}) || starts({100, 100, 100, 200});
}

bool is_readable(const PayloadEvent* request) {
  return request != nullptr && request->protocol == PayloadEvent::Protocol::kHttp;
}

/// The name of the place that is called, unless it is the caller's word only: anybody can be sent a Host header.
std::string_view borne_out(const Resolved& where) {
  if (where.destination.claimed || where.contradiction) return {};
  return where.destination.host;
}

}  // namespace

// Relatives of the metadata service on loopback and elsewhere share their address with anything: there the request
// decides, or the variable that leads to them.
bool Metadata::is_one(const Connection& connection, const Resolved& where, const PayloadEvent* request) const {
  return catalog_.is_metadata_address(connection.remote) || !where.hands_out.empty() ||
         (is_readable(request) && catalog_.match_metadata(connection.remote, borne_out(where), request->path));
}

// A pattern for addresses of any network ("*:12250") says too little of the one that is called.
bool Metadata::is_there(const Connection& connection, const PayloadEvent* request) const {
  if (catalog_.is_metadata_address(connection.remote)) return true;
  const bool near = base::is_loopback(connection.remote) || is_seen_whole(connection.remote);
  return near && is_readable(request) && catalog_.match_metadata(connection.remote, {}, request->path).has_value();
}

Done Metadata::on_request(const PayloadEvent* request, const Resolved& where, Connection& connection,
                          Exchange& exchange) {
  // Of a service that is not seen whole, whatever else was asked there may have given a key: that is a guess, unless
  // the first request is for such a key.
  exchange.issue_seen = is_seen_whole(connection.remote);
  if (!is_readable(request)) return Done::kAbsorbed;
  const auto issue = request->method == "HEAD" ? std::nullopt : issue_of(*request, where, connection.remote);
  if (!issue || !issue->key) return Done::kAbsorbed;
  if (where.hands_out.empty() || issue->kind == where.hands_out) exchange.issue_seen = true;
  auto what = std::make_shared<HeldKey>();
  Key& key = what->key;
  key.kind = issue->kind;
  key.lifetime = Lifetime::kShortLived;
  if (const catalog::Kind* kind = catalog_.kind(issue->kind)) key.key_class = kind->key_class;
  const std::string role = issue->role.empty() ? std::string(kUnnamedRole) : "role/" + issue->role;
  key.id = key.kind + "@" + role;
  key.parent = role;
  what->slot = {From::kMetadata, base::address_text(connection.remote) + " " + request->path, {}};
  what->since_ns = exchange.time_ns;
  connection.asked = std::move(what);
  connection.asker = exchange.writer;
  return is_seen_whole(connection.remote) ? Done::kAbsorbed : on_answer(connection, 0);
}

std::optional<catalog::Issue> Metadata::issue_of(const PayloadEvent& request, const Resolved& where,
                                                 const SocketAddress& remote) const {
  // A variable with the whole URL names the very request.
  const std::string path = request.path.substr(0, request.path.find('?'));
  if (!where.hands_out_at.empty() && path == where.hands_out_at)
    return catalog::Issue{.provider = where.named_by, .kind = where.hands_out};
  const std::string_view provider = where.hands_out.empty() ? std::string_view() : where.named_by;
  return catalog_.match_metadata(remote, borne_out(where), request.path, provider);
}

Done Metadata::on_answer(Connection& connection, std::uint16_t status) {
  const auto what = std::exchange(connection.asked, nullptr);
  const InstanceRef caller = std::exchange(connection.asker, nullptr);
  const bool success = status == 0 || (status >= 200 && status < 300);
  if (!what || !caller || !success) return Done::kAbsorbed;
  return holders_.take(caller, what, How::kDirect) ? Done::kRecorded : Done::kAbsorbed;
}

}  // namespace keytrail::link
