/* Stands in for a header that TVM's wheel lacks: two questions about strings. */
#ifndef TVM_SUPPORT_UTILS_H_
#define TVM_SUPPORT_UTILS_H_

#include <cstring>
#include <string>

namespace tvm {
namespace support {

inline bool StartsWith(const std::string& text, const char* start) {
  return text.compare(0, std::strlen(start), start) == 0;
}

inline bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace support
}  // namespace tvm

#endif
