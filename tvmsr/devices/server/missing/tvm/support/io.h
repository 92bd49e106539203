/* Stands in for a header that TVM's wheel lacks: a stream of bytes, and plain values written to it as they lie in memory.
 * Every CPU that this program is built for is little-endian, as the protocol is.
 */
#ifndef TVM_SUPPORT_IO_H_
#define TVM_SUPPORT_IO_H_

#include <tvm/ffi/endian.h>

#include <cstddef>
#include <type_traits>

namespace tvm {
namespace support {

class Stream {
 public:
  virtual ~Stream() = default;
  virtual size_t Read(void* data, size_t size) = 0;
  virtual size_t Write(const void* data, size_t size) = 0;

  template <typename T>
  bool Read(T* value) {
    return ReadArray(value, 1);
  }

  template <typename T>
  void Write(const T& value) {
    WriteArray(&value, 1);
  }

  template <typename T>
  bool ReadArray(T* values, size_t count) {
    static_assert(std::is_trivially_copyable<T>::value, "only values without pointers travel");
    return Read(static_cast<void*>(values), sizeof(T) * count) == sizeof(T) * count;
  }

  template <typename T>
  void WriteArray(const T* values, size_t count) {
    static_assert(std::is_trivially_copyable<T>::value, "only values without pointers travel");
    Write(static_cast<const void*>(values), sizeof(T) * count);
  }
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian CPUs are not supported");

}  // namespace support
}  // namespace tvm

#endif
