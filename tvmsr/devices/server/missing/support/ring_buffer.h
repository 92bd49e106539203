/* Stands in for a header that TVM's wheel lacks: bytes that arrived and were not read yet, or wait to be sent. */
#ifndef TVM_SUPPORT_RING_BUFFER_H_
#define TVM_SUPPORT_RING_BUFFER_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace tvm {
namespace support {

/* One piece of memory with a read and a write position; what is unread moves to the front when space is needed. */
class RingBuffer {
 public:
  size_t bytes_available() const { return end_ - begin_; }

  /* What a peer says it will send takes no memory: it comes as the bytes do, up to kLargest at a time. */
  void Reserve(size_t size) {
    if (size > kLargest) throw std::length_error("a packet of more than 1 GiB is refused");
  }

  void Read(void* data, size_t size) {
    if (size > bytes_available()) throw std::out_of_range("a packet is shorter than its contents");
    if (size != 0) std::memcpy(data, bytes_.data() + begin_, size);
    Consume(size);
  }

  void Write(const void* data, size_t size) {
    if (size == 0) return;
    std::memcpy(Space(size), data, size);
    end_ += size;
  }

  /* send(data, size) returns how much of it is gone. */
  template <typename F>
  size_t ReadWithCallback(F send, size_t size) {
    size_t sent = send(static_cast<const void*>(bytes_.data() + begin_), std::min(size, bytes_available()));
    Consume(sent);
    return sent;
  }

  /* receive(data, size) returns how much it put there. */
  template <typename F>
  size_t WriteWithCallback(F receive, size_t size) {
    size = std::min(size, kStep);
    size_t got = receive(static_cast<void*>(Space(size)), size);
    end_ += got;
    return got;
  }

 private:
  static constexpr size_t kLargest = size_t{1} << 30;
  static constexpr size_t kStep = size_t{1} << 20;
  static constexpr size_t kKept = size_t{4} << 20;

  /* Memory for `size` bytes more. */
  char* Space(size_t size) {
    if (bytes_.size() - end_ < size && begin_ != 0) {
      std::memmove(bytes_.data(), bytes_.data() + begin_, bytes_available());
      end_ -= begin_;
      begin_ = 0;
    }
    if (bytes_.size() - end_ < size) bytes_.resize(std::max(end_ + size, bytes_.size() + bytes_.size() / 2));
    return bytes_.data() + end_;
  }

  void Consume(size_t size) {
    begin_ += size;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (bytes_.size() > kKept) std::vector<char>().swap(bytes_);
  }

  std::vector<char> bytes_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace support
}  // namespace tvm

#endif
