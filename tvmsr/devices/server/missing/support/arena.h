/* Stands in for a header that TVM's wheel lacks: memory for the arguments of one call, freed together. */
#ifndef TVM_SUPPORT_ARENA_H_
#define TVM_SUPPORT_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace tvm {
namespace support {

class Arena {
 public:
  /* count: from the peer; a negative one, or one of more bytes than there are addresses, is std::bad_alloc. */
  template <typename T>
  T* allocate_(int64_t count) {
    static_assert(std::is_trivial<T>::value, "no constructor runs");
    if (count < 0 || static_cast<uint64_t>(count) > kLargest / sizeof(T)) throw std::bad_alloc();
    blocks_.emplace_back(new char[sizeof(T) * static_cast<size_t>(count) + 1]);
    return reinterpret_cast<T*>(blocks_.back().get());
  }

  void RecycleAll() { blocks_.clear(); }

 private:
  static constexpr uint64_t kLargest = PTRDIFF_MAX / 2;
  std::vector<std::unique_ptr<char[]>> blocks_;
};

}  // namespace support
}  // namespace tvm

#endif
