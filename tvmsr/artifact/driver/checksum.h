/* Checksums of codes and of data, and pictures made from a seed: docs/numerics.md and tvmsr/quant/checks.py. */
#ifndef SR_CHECKSUM_H
#define SR_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Every bit of the result depends on every bit of z. */
static inline uint64_t sr_mix(uint64_t z) {
    z += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* How codes lie in a row: pixels `pitch` bytes apart, code = stored value + offset. */
typedef struct sr_codes {
    uint32_t pitch;
    uint32_t channels;
    int32_t bytes; /* of a code, 1 or 2 */
    uint32_t offset;
    int64_t width;
} sr_codes;

/* One row's part of the checksum of codes: sum of (code + 1) * mix(row * 2^32 + column * channels + channel). */
uint64_t sr_row_checksum(const sr_codes *codes, const unsigned char *pixels, uint64_t row);

/* Sum of (word + 1) * (mix(index) | 1) over little-endian words of 64 bits, the last one filled up with zeros. */
uint64_t sr_data_checksum(const unsigned char *data, uint64_t bytes);

/* RGB bytes (height, width, 3), rows without gaps. */
void sr_seeded_picture(uint32_t seed, int64_t width, int64_t height, uint8_t *pixels);

#endif
