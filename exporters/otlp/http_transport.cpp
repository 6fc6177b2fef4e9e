// SPDX-License-Identifier: Apache-2.0
// OTLP/HTTP: one POST at a time over one connection that is kept open, http or https, with protobuf or JSON bodies.
// Redirects are not followed: the records go where configured.
#include <optional>

#include "agent/base/http_client.h"
#include "agent/base/log.h"
#include "exporters/otlp/gzip.h"
#include "exporters/otlp/json_codec.h"
#include "exporters/otlp/loaded_part.h"
#include "exporters/otlp/transport.h"

namespace keytrail::otlp {
namespace {

/// How messages become bodies. Without functions: protobuf as it is.
struct Codec {
  const char* content_type = "application/x-protobuf";
  ToJson encode = nullptr;
  FromJson decode = nullptr;
};

class HttpTransport final : public Transport {
 public:
  HttpTransport(const TransportParts& parts, std::string path, std::unique_ptr<base::HttpClient> client, Codec codec)
      : config_(parts.config), clock_(parts.clock), path_(std::move(path)), client_(std::move(client)), codec_(codec) {}

  Answer send(const Signal& signal, const Message& message) override {
    base::HttpRequest request{.method = "POST",
                              .path = config_.whole_endpoint ? path_ : path_ + signal.http_path,
                              .headers = {},
                              .body = message.SerializeAsString(),
                              .timeout = std::chrono::seconds(config_.timeout_s),
                              .on_body = {}};
    for (const base::OtlpHeader& header : config_.headers)
      request.headers.emplace_back(header.name, header.value);
    request.headers.emplace_back("User-Agent", kUserAgent);
    request.headers.emplace_back("Content-Type", codec_.content_type);
    if (codec_.encode != nullptr) {
      std::optional<std::string> text = codec_.encode(message.GetTypeName(), request.body);
      if (!text) return {.kind = Answer::Kind::kRefused, .text = "the request cannot be written as JSON"};
      request.body = std::move(*text);
    }
    compress(request);
    const Result<base::HttpResponse> response = client_->send(request);
    if (!response) return answer_of(response.error());
    const std::string& body = response->body;
    const bool decode = codec_.decode != nullptr && !body.empty();
    return answer_of(*response, decode ? codec_.decode(signal.response, body) : body, clock_.wall_ns());
  }

  void cancel() override { client_->cancel(); }

 private:
  void compress(base::HttpRequest& request) const {
    if (!config_.gzip) return;
    if (Result<std::string> small = gzip(request.body)) {
      request.body = std::move(*small);
      request.headers.emplace_back("Content-Encoding", "gzip");
    } else {
      spdlog::warn("exporter {}: {}; sent without compression", config_.name, small.error().message);
    }
  }

  const base::OtlpConfig config_;
  const Clock& clock_;
  const std::string path_;
  const std::unique_ptr<base::HttpClient> client_;
  const Codec codec_;
};

Result<std::unique_ptr<Transport>> make_http(const TransportParts& parts, Codec codec) {
  Result<base::HttpTarget> target = base::HttpTarget::parse(parts.config.endpoint, "4318");
  if (!target) return fail(target.error().code, "endpoint: " + target.error().message);
  std::string path = target->path;
  if (parts.config.whole_endpoint && path.empty()) path = "/";
  auto client = base::HttpClient::create(
      std::move(*target), {parts.config.ca_file, parts.config.cert_file, parts.config.key_file}, kResponseMax);
  if (!client) return std::unexpected(client.error());
  return std::make_unique<HttpTransport>(parts, std::move(path), std::move(*client), codec);
}

}  // namespace

Result<std::unique_ptr<Transport>> make_http_protobuf(const TransportParts& parts) { return make_http(parts, {}); }

Result<std::unique_ptr<Transport>> make_http_json(const TransportParts& parts) {
  const Result<void*> encode = load_part(parts.folder, kJsonPart, kToJsonEntry);
  if (!encode) return std::unexpected(encode.error());
  const Result<void*> decode = load_part(parts.folder, kJsonPart, kFromJsonEntry);
  if (!decode) return std::unexpected(decode.error());
  return make_http(parts, {"application/json", reinterpret_cast<ToJson>(*encode), reinterpret_cast<FromJson>(*decode)});
}

}  // namespace keytrail::otlp
