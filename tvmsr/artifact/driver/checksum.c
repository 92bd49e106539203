#include "checksum.h"

#include <string.h>

/* Stored values are what the code is, less `offset`, modulo the width of the type. */
static uint64_t code_at(const sr_codes *codes, const unsigned char *at) {
    if (codes->bytes == 1) return (uint8_t)(*at + codes->offset);
    uint16_t stored;
    memcpy(&stored, at, sizeof stored);
    return (uint16_t)(stored + codes->offset);
}

uint64_t sr_row_checksum(const sr_codes *codes, const unsigned char *pixels, uint64_t row) {
    uint64_t sum = 0, at = row << 32;
    for (int64_t x = 0; x < codes->width; x++, pixels += codes->pitch) {
        for (uint32_t c = 0; c < codes->channels; c++, at++) {
            sum += (code_at(codes, pixels + (size_t)c * (size_t)codes->bytes) + 1) * sr_mix(at);
        }
    }
    return sum;
}

uint64_t sr_data_checksum(const unsigned char *data, uint64_t bytes) {
    uint64_t sum = 0, word;
    for (uint64_t index = 0; index * 8 < bytes; index++) {
        const uint64_t left = bytes - index * 8;
        word = 0;
        memcpy(&word, data + index * 8, left < 8 ? (size_t)left : 8);
        sum += (word + 1) * (sr_mix(index) | 1);
    }
    return sum;
}

void sr_seeded_picture(uint32_t seed, int64_t width, int64_t height, uint8_t *pixels) {
    const uint32_t style = seed % 3;
    const int64_t block = style == 1 ? 8 : 1;
    for (int64_t y = 0; y < height; y++) {
        for (int64_t x = 0; x < width; x++) {
            for (uint64_t c = 0; c < 3; c++) {
                const uint64_t place = (uint64_t)(y / block) << 32 | ((uint64_t)(x / block) * 3 + c);
                const uint64_t random = sr_mix(seed ^ sr_mix(place));
                *pixels++ = style == 2 ? (random >> 63 ? 255 : 0) : (uint8_t)(random >> 56);
            }
        }
    }
}
