// SPDX-License-Identifier: Apache-2.0
// keytrail-otlp-grpc.so: the only file that includes gRPC. Debian's gRPC 1.51, generic stubs: the messages stay bytes.
#include "exporters/otlp/grpc_channel.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <mutex>

namespace keytrail::otlp {
namespace {

constexpr std::size_t kMemory = 32U << 20U;
constexpr int kThreads = 4;
// How long a call fails at once after a failed connection: the exporter's own waits are longer.
constexpr int kReconnectMs = 1000;

/// gRPC counts who uses it; the last one waits until its threads have ended.
struct Library {
  Library() {
    grpc_init();
    gpr_set_log_function([](gpr_log_func_args*) {});  // what matters comes back with the call
  }
  ~Library() { grpc_shutdown_blocking(); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

class Channel final : public GrpcChannel {
 public:
  explicit Channel(const GrpcTarget& target) : target_(target) {
    grpc::ResourceQuota quota("keytrail-otlp");
    quota.Resize(kMemory);
    quota.SetMaxThreads(kThreads);
    grpc::ChannelArguments arguments;
    arguments.SetResourceQuota(quota);
    arguments.SetUserAgentPrefix(target.user_agent);
    arguments.SetMaxReceiveMessageSize(static_cast<int>(target.answer_max));
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the exporter tries again
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMs);
    if (target.gzip) arguments.SetCompressionAlgorithm(GRPC_COMPRESS_GZIP);
    const auto credentials =
        target.tls ? grpc::SslCredentials({target.ca, target.key, target.cert}) : grpc::InsecureChannelCredentials();
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(target.address, credentials, arguments));
  }

  GrpcReply call(const char* method, const std::string& body, std::chrono::milliseconds timeout) override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    for (const auto& [name, value] : target_.headers)
      context.AddMetadata(name, value);
    {
      const std::lock_guard lock(mutex_);
      if (cancelled_) return {.code = grpc::StatusCode::CANCELLED, .cancelled = true};
      running_ = &context;
    }
    const grpc::Slice slice(body);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    grpc::CompletionQueue queue;
    const auto rpc = stub_->PrepareUnaryCall(&context, method, request, &queue);
    rpc->StartCall();
    rpc->Finish(&response, &status, this);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    const std::lock_guard lock(mutex_);
    running_ = nullptr;
    return {.code = status.error_code(),
            .message = status.error_message(),
            .details = status.error_details(),
            .body = status.ok() ? text_of(response) : std::string(),
            .cancelled = cancelled_};
  }

  void cancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (running_ != nullptr) running_->TryCancel();
  }

 private:
  static std::string text_of(const grpc::ByteBuffer& buffer) {
    std::vector<grpc::Slice> slices;
    std::string out;
    if (buffer.Valid() && buffer.Dump(&slices).ok()) {
      for (const grpc::Slice& slice : slices)
        out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    return out;
  }

  const Library library_;
  const GrpcTarget target_;
  std::unique_ptr<grpc::GenericStub> stub_;
  std::mutex mutex_;  ///< guards what follows
  grpc::ClientContext* running_ = nullptr;
  bool cancelled_ = false;
};

}  // namespace
}  // namespace keytrail::otlp

extern "C" __attribute__((visibility("default"))) std::unique_ptr<keytrail::otlp::GrpcChannel>
keytrail_open_grpc_channel(const keytrail::otlp::GrpcTarget& target) {
  return std::make_unique<keytrail::otlp::Channel>(target);
}
