/* For tests: the complexity of a picture, its pixels summed up in three parts. */
#include "complexity.h"
#include "session.h"

__attribute__((visibility("default"))) uint32_t complexity_of(uint8_t *pixels, int64_t width, int64_t height, int64_t stride,
                                                             int bytes, int64_t cut);

uint32_t complexity_of(uint8_t *pixels, int64_t width, int64_t height, int64_t stride, int bytes, int64_t cut) {
    const sr_plane plane = {pixels, stride, width, height, bytes};
    const int64_t half = width / 2;
    const uint64_t below = sr_gradient(&plane, cut, height, 0, half) + sr_gradient(&plane, cut, height, half, width);
    return sr_complexity(sr_gradient(&plane, 0, cut, 0, width) + below, height, width);
}
