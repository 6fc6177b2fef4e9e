// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/http_transport.h"

#include <openssl/ssl.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/url.hpp>
#include <mutex>
#include <optional>

#include "agent/base/log.h"

namespace keytrail::otlp {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using Plain = beast::tcp_stream;
using Tls = beast::ssl_stream<beast::tcp_stream>;

constexpr int kInterimMax = 16;

struct Target {
  bool tls = false;
  std::string host;       ///< without brackets
  std::string authority;  ///< for the Host header
  std::string port;
  std::string path;  ///< no slash at its end
};

Result<Target> parse_target(const std::string& endpoint) {
  const auto url = boost::urls::parse_uri(endpoint);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty() || url->has_userinfo() || url->has_query() ||
      url->has_fragment()) {
    return fail(Error::Code::kInvalid, "endpoint must look like http://127.0.0.1:4318 or https://collector.example:4318");
  }
  Target target;
  target.tls = url->scheme() == "https";
  target.host = url->host_address();
  target.authority = std::string(url->encoded_host_and_port());
  target.port = url->has_port() && !url->port().empty() ? std::string(url->port()) : (target.tls ? "443" : "80");
  target.path = std::string(url->encoded_path());
  while (!target.path.empty() && target.path.back() == '/')
    target.path.pop_back();
  return target;
}

Result<void> load_tls(asio::ssl::context& tls, const base::OtlpConfig& config) {
  beast::error_code error;
  tls.set_verify_mode(asio::ssl::verify_peer);
  SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
  const auto problem = [&](const char* what, const std::string& file) {
    return fail(Error::Code::kInvalid, std::string(what) + " " + base::printable(file) + " cannot be used: " + error.message());
  };
  if (config.ca_file.empty()) {
    tls.set_default_verify_paths(error);
  } else {
    tls.load_verify_file(config.ca_file, error);
  }
  if (error) return problem("ca_file", config.ca_file.empty() ? "of the system" : config.ca_file);
  if (config.cert_file.empty()) return {};
  tls.use_certificate_chain_file(config.cert_file, error);
  if (error) return problem("cert_file", config.cert_file);
  tls.use_private_key_file(config.key_file, asio::ssl::context::pem, error);
  if (error) return problem("key_file", config.key_file);
  return {};
}

/// A connection and the loop it lives in. Dropped as a whole when anything goes wrong, so that nothing half-done is used again.
struct Session {
  asio::io_context loop{1};
  std::optional<Plain> plain;
  std::optional<Tls> tls;
  beast::flat_buffer buffer;
  bool connected = false;
  [[nodiscard]] beast::tcp_stream& tcp() { return tls ? tls->next_layer() : *plain; }
};

class BeastTransport final : public HttpTransport {
 public:
  BeastTransport(const base::OtlpConfig& config, Target target, asio::ssl::context tls)
      : config_(config), target_(std::move(target)), tls_(std::move(tls)) {}

  Result<HttpResponse> post(const std::string& path, const std::string& body, bool gzipped) override {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(config_.timeout_s);
    const bool reused = session_ != nullptr;
    Result<HttpResponse> response = attempt(path, body, gzipped, until);
    // A collector may close an idle connection at any time: that says nothing about this request.
    if (!response && response.error().code == Error::Code::kUnavailable && reused && std::chrono::steady_clock::now() < until) {
      response = attempt(path, body, gzipped, until);
    }
    return response;
  }

  void cancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (session_) session_->loop.stop();
  }

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  using Request = http::request<http::string_body>;

  Result<HttpResponse> attempt(const std::string& path, const std::string& body, bool gzipped, Deadline until) {
    {
      const std::lock_guard lock(mutex_);
      if (cancelled_) return fail(Error::Code::kGone, "cancelled");
      if (!session_) session_ = std::make_unique<Session>();
      session_->loop.restart();
    }
    std::optional<Result<HttpResponse>> outcome;
    asio::co_spawn(session_->loop, exchange(*session_, make_request(path, body, gzipped), until),
                   [&outcome](const std::exception_ptr& trouble, Result<HttpResponse> response) {
                     outcome = trouble ? describe(trouble) : std::move(response);
                   });
    session_->loop.run_until(until);
    const std::lock_guard lock(mutex_);
    if (!outcome) outcome = cancelled_ ? fail(Error::Code::kGone, "cancelled") : fail(Error::Code::kUnavailable, "timed out");
    if (!*outcome || !session_->connected) session_.reset();
    return std::move(*outcome);
  }

  static Result<HttpResponse> describe(const std::exception_ptr& trouble) {
    try {
      std::rethrow_exception(trouble);
    } catch (const boost::system::system_error& error) {
      if (error.code() == http::error::body_limit) return fail(Error::Code::kTooLarge, "the answer is over 4 MiB");
      return fail(Error::Code::kUnavailable, base::printable(error.code().message()));
    } catch (const std::exception&) {
      return fail(Error::Code::kUnavailable, "internal error in the transport");
    }
  }

  [[nodiscard]] Request make_request(const std::string& path, const std::string& body, bool gzipped) const {
    Request request{http::verb::post, target_.path + path, 11};
    for (const base::OtlpHeader& header : config_.headers)
      request.set(header.name, header.value);
    request.set(http::field::host, target_.authority);
    request.set(http::field::user_agent, "Keytrail/" KEYTRAIL_VERSION " OTel-OTLP-Exporter-Cpp/" KEYTRAIL_VERSION);
    request.set(http::field::content_type, "application/x-protobuf");
    if (gzipped) request.set(http::field::content_encoding, "gzip");
    request.body() = body;
    request.prepare_payload();
    return request;
  }

  asio::awaitable<void> connect(Session& session, Deadline until) {
    asio::ip::tcp::resolver resolver(session.loop);
    beast::error_code not_numeric;
    static_cast<void>(asio::ip::make_address(target_.host, not_numeric));
    asio::ip::tcp::resolver::results_type found;
    if (not_numeric) {
      found = co_await resolver.async_resolve(target_.host, target_.port, use_awaitable);
    } else {  // no thread and no name service for a numeric address
      found =
          resolver.resolve(target_.host, target_.port, asio::ip::resolver_base::numeric_host | asio::ip::resolver_base::numeric_service);
    }
    if (target_.tls) {
      session.tls.emplace(session.loop, tls_);
    } else {
      session.plain.emplace(session.loop);
    }
    session.tcp().expires_at(until);
    co_await session.tcp().async_connect(found, use_awaitable);
    if (target_.tls) {
      if (not_numeric) SSL_set_tlsext_host_name(session.tls->native_handle(), target_.host.c_str());
      session.tls->set_verify_callback(asio::ssl::host_name_verification(target_.host));
      co_await session.tls->async_handshake(asio::ssl::stream_base::client, use_awaitable);
    }
    session.connected = true;
  }

  using Parser = http::response_parser<http::string_body>;

  template <typename Stream>
  static asio::awaitable<void> talk(Stream& stream, Session& session, Request& request, std::optional<Parser>& parser) {
    co_await http::async_write(stream, request, use_awaitable);
    bool interim = true;
    for (int answers = 0; interim; ++answers) {
      if (answers > kInterimMax) throw boost::system::system_error(http::make_error_code(http::error::bad_status));
      parser.emplace();
      parser->body_limit(kResponseMax);
      co_await http::async_read(stream, session.buffer, *parser, use_awaitable);
      // RFC 9110 section 15.2: any number of these may come before the answer. 101 would end HTTP, and nobody asked for it.
      const unsigned status = parser->get().result_int();
      interim = status >= 100 && status < 200 && status != 101;
    }
  }

  asio::awaitable<Result<HttpResponse>> exchange(Session& session, Request request, Deadline until) {
    if (!session.connected) co_await connect(session, until);
    session.tcp().expires_at(until);
    std::optional<Parser> parser;
    if (session.tls) {
      co_await talk(*session.tls, session, request, parser);
    } else {
      co_await talk(*session.plain, session, request, parser);
    }
    session.tcp().expires_never();
    auto& answer = parser->get();
    session.connected = answer.keep_alive() && answer.result_int() >= 200;
    HttpResponse response;
    response.status = answer.result_int();
    response.reason = std::string(answer.reason());
    response.retry_after = std::string(answer[http::field::retry_after]);
    response.body = std::move(answer.body());
    co_return response;
  }

  const base::OtlpConfig config_;
  const Target target_;
  asio::ssl::context tls_;
  std::mutex mutex_;  ///< guards cancelled_ and which session there is
  bool cancelled_ = false;
  std::unique_ptr<Session> session_;
};

}  // namespace

Result<std::unique_ptr<HttpTransport>> HttpTransport::create(const base::OtlpConfig& config) try {
  Result<Target> target = parse_target(config.endpoint);
  if (!target) return std::unexpected(target.error());
  for (const base::OtlpHeader& header : config.headers) {
    if (header.name.empty() || header.name.find_first_of(" :\r\n\t") != std::string::npos ||
        header.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return fail(Error::Code::kInvalid, "header " + base::printable(header.name) + ": line breaks and colons cannot be sent");
    }
  }
  asio::ssl::context tls(asio::ssl::context::tls_client);
  if (target->tls) {
    if (Result<void> loaded = load_tls(tls, config); !loaded) return std::unexpected(loaded.error());
  }
  return std::make_unique<BeastTransport>(config, std::move(*target), std::move(tls));
} catch (const std::exception& error) {
  return fail(Error::Code::kSystem, std::string("the OTLP transport cannot be set up: ") + base::printable(error.what()));
}

}  // namespace keytrail::otlp
