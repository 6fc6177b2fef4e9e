// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/decode.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "agent/base/host.h"
#include "agent/decode/bytes.h"
#include "agent/decode/client_hello.h"
#include "agent/decode/dns.h"
#include "agent/decode/http_head.h"
#include "agent/decode/record.h"

namespace keytrail::decode {

std::string path_text(std::string_view raw, bool leaf_first, bool cut) {
  if (!leaf_first) return std::string(raw.substr(0, raw.find('\0')));
  std::string out;
  out.reserve(raw.size() + 1);
  while (!raw.empty() && raw.back() == '\0')
    raw.remove_suffix(1);
  while (!raw.empty()) {
    const std::size_t before = raw.rfind('\0');
    const std::string_view part = before == std::string_view::npos ? raw : raw.substr(before + 1);
    raw = before == std::string_view::npos ? std::string_view{} : raw.substr(0, before);
    if (part.empty()) continue;
    if (!cut || !out.empty()) out += '/';
    for (char c : part) {
      if (c == '/') {
        out += "\\x2f";
      } else {
        out += c;
      }
    }
  }
  if (out.empty() && !cut) out = "/";
  return out;
}

namespace {

using Record = std::span<const std::byte>;
using Body = decltype(Event::body);

bool is_cut(const ev_head& head) { return (head.flags & (KT_F_TRUNCATED | KT_F_MISSING)) != 0; }

std::optional<Credentials> users_of(const ev_head& head) {
  if (head.tgid == 0) return std::nullopt;  // of no task
  return Credentials{.uid = head.uid, .gid = head.gid, .login_uid = head.login_uid};
}

std::unexpected<Error> refuse(const char* reason) { return fail(Error::Code::kInvalid, reason); }

// v4-mapped addresses are the same peers as their IPv4 ones (::ffff:0:0/96, RFC 4291 section 2.5.5.2).
SocketAddress socket_address(Record bytes, bool v6, std::uint16_t port) {
  static constexpr std::array<std::byte, 12> kMapped{
      {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{0xFF}, std::byte{0xFF}}};
  SocketAddress out{.v6 = v6, .port = port};
  if (v6 && std::ranges::equal(bytes.first(kMapped.size()), kMapped)) {
    out.v6 = false;
    bytes = bytes.subspan(kMapped.size());
  }
  std::memcpy(out.address.data(), bytes.data(), out.v6 ? 16 : 4);
  return out;
}

Result<Body> decode_fork(Record record) {
  ev_fork raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  return ForkEvent{.child = {.tgid = raw.child_tgid, .start_ns = raw.child_start_ns, .exec = raw.child_exec}};
}

Result<Body> decode_open(Record record, const ev_head& head) {
  ev_open raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.path_len > record.size() - sizeof raw) return refuse(kBeyondRecord);
  return OpenEvent{.file = {.dev = raw.dev,
                            .inode = raw.inode,
                            .fs_magic = raw.fs_magic,
                            .ctime_s = raw.ctime_s,
                            .ctime_ns = raw.ctime_ns,
                            .size = raw.size},
                   .path = path_text(text_of(record.subspan(sizeof raw, raw.path_len)),
                                     (head.flags & KT_F_LEAF_FIRST) != 0, is_cut(head)),
                   .mnt_ns = raw.mnt_ns,
                   .place_ns = raw.place_ns,
                   .detached = (raw.signs & KT_OPEN_DETACHED) != 0,
                   .path_truncated = is_cut(head),
                   .secret_shaped = (raw.signs & KT_OPEN_SHAPED) != 0,
                   .over_budget = (raw.signs & KT_OPEN_OVER_BUDGET) != 0,
                   .is_pipe = (raw.signs & KT_OPEN_PIPE) != 0};
}

Result<Body> decode_peek(Record record) {
  ev_peek raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.what > KT_PEEK_TRACE) return refuse(kUnknownValue);
  static_assert(static_cast<int>(PeekEvent::What::kTrace) == KT_PEEK_TRACE);
  return PeekEvent{.of = {.tgid = raw.tgid, .start_ns = raw.start_ns, .exec = raw.exec},
                   .what = static_cast<PeekEvent::What>(raw.what)};
}

Result<Body> decode_connect(Record record) {
  ev_connect raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  return ConnectEvent{.cookie = raw.cookie,
                      .remote = socket_address(std::as_bytes(std::span(raw.address)), raw.v6 != 0, raw.port),
                      .net_ns = raw.net_ns,
                      .udp = raw.udp != 0};
}

Result<Body> decode_socket(Record record) {
  ev_socket raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.state > KT_SOCKET_SAMPLE) return refuse(kUnknownValue);
  static_assert(static_cast<int>(SocketState::kSample) == KT_SOCKET_SAMPLE);
  return SocketEvent{.cookie = raw.cookie,
                     .state = static_cast<SocketState>(raw.state),
                     .error = raw.error,
                     .bytes_sent = raw.bytes_sent,
                     .bytes_received = raw.bytes_received,
                     .idle_ms = raw.idle_ms};
}

PayloadEvent::Unread unread_of(std::uint8_t raw) {
  switch (raw) {
    case KT_UNREAD_LONG:
      return PayloadEvent::Unread::kTooLong;
    case KT_UNREAD_BUSY:
      return PayloadEvent::Unread::kTooMany;
    default:
      return PayloadEvent::Unread::kNot;
  }
}

void read_hello(Record data, PayloadEvent& out) {
  ClientHello hello = parse_client_hello(data);
  if (!hello.tls) return;
  out.protocol = PayloadEvent::Protocol::kTls;
  out.name = std::move(hello.sni);
  out.ech = hello.ech;
  out.truncated = hello.truncated;
  if (!out.name.empty() || out.unread != PayloadEvent::Unread::kNot) return;
  out.unread = hello.truncated || hello.malformed ? PayloadEvent::Unread::kCut : PayloadEvent::Unread::kNoName;
}

// As the kernel side puts it together: kind of address, port, the address or name.
void read_socks(Record data, PayloadEvent& out) {
  Bytes in(data);
  const std::uint8_t kind = in.u8();
  const std::uint16_t port = in.u16();
  const Record rest = in.take(in.left());
  const std::size_t size = kind == KT_SOCKS_V4 ? 4 : kind == KT_SOCKS_V6 ? 16 : rest.size();
  const bool known = kind == KT_SOCKS_V4 || kind == KT_SOCKS_V6 || kind == KT_SOCKS_NAME;
  if (!in.ok() || !known || rest.size() != size) return;
  if (kind == KT_SOCKS_NAME) {
    out.name = base::host_text(text_of(rest));
  } else {
    out.name = base::address_text(socket_address(rest, kind == KT_SOCKS_V6, 0));
  }
  out.protocol = PayloadEvent::Protocol::kSocks;
  out.port = port;
  out.truncated = out.name.empty();
}

void read_quic(Record data, QuicHellos* known, PayloadEvent& out) {
  QuicHellos alone(1);
  QuicHello quic = (known != nullptr ? *known : alone).read(out.cookie, data);
  out.protocol = PayloadEvent::Protocol::kQuic;
  out.name = std::move(quic.hello.sni);
  out.ech = quic.hello.ech;
  out.truncated = quic.readable && !quic.whole;
  if (!out.name.empty()) return;
  out.unread = quic.whole      ? PayloadEvent::Unread::kNoName
               : quic.readable ? PayloadEvent::Unread::kCut
                               : PayloadEvent::Unread::kUnreadable;
}

void read_payload(Record data, std::uint8_t protocol, QuicHellos* quic, PayloadEvent& out) {
  using Protocol = PayloadEvent::Protocol;
  if (protocol == KT_PAYLOAD_TLS) {
    read_hello(data, out);
  } else if (protocol == KT_PAYLOAD_SOCKS) {
    read_socks(data, out);
  } else if (protocol == KT_PAYLOAD_QUIC) {
    read_quic(data, quic, out);
  } else if (protocol == KT_PAYLOAD_HTTP) {
    HttpHead head = parse_http_head(data);
    if (!head.http) return;
    out.protocol = head.connect ? Protocol::kHttpConnect : Protocol::kHttp;
    out.name = std::move(head.host);
    out.port = head.port;
    out.method = std::move(head.method);
    out.path = std::move(head.path);
    out.truncated = head.truncated;
  } else if (protocol == KT_PAYLOAD_SSH) {
    out.protocol = Protocol::kSsh;
  } else if (protocol == KT_PAYLOAD_TLS_DATA) {
    out.protocol = Protocol::kTlsData;
  } else if (protocol == KT_PAYLOAD_STATUS) {
    out.protocol = Protocol::kStatus;
    const std::string_view digits = text_of(data);
    (void)std::from_chars(digits.data(), digits.data() + digits.size(), out.status);
  }
}

Result<Body> decode_payload(Record record, QuicHellos* quic) {
  ev_payload raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.data_len > record.size() - sizeof raw) return refuse(kBeyondRecord);
  if (raw.protocol > KT_PAYLOAD_QUIC) return refuse(kUnknownValue);
  PayloadEvent out{
      .cookie = raw.cookie, .length = raw.seen_len, .beyond = raw.beyond != 0, .unread = unread_of(raw.unread)};
  read_payload(record.subspan(sizeof raw, raw.data_len), raw.protocol, quic, out);
  return out;
}

Result<Body> decode_dns(Record record) {
  ev_dns raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.data_len > record.size() - sizeof raw) return refuse(kBeyondRecord);
  DnsMessage message = parse_dns(record.subspan(sizeof raw, raw.data_len));
  if (message.malformed) return refuse(kBadDns);
  return DnsEvent{.net_ns = raw.net_ns, .answers = std::move(message.answers)};
}

Result<Body> decode_unix(Record record) {
  ev_unix raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.path_len > record.size() - sizeof raw) return refuse(kBeyondRecord);
  std::string path(text_of(record.subspan(sizeof raw, raw.path_len)));
  if (path.starts_with('\0')) {
    // unix(7): an abstract name may hold NULs; /proc/net/unix shows each as '@' too.
    std::replace(path.begin(), path.end(), '\0', '@');
  } else {
    path.resize(std::min(path.size(), path.find('\0')));
  }
  return UnixConnectEvent{.path = std::move(path)};
}

Result<Body> decode_cgroup(Record record, const ev_head& head) {
  ev_cgroup raw{};
  if (!read_struct(record, raw)) return refuse(kTooShort);
  if (raw.path_len > record.size() - sizeof raw) return refuse(kBeyondRecord);
  return CgroupEvent{.cgroup_id = head.cgroup_id,
                     .path = path_text(text_of(record.subspan(sizeof raw, raw.path_len)), true, is_cut(head)),
                     .claimed = raw.claimed,
                     .owner = raw.owner};
}

Result<Body> decode_body(Record record, const ev_head& head, std::span<const catalog::ArgFormat> formats,
                         QuicHellos* quic) {
  switch (static_cast<kt_event_type>(head.type)) {  // no default: a type that is forgotten here does not compile
    case KT_EV_FORK:
      return decode_fork(record);
    case KT_EV_EXEC:
      return decode_exec(record, formats);
    case KT_EV_EXIT:
      return ExitEvent{};
    case KT_EV_OPEN:
      return decode_open(record, head);
    case KT_EV_PEEK:
      return decode_peek(record);
    case KT_EV_CONNECT:
      return decode_connect(record);
    case KT_EV_SOCKET:
      return decode_socket(record);
    case KT_EV_PAYLOAD:
      return decode_payload(record, quic);
    case KT_EV_DNS:
      return decode_dns(record);
    case KT_EV_UNIX:
      return decode_unix(record);
    case KT_EV_CGROUP:
      return decode_cgroup(record, head);
    case KT_EV_TASK: {
      auto exec = decode_exec(record, formats);
      if (!exec) return std::unexpected(std::move(exec.error()));
      return TaskEvent{.exec = std::move(*exec)};
    }
    case KT_EV_BASELINE_DONE:
      return BaselineDoneEvent{.armed_ns = head.time_ns};
    case KT_EV_HEARTBEAT:
      return HeartbeatEvent{.family = static_cast<Family>(head.family)};
  }
  return refuse(kUnknownType);  // what came through the ring can be any number
}

}  // namespace

Result<Event> decode(std::span<const std::byte> record, std::span<const catalog::ArgFormat> formats, QuicHellos* quic) {
  ev_head head{};
  if (!read_struct(record, head)) return refuse(kTooShort);
  if (head.family >= kFamilies) return refuse(kUnknownFamily);
  if (head.type == KT_EV_EXIT && record.size() < sizeof(ev_exit)) return refuse(kTooShort);
  auto body = decode_body(record, head, formats, quic);
  if (!body) return std::unexpected(std::move(body.error()));
  if (auto* payload = std::get_if<PayloadEvent>(&*body))
    payload->truncated = payload->truncated || (payload->name.empty() && (head.flags & KT_F_TRUNCATED) != 0);
  return Event{.head = {.time_ns = head.time_ns,
                        .who = {.tgid = head.tgid, .start_ns = head.start_ns, .exec = head.exec},
                        .family = static_cast<Family>(head.family),
                        .cgroup_id = head.cgroup_id,
                        .baseline = (head.flags & KT_F_BASELINE) != 0,
                        .from_ring = true,
                        .users = users_of(head)},
               .body = std::move(*body)};
}

}  // namespace keytrail::decode
