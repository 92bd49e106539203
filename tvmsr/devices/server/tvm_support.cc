// Of TVM's runtime, what its wheel has in files that need more than a server does: the names that compiled kernels look
// up, the log, a tensor, and the values that MetaSchedule measures with.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/c_backend_api.h>
#include <tvm/runtime/device_api.h>
#include <tvm/runtime/logging.h>
#include <tvm/runtime/tensor.h>

#include <cstring>
#include <string>

extern "C" {
#include "log.h"
}

namespace tvm {
namespace runtime {
namespace detail {

void LogMessageImpl(const std::string&, int, int, const std::string& message) { log_line("%s", message.c_str()); }

void LogFatalImpl(const std::string&, int, const std::string& message) { TVM_FFI_THROW(InternalError) << message; }

}  // namespace detail

// Of tensors, the timer makes two and copies one onto the other to empty the caches. What clients make is made by syscalls.
Tensor Tensor::Empty(ffi::Shape shape, DLDataType dtype, Device device, ffi::Optional<ffi::String> scope) {
  struct Memory {
    void AllocData(DLTensor* t, const ffi::Optional<ffi::String>& scope) {
      t->data = DeviceAPI::Get(t->device)->AllocDataSpace(t->device, t->ndim, t->shape, t->dtype, scope);
    }
    void FreeData(DLTensor* t) { DeviceAPI::Get(t->device)->FreeDataSpace(t->device, t->data); }
  };
  return ffi::Tensor::FromNDAlloc(Memory(), shape, dtype, device, scope);
}

void Tensor::CopyFromTo(const DLTensor* from, DLTensor* to, TVMStreamHandle stream) {
  DeviceAPI::Get(to->device)->CopyDataFromTo(const_cast<DLTensor*>(from), to, stream);
}

}  // namespace runtime
}  // namespace tvm

namespace {

// The same numbers every time: measurements are compared.
class Numbers {
 public:
  uint32_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 32);
  }

  // In [1, 10): what measured kernels divide by is not 0, whatever the type.
  double Value() { return 1 + Next() * (9.0 / 4294967296.0); }

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15u;
};

template <typename T, typename F>
void FillWith(void* data, int64_t count, F next) {
  T* values = static_cast<T*>(data);
  for (int64_t i = 0; i < count; i++) values[i] = static_cast<T>(next());
}

void RandomFill(DLTensor* tensor) {
  Numbers numbers;
  auto value = [&] { return numbers.Value(); };
  int64_t count = tensor->dtype.lanes;
  for (int i = 0; i < tensor->ndim; i++) count *= tensor->shape[i];
  TVM_FFI_CHECK(tensor->device.device_type == kDLCPU, ValueError) << "only the CPU's memory can be filled";
  switch (tensor->dtype.bits) {
    case 8: return FillWith<uint8_t>(tensor->data, count, value);
    // The codes of half floats from 1 to 10 are these, in order.
    case 16: return FillWith<uint16_t>(tensor->data, count, [&] { return 0x3C00 + numbers.Next() % 0xD00; });
    case 32: return FillWith<float>(tensor->data, count, value);
    case 64: return FillWith<double>(tensor->data, count, value);
    default: TVM_FFI_THROW(ValueError) << "values of " << int{tensor->dtype.bits} << " bits cannot be filled";
  }
}

template <typename F>
void Offer(const char* name, F function) {
  TVM_FFI_CHECK_SAFE_CALL(TVMFFIEnvModRegisterContextSymbol(name, reinterpret_cast<void*>(function)));
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  Offer("__TVMFFIFunctionCall", TVMFFIFunctionCall);
  Offer("__TVMFFIErrorSetRaisedFromCStr", TVMFFIErrorSetRaisedFromCStr);
  Offer("__TVMFFIEnvModLookupFromImports", TVMFFIEnvModLookupFromImports);
  Offer("__TVMFFIHandleInitOnce", TVMFFIHandleInitOnce);
  Offer("__TVMBackendAllocWorkspace", TVMBackendAllocWorkspace);
  Offer("__TVMBackendFreeWorkspace", TVMBackendFreeWorkspace);
  Offer("__TVMBackendParallelLaunch", TVMBackendParallelLaunch);
  Offer("__TVMBackendParallelBarrier", TVMBackendParallelBarrier);
  tvm::ffi::reflection::GlobalDef()
      .def("tvm.contrib.random.random_fill", RandomFill)
      .def("tvm.contrib.random.random_fill_for_measure", RandomFill);
}
