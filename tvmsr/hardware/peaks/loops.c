/* What a core can do at most: bare loops of multiplications with operands in registers, and reads of memory.
 *
 * A loop of multiplications runs `rounds` rounds of CHAINS independent chains and returns something that depends on all
 * of them. The empty asm makes operands look new in every round, so that nothing moves out of the loop; it emits no
 * instruction. Nobody calls a function whose instructions the CPU has not: tvmsr/hardware/peaks/table.py. */
#include <stdatomic.h>
#include <stdint.h>

#define CHAINS 12
#define SHOWN(name) __attribute__((visibility("default"))) name

int32_t SHOWN(tvmsr_peak_chains)(void);
int32_t tvmsr_peak_chains(void) { return CHAINS; }

/* Returns when `count` threads have called it; *met is 0 before. They go on within a microsecond, as no lock would have
 * it: a loop takes some hundred. */
void SHOWN(tvmsr_peak_meet)(_Atomic int32_t *met, int32_t count);
void tvmsr_peak_meet(_Atomic int32_t *met, int32_t count) {
    atomic_fetch_add(met, 1);
    while (atomic_load_explicit(met, memory_order_acquire) < count) {
    }
}

/* Reads memory a vector at a time, eight of them in a row; `bytes` is a multiple of 512. */
#define READ(NAME, ATTRIBUTE, WIDTH)                                                                \
    typedef uint64_t NAME##_vector __attribute__((vector_size(WIDTH)));                             \
    int64_t SHOWN(NAME)(const void *from, int64_t bytes, int64_t passes);                           \
    ATTRIBUTE int64_t NAME(const void *from, int64_t bytes, int64_t passes) {                       \
        NAME##_vector sums[8] = {{0}};                                                              \
        for (int64_t pass = 0; pass < passes; ++pass) {                                             \
            const NAME##_vector *at = from, *end = at + bytes / WIDTH;                              \
            for (; at < end; at += 8) {                                                             \
                _Pragma("clang loop unroll(full)") for (int k = 0; k < 8; ++k) sums[k] ^= at[k];    \
            }                                                                                       \
            __asm__ volatile("" ::: "memory"); /* another pass reads again */                       \
        }                                                                                           \
        for (int k = 1; k < 8; ++k) sums[0] ^= sums[k];                                             \
        return (int64_t)(sums[0][0] ^ sums[0][1]);                                                  \
    }

READ(tvmsr_read_128, , 16)

#if defined(__x86_64__)
#include <immintrin.h>

READ(tvmsr_read_256, __attribute__((target("avx2"))), 32)
READ(tvmsr_read_512, __attribute__((target("avx512f"))), 64)

#define FRESH(x, w) __asm__ volatile("" : "+v"(x), "+v"(w))

/* By name: LLVM makes two instructions of a vpdpwssd for CPUs that it does not know, and one of two for others. */
#define NAMED(INSTRUCTION, TYPE, FEATURES, NAME)                                                    \
    __attribute__((target(FEATURES), always_inline)) static inline TYPE NAME(TYPE sum, TYPE x, TYPE w) { \
        __asm__(INSTRUCTION " %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));                            \
        return sum;                                                                                 \
    }
NAMED("vpdpbusd", __m512i, "avx512f,avx512vnni", dpbusd_512)
NAMED("vpdpwssd", __m512i, "avx512f,avx512vnni", dpwssd_512)
NAMED("%{vex%} vpdpbusd", __m256i, "avx2,avxvnni", dpbusd_256)
NAMED("%{vex%} vpdpwssd", __m256i, "avx2,avxvnni", dpwssd_256)

/* START: what a sum is at first; ISSUE: its next value, of x, w and itself; FOLD: an integer that depends on it. */
#define LOOP(NAME, FEATURES, TYPE, START, ISSUE, FOLD)                                              \
    int32_t SHOWN(NAME)(int64_t rounds, const void *from);                                          \
    __attribute__((target(FEATURES))) int32_t NAME(int64_t rounds, const void *from) {              \
        TYPE x = *(const TYPE *)from, w = x, acc[CHAINS];                                           \
        for (int k = 0; k < CHAINS; ++k) acc[k] = START;                                            \
        for (int64_t i = 0; i < rounds; ++i) {                                                      \
            _Pragma("clang loop unroll(full)") for (int k = 0; k < CHAINS; ++k) {                   \
                FRESH(x, w);                                                                        \
                acc[k] = ISSUE;                                                                     \
            }                                                                                       \
        }                                                                                           \
        uint32_t all = 0;                                                                           \
        for (int k = 0; k < CHAINS; ++k) all += (uint32_t)FOLD;                                     \
        return (int32_t)all;                                                                        \
    }

#define INT128(NAME, FEATURES, ISSUE) \
    LOOP(NAME, FEATURES, __m128i, _mm_set1_epi32(k), ISSUE, _mm_cvtsi128_si32(acc[k]))
#define INT256(NAME, FEATURES, ISSUE) \
    LOOP(NAME, FEATURES, __m256i, _mm256_set1_epi32(k), ISSUE, _mm_cvtsi128_si32(_mm256_castsi256_si128(acc[k])))
#define INT512(NAME, FEATURES, ISSUE) \
    LOOP(NAME, FEATURES, __m512i, _mm512_set1_epi32(k), ISSUE, _mm_cvtsi128_si32(_mm512_castsi512_si128(acc[k])))

/* Sums of four and of two products that neighbours in memory make, in 32 bits; one pair of them in 16 bits. */
INT512(tvmsr_peak_vpdpbusd_512, "avx512f,avx512vnni", dpbusd_512(acc[k], x, w))
INT512(tvmsr_peak_vpdpwssd_512, "avx512f,avx512vnni", dpwssd_512(acc[k], x, w))
INT256(tvmsr_peak_vpdpbusd_256, "avx2,avxvnni", dpbusd_256(acc[k], x, w))
INT256(tvmsr_peak_vpdpwssd_256, "avx2,avxvnni", dpwssd_256(acc[k], x, w))
INT256(tvmsr_peak_window_256, "avx2", _mm256_add_epi16(acc[k], _mm256_maddubs_epi16(x, w)))
INT256(tvmsr_peak_maddwd_256, "avx2", _mm256_add_epi32(acc[k], _mm256_madd_epi16(x, w)))
INT256(tvmsr_peak_maddubs_256, "avx2",
       _mm256_add_epi32(acc[k], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1))))
INT128(tvmsr_peak_window_128, "ssse3", _mm_add_epi16(acc[k], _mm_maddubs_epi16(x, w)))
INT128(tvmsr_peak_maddwd_128, "sse2", _mm_add_epi32(acc[k], _mm_madd_epi16(x, w)))
INT128(tvmsr_peak_maddubs_128, "ssse3",
       _mm_add_epi32(acc[k], _mm_madd_epi16(_mm_maddubs_epi16(x, w), _mm_set1_epi16(1))))

/* float32, for comparison: what runtimes that do not quantize have. */
LOOP(tvmsr_peak_fma_512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_fmadd_ps(x, w, acc[k]),
     _mm_cvtsi128_si32(_mm_castps_si128(_mm512_castps512_ps128(acc[k]))))
LOOP(tvmsr_peak_fma_256, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_fmadd_ps(x, w, acc[k]),
     _mm_cvtsi128_si32(_mm_castps_si128(_mm256_castps256_ps128(acc[k]))))
LOOP(tvmsr_peak_mulps_128, "sse2", __m128, _mm_setzero_ps(), _mm_add_ps(acc[k], _mm_mul_ps(x, w)),
     _mm_cvtsi128_si32(_mm_castps_si128(acc[k])))
#endif
