/* Bare loops of the primitives of tvmsr.kernels.isa, operands in registers: what a core can issue at most.
 *
 * Every function runs `rounds` rounds of 12 independent chains and returns something that depends on all of them. The empty
 * asm makes operands look new in every round, so that nothing moves out of the loop; it emits no instruction. */
#include <immintrin.h>
#include <stdint.h>

#define CHAINS 12
#define FRESH(x, w) __asm__ volatile("" : "+v"(x), "+v"(w))

#define LOOP256(NAME, TARGET, ISSUE)                                                       \
    __attribute__((target(TARGET))) int32_t NAME(int64_t rounds, const void *from) {       \
        __m256i x = _mm256_loadu_si256(from), w = x, acc[CHAINS], ones = _mm256_set1_epi16(1); \
        (void)ones;                                                                        \
        for (int k = 0; k < CHAINS; ++k) acc[k] = _mm256_set1_epi32(k);                    \
        for (int64_t i = 0; i < rounds; ++i) {                                             \
            _Pragma("clang loop unroll(full)") for (int k = 0; k < CHAINS; ++k) {          \
                FRESH(x, w);                                                               \
                acc[k] = ISSUE;                                                            \
            }                                                                              \
        }                                                                                  \
        for (int k = 1; k < CHAINS; ++k) acc[0] = _mm256_xor_si256(acc[0], acc[k]);        \
        return _mm256_extract_epi32(acc[0], 0) ^ _mm256_extract_epi32(acc[0], 5);          \
    }

#define LOOP512(NAME, ISSUE)                                                               \
    __attribute__((target("avx512f,avx512bw,avx512vnni,avx512dq"))) int32_t NAME(int64_t rounds, const void *from) { \
        __m512i x = _mm512_loadu_si512(from), w = x, acc[CHAINS];                          \
        for (int k = 0; k < CHAINS; ++k) acc[k] = _mm512_set1_epi32(k);                    \
        for (int64_t i = 0; i < rounds; ++i) {                                             \
            _Pragma("clang loop unroll(full)") for (int k = 0; k < CHAINS; ++k) {          \
                FRESH(x, w);                                                               \
                acc[k] = ISSUE;                                                            \
            }                                                                              \
        }                                                                                  \
        for (int k = 1; k < CHAINS; ++k) acc[0] = _mm512_xor_si512(acc[0], acc[k]);        \
        return _mm_cvtsi128_si32(_mm512_extracti32x4_epi32(acc[0], 1));                    \
    }

LOOP256(avx2_dot4, "avx2", _mm256_add_epi32(acc[k], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), ones)))
LOOP256(avx2_pair16, "avx2", _mm256_add_epi32(acc[k], _mm256_madd_epi16(x, w)))
LOOP256(avxvnni_dot4, "avx2,avxvnni", _mm256_dpbusd_avx_epi32(acc[k], x, w))
LOOP256(avxvnni_pair16, "avx2,avxvnni", _mm256_dpwssd_avx_epi32(acc[k], x, w))
LOOP512(avx512vnni_dot4, _mm512_dpbusd_epi32(acc[k], x, w))
LOOP512(avx512vnni_pair16, _mm512_dpwssd_epi32(acc[k], x, w))
