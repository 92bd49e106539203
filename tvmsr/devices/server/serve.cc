// TVM's RPC over two descriptors, and the functions of a server that TVM expects to find there.
#include "serve.h"

#include <tvm/ffi/c_api.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "src/runtime/rpc/rpc_channel.h"
#include "src/runtime/rpc/rpc_endpoint.h"

extern "C" {
#include "channel.h"
#include "log.h"

int check_file(const char* path, char* why, size_t size);
int __tvm_ffi_tvmsr_agent(void* self, const TVMFFIAny* arguments, int32_t count, TVMFFIAny* result);
}

namespace {

using tvm::ffi::Bytes;
using tvm::ffi::Module;

constexpr size_t kWhySize = 512;

// The session's one channel, which its process has opened.
class SessionChannel final : public tvm::runtime::RPCChannel {
 public:
  size_t Send(const void* data, size_t size) final { return Moved(channel_send(data, size)); }
  size_t Recv(void* data, size_t size) final { return Moved(channel_receive(data, size)); }

 private:
  static size_t Moved(ssize_t moved) {
    if (moved < 0) TVM_FFI_THROW(RuntimeError) << "the connection broke: " << std::strerror(errno);
    return static_cast<size_t>(moved);
  }
};

const storage* files;  // of this process's one session

[[noreturn]] void Refuse(const char* why) {
  TVM_FFI_THROW(ValueError) << why;
  TVM_FFI_UNREACHABLE();
}

std::string WorkPath(const std::string& name) {
  char path[PATH_MAX], why[kWhySize];
  if (transfer_path(files, name.c_str(), path, sizeof path, why, sizeof why) != 0) Refuse(why);
  return path;
}

void Upload(const std::string& name, const Bytes& bytes) {
  char why[kWhySize];
  if (transfer_write(files, name.c_str(), bytes.data(), bytes.size(), why, sizeof why) != 0) Refuse(why);
}

Bytes Download(const std::string& name) {
  char why[kWhySize];
  uint64_t length;
  int file = transfer_open(files, name.c_str(), &length, why, sizeof why);
  if (file < 0) Refuse(why);
  std::unique_ptr<FILE, int (*)(FILE*)> opened(fdopen(file, "rb"), fclose);
  if (opened == nullptr) Refuse("a file cannot be read");
  std::string bytes(static_cast<size_t>(length), 0);
  bytes.resize(fread(&bytes[0], 1, bytes.size(), opened.get()));
  return Bytes(std::move(bytes));
}

// MetaSchedule's runner removes "", the folder: that goes with the session.
void Remove(const std::string& name) {
  char why[kWhySize];
  if (name.empty()) return;
  if (transfer_remove(files, name.c_str(), why, sizeof why) != 0) Refuse(why);
}

// A file that is cut short would end the process with SIGBUS when it is mapped.
Module Load(const std::string& name) {
  if (name.empty()) Refuse("load_module needs a name");
  char why[kWhySize];
  std::string path = WorkPath(name);
  if (check_file(path.c_str(), why, sizeof why) != 0) Refuse((name + ": " + why).c_str());
  return Module::LoadFromFile(path);
}

void RegisterAgent() {
  const std::string name = "tvmsr.agent." TVMSR_AGENT_KEY;
  TVMFFIByteArray bytes = {name.data(), name.size()};
  TVMFFIObjectHandle function = nullptr;
  TVM_FFI_CHECK_SAFE_CALL(TVMFFIFunctionCreate(nullptr, __tvm_ffi_tvmsr_agent, nullptr, &function));
  TVM_FFI_CHECK_SAFE_CALL(TVMFFIFunctionSetGlobal(&bytes, function, 1));
  TVM_FFI_CHECK_SAFE_CALL(TVMFFIObjectDecRef(function));
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  namespace refl = tvm::ffi::reflection;
  refl::GlobalDef()
      .def("tvmsr.version", []() { return std::string("tvmsr-device " TVMSR_VERSION); })
      .def("tvm.rpc.server.workpath", WorkPath)
      .def("tvm.rpc.server.upload", Upload)
      .def("tvm.rpc.server.download", Download)
      .def("tvm.rpc.server.remove", Remove)
      .def("tvm.rpc.server.load_module", Load);
  RegisterAgent();
}

extern "C" int serve_rpc(const storage* session_files) {
  files = session_files;
  try {
    tvm::runtime::RPCEndpoint::Create(std::make_unique<SessionChannel>(), "tvmsr-device", "")->ServerLoop();
    return SERVE_DONE;
  } catch (const std::exception& error) {
    log_line("session: %s", error.what());
    return SERVE_BROKE;
  }
}
