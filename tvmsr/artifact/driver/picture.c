/* Pictures as callers hand them in: checks, and the network's input codes. */
#include "session.h"

int sr_pixel_bytes(int32_t format) {
    switch (format) {
        case TVMSR_GRAY: return 1;
        case TVMSR_RGB: return 3;
        case TVMSR_RGBA: return 4;
        default: return 0;
    }
}

tvmsr_status sr_check_picture(tvmsr_session *session, const char *what, const tvmsr_picture *picture) {
    if (picture == NULL) return sr_fail(session, TVMSR_BAD_ARGUMENT, "the %s picture is null", what);
    const int bytes = sr_pixel_bytes(picture->format);
    if (bytes == 0) return sr_fail(session, TVMSR_BAD_FORMAT, "the %s picture's format %d is unknown", what, picture->format);
    if (picture->width < 1 || picture->height < 1) {
        return sr_fail(session, TVMSR_BAD_SIZE, "the %s picture is %d x %d", what, picture->width, picture->height);
    }
    if (picture->planes[0] == NULL) return sr_fail(session, TVMSR_BAD_ARGUMENT, "the %s picture has no pixels", what);
    const int64_t row = (int64_t)picture->width * bytes, stride = picture->strides[0];
    if (stride != 0 && stride < row && stride > -row) {
        return sr_fail(session, TVMSR_BAD_ARGUMENT, "the %s picture's stride %lld is less than its row of %lld bytes", what,
                       (long long)stride, (long long)row);
    }
    return TVMSR_OK;
}

sr_plane sr_plane_of(const tvmsr_picture *picture) {
    sr_plane plane;
    plane.bytes = sr_pixel_bytes(picture->format);
    plane.data = picture->planes[0];
    plane.width = picture->width;
    plane.height = picture->height;
    plane.stride = picture->strides[0] != 0 ? picture->strides[0] : (int64_t)picture->width * plane.bytes;
    return plane;
}

/* Inlined with its constants: a loop for each pixel size. */
static inline void codes_of(const uint8_t *from, int64_t width, int step, uint8_t *codes, uint32_t pitch, uint8_t offset) {
    const int green = step == 1 ? 0 : 1, blue = step == 1 ? 0 : 2;
    for (int64_t x = 0; x < width; x++, from += step, codes += pitch) {
        codes[0] = (uint8_t)(from[0] - offset);
        codes[1] = (uint8_t)(from[green] - offset);
        codes[2] = (uint8_t)(from[blue] - offset);
    }
}

void sr_codes_from_row(const sr_plane *in, int64_t row, uint8_t *codes, uint32_t pitch, uint8_t offset) {
    const uint8_t *from = sr_row(in, row);
    if (in->bytes == 3 && pitch == 4) {
        codes_of(from, in->width, 3, codes, 4, offset);
    } else if (in->bytes == 4 && pitch == 4) {
        codes_of(from, in->width, 4, codes, 4, offset);
    } else if (in->bytes == 1) {
        codes_of(from, in->width, 1, codes, pitch, offset);
    } else {
        codes_of(from, in->width, in->bytes, codes, pitch, offset);
    }
}
