// SPDX-License-Identifier: Apache-2.0
#include "grpc_collector.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <mutex>

namespace keytrail::otlp::test {
namespace {

std::string text_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (buffer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices)
      out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return out;
}

std::string text_of(grpc::string_ref text) { return {text.data(), text.size()}; }

}  // namespace

struct GrpcCollector::Impl final : grpc::CallbackGenericService {
  class Call final : public grpc::ServerGenericBidiReactor {
   public:
    Call(Impl& owner, grpc::GenericCallbackServerContext& context) : owner_(owner) {
      request_.method = context.method();
      for (const auto& [name, value] : context.client_metadata())
        request_.metadata.emplace(text_of(name), text_of(value));
      StartRead(&in_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish({grpc::StatusCode::INVALID_ARGUMENT, "no message"});
      request_.body = text_of(in_);
      answer_ = owner_.answer(std::move(request_));
      if (answer_.hang) return;
      if (answer_.code != 0)
        return Finish({static_cast<grpc::StatusCode>(answer_.code), answer_.message, answer_.details});
      const grpc::Slice slice(answer_.body);
      out_ = grpc::ByteBuffer(&slice, 1);
      StartWriteAndFinish(&out_, {}, grpc::Status::OK);
    }
    void OnCancel() override {
      if (answer_.hang) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    Impl& owner_;
    GrpcRequest request_;
    GrpcAnswer answer_;
    grpc::ByteBuffer in_, out_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Call(*this, *context);
  }

  GrpcAnswer answer(GrpcRequest request) {
    const std::lock_guard lock(mutex);
    GrpcAnswer out = answers[std::min(requests.size(), answers.size() - 1)];
    requests.push_back(std::move(request));
    return out;
  }

  std::vector<GrpcAnswer> answers;
  std::mutex mutex;
  std::vector<GrpcRequest> requests;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

GrpcCollector::GrpcCollector(std::vector<GrpcAnswer> answers, int port) : impl_(std::make_unique<Impl>()) {
  impl_->answers = std::move(answers);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &impl_->port);
  builder.RegisterCallbackGenericService(impl_.get());
  impl_->server = builder.BuildAndStart();
}

GrpcCollector::~GrpcCollector() { impl_->server->Shutdown(std::chrono::system_clock::now()); }

int GrpcCollector::port() const { return impl_->port; }

std::vector<GrpcRequest> GrpcCollector::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->requests;
}

}  // namespace keytrail::otlp::test
