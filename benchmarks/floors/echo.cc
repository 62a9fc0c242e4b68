// The least that a gRPC server can do, in C++ on a completion queue: take a call, send its bytes back, look at nothing.
//
//   echo HOST:PORT        serves on one thread until it is ended
//
// The method is what gRPC's code generator calls raw: its request is the ByteBuffer as it came, so no message is parsed or
// built, and protoc is not needed. What a server of anything costs beyond this is its own.

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/impl/service_type.h>

#include <cstdio>
#include <memory>
#include <vector>

namespace {

// Calls that may have come before the thread gets round to any of them.
constexpr int kAcceptAhead = 512;

// As generated for `rpc Echo` with WithRawMethod_Echo.
class EchoService : public grpc::Service {
 public:
  EchoService() {
    AddMethod(new grpc::internal::RpcServiceMethod("/credence.floors.Echo/Echo", grpc::internal::RpcMethod::NORMAL_RPC,
                                                   nullptr));
    MarkMethodRaw(0);
  }

  void RequestEcho(grpc::ServerContext* context, grpc::ByteBuffer* request,
                   grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>* responder, grpc::ServerCompletionQueue* queue,
                   void* tag) {
    RequestAsyncUnary(0, context, request, responder, queue, queue, tag);
  }
};

// The place of one call at a time.
class Call {
 public:
  Call(EchoService* service, grpc::ServerCompletionQueue* queue) : service_(service), queue_(queue) { Accept(); }

  // What was begun is done; `ok` is false if the caller is gone.
  void Proceed(bool ok) {
    if (answering_ || !ok) {
      Accept();
    } else {
      answering_ = true;
      responder_->Finish(bytes_, grpc::Status::OK, this);
    }
  }

 private:
  void Accept() {
    answering_ = false;
    bytes_.Clear();
    context_ = std::make_unique<grpc::ServerContext>();
    responder_ = std::make_unique<grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>>(context_.get());
    service_->RequestEcho(context_.get(), &bytes_, responder_.get(), queue_, this);
  }

  EchoService* service_;
  grpc::ServerCompletionQueue* queue_;
  bool answering_ = false;
  grpc::ByteBuffer bytes_;
  std::unique_ptr<grpc::ServerContext> context_;
  std::unique_ptr<grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>> responder_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: echo HOST:PORT\n");
    return 2;
  }
  int port = 0;
  EchoService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument("grpc.so_reuseport", 0);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(&service);
  const auto queue = builder.AddCompletionQueue();
  const auto server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    std::fprintf(stderr, "echo: cannot listen on %s\n", argv[1]);
    return 1;
  }
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < kAcceptAhead; ++i) {
    calls.push_back(std::make_unique<Call>(&service, queue.get()));
  }
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) {
    static_cast<Call*>(tag)->Proceed(ok);
  }
  return 0;
}
