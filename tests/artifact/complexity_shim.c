/* For tests: the complexity of a picture, its rows summed up in two parts. */
#include "complexity.h"
#include "session.h"

__attribute__((visibility("default"))) uint32_t complexity_of(uint8_t *pixels, int64_t width, int64_t height, int64_t stride,
                                                             int bytes, int64_t cut);

uint32_t complexity_of(uint8_t *pixels, int64_t width, int64_t height, int64_t stride, int bytes, int64_t cut) {
    const sr_plane plane = {pixels, stride, width, height, bytes};
    return sr_complexity(sr_gradient(&plane, 0, cut) + sr_gradient(&plane, cut, height), height, width);
}
