// SPDX-License-Identifier: Apache-2.0
// OTLP/gRPC: one unary call at a time over one channel. gRPC itself is in a part that is loaded here (grpc_channel.h).
#include <vector>

#include "agent/base/log.h"
#include "agent/base/small_file.h"
#include "exporters/otlp/loaded_part.h"
#include "exporters/otlp/transport.h"

namespace keytrail::otlp {
namespace {

constexpr char kSystemAuthorities[] = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::size_t kPemMax = 4U << 20U;

class GrpcTransport final : public Transport {
 public:
  GrpcTransport(std::unique_ptr<GrpcChannel> channel, std::uint32_t timeout_s)
      : channel_(std::move(channel)), timeout_(std::chrono::seconds(timeout_s)) {}

  Answer send(const Signal& signal, const Message& message) override {
    const GrpcReply reply = channel_->call(signal.grpc_method, message.SerializeAsString(), timeout_);
    return reply.cancelled ? Answer{.kind = Answer::Kind::kCancelled} : answer_of(reply);
  }
  void cancel() override { channel_->cancel(); }

 private:
  std::unique_ptr<GrpcChannel> channel_;
  const std::chrono::milliseconds timeout_;
};

Result<void> read_pem(const char* what, const std::string& file, std::string& out) {
  if (file.empty()) return {};
  Result<std::string> text = base::read_small_file(file, kPemMax, false);
  if (!text)
    return fail(Error::Code::kInvalid,
                std::string(what) + " " + base::printable(file) + " cannot be used: " + text.error().message);
  out = std::move(*text);
  return {};
}

}  // namespace

Result<std::unique_ptr<Transport>> make_grpc(const TransportParts& parts) {
  const base::OtlpConfig& config = parts.config;
  const Result<base::HttpTarget> url = base::HttpTarget::parse(config.endpoint, "4317");
  if (!url) return fail(url.error().code, "endpoint: " + url.error().message);
  const std::string& host = url->address.host;
  GrpcTarget target{
      .address = (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + url->address.port,
      .tls = url->tls,
      .gzip = config.gzip,
      .user_agent = kUserAgent,
      .answer_max = kResponseMax};
  if (!url->path.empty()) return fail(Error::Code::kInvalid, "endpoint: gRPC has no path; write host and port only");
  for (const base::OtlpHeader& header : config.headers)
    target.headers.emplace_back(header.name, header.value);
  if (target.tls) {
    if (Result<void> read = read_pem("ca_file", config.ca_file, target.ca); !read) return std::unexpected(read.error());
    if (Result<void> read = read_pem("cert_file", config.cert_file, target.cert); !read)
      return std::unexpected(read.error());
    if (Result<void> read = read_pem("key_file", config.key_file, target.key); !read)
      return std::unexpected(read.error());
    if (config.ca_file.empty()) static_cast<void>(read_pem("ca_file", kSystemAuthorities, target.ca));
  }
  const Result<void*> entry = load_part(parts.folder, kGrpcPart, kGrpcEntry);
  if (!entry) return std::unexpected(entry.error());
  return std::make_unique<GrpcTransport>(reinterpret_cast<OpenGrpcChannel>(*entry)(target), config.timeout_s);
}

}  // namespace keytrail::otlp
