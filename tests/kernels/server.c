/* Runs kernels and the packer for a test in another process, mostly under an emulator: one request after the other on
 * stdin, one answer each on stdout, until stdin ends. Numbers are little-endian.
 *
 * Request: uint32 command, uint32 numbers, uint32 blobs; int32[numbers]; uint32 size[blobs]; the blobs' bytes.
 * Answer: uint32 size; bytes.
 *
 *   PACK_WEIGHTS  numbers: weight bits, weight layout. Blob: plain weights. Answer: packed weights.
 *   PACK_PARAMS   numbers: weight bits, parameter layout, weight layout (convolutions only). Blobs: plain parameters,
 *                 plain weights (convolutions only). Answer: the parameter block.
 *   RUN           numbers: kernel, bytes of scratch, then row0, row1, col0, col1 of every area. Blobs: tensor and row
 *                 table of every operand, weights (empty: none), parameter block. Answer: the blobs after the calls.
 *
 * Every blob, and scratch, ends where a page without access begins: what reads or writes past it dies.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pack.h"

enum { PACK_WEIGHTS, PACK_PARAMS, RUN };
enum { MAX_BLOBS = 32, MAX_NUMBERS = 1024, LINE = 64, WORD = 4, RUBBISH = 0xa5 };

typedef void (*kernel)(void);

/* Of the generated table. */
extern const kernel test_kernels[];

typedef struct blob {
    uint8_t *data;
    size_t size;
    void *map;
    size_t mapped;
} blob;

typedef struct request {
    uint32_t command, numbers, blobs;
    int32_t number[MAX_NUMBERS];
    blob blob[MAX_BLOBS];
} request;

static void fail(const char *what) {
    fprintf(stderr, "kernel server: %s\n", what);
    exit(2);
}

static int read_all(void *to, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = read(STDIN_FILENO, (uint8_t *)to + done, size - done);
        if (got <= 0) return 0;
        done += (size_t)got;
    }
    return 1;
}

static void write_all(const void *from, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t put = write(STDOUT_FILENO, (const uint8_t *)from + done, size - done);
        if (put <= 0) fail("cannot write");
        done += (size_t)put;
    }
}

/* Zeroed bytes that begin at a multiple of `alignment` and end less than `alignment` before a page without access. */
static blob new_blob(size_t size, size_t alignment) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + alignment - 1) / alignment * alignment;
    size_t inside = (whole + page - 1) / page * page;
    blob b = {NULL, size, NULL, inside + page};
    b.map = mmap(NULL, b.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b.map == MAP_FAILED || mprotect((uint8_t *)b.map + inside, page, PROT_NONE)) fail("no memory");
    b.data = (uint8_t *)b.map + inside - whole;
    return b;
}

static void free_blob(blob b) {
    munmap(b.map, b.mapped);
}

/* Tensors and row tables need no alignment, weights and parameters lie at whole lines, plain data at whole words. */
static size_t alignment_of(const request *r, uint32_t index) {
    if (r->command != RUN) return WORD;
    return index + 2 < r->blobs ? 1 : LINE;
}

static int read_request(request *r) {
    uint32_t size[MAX_BLOBS];
    if (!read_all(&r->command, sizeof r->command)) return 0;
    if (!read_all(&r->numbers, sizeof r->numbers) || !read_all(&r->blobs, sizeof r->blobs)) fail("half a request");
    if (r->numbers > MAX_NUMBERS || r->blobs > MAX_BLOBS) fail("too large a request");
    if (!read_all(r->number, r->numbers * sizeof *r->number)) fail("half a request");
    if (!read_all(size, r->blobs * sizeof *size)) fail("half a request");
    for (uint32_t i = 0; i < r->blobs; ++i) {
        r->blob[i] = new_blob(size[i], alignment_of(r, i));
        if (!read_all(r->blob[i].data, size[i])) fail("half a request");
    }
    return 1;
}

static void answer(const blob *blobs, uint32_t count) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; ++i) total += (uint32_t)blobs[i].size;
    write_all(&total, sizeof total);
    for (uint32_t i = 0; i < count; ++i) write_all(blobs[i].data, blobs[i].size);
}

static void pack_weights(const request *r) {
    const tvmsr_weight_layout *layout = (const tvmsr_weight_layout *)&r->number[1];
    blob packed = new_blob(tvmsr_weight_bytes(layout), LINE);
    tvmsr_pack_weights(layout, r->blob[0].data, r->number[0], packed.data);
    answer(&packed, 1);
    free_blob(packed);
}

static void pack_params(const request *r) {
    const tvmsr_param_layout *layout = (const tvmsr_param_layout *)&r->number[1];
    const tvmsr_weight_layout *weights = (const tvmsr_weight_layout *)(layout + 1);
    int convolution = r->blobs > 1;
    const void *plain = r->blob[0].data;
    if (tvmsr_plain_bytes(layout, plain) != r->blob[0].size) fail("plain parameters of another size");
    blob block = new_blob(tvmsr_block_bytes(layout, plain), LINE);
    tvmsr_pack_params(layout, plain, convolution ? weights : NULL, convolution ? r->blob[1].data : NULL, r->number[0],
                      block.data);
    answer(&block, 1);
    free_blob(block);
}

#define PAIR void *, const int32_t *
#define TAIL const void *, const void *, void *, int32_t, int32_t, int32_t, int32_t
typedef void (*kernel2)(PAIR, PAIR, TAIL);
typedef void (*kernel3)(PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel4)(PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel5)(PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel6)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
#undef PAIR
#undef TAIL

static void call(kernel k, const blob *b, uint32_t operands, void *scratch, const int32_t *area) {
    const blob *w = &b[2 * operands], *p = w + 1;
    const void *weights = w->size ? w->data : NULL;
#define PAIR(i) b[2 * (i)].data, (const int32_t *)(const void *)b[2 * (i) + 1].data
#define TAIL weights, p->data, scratch, area[0], area[1], area[2], area[3]
    switch (operands) {
        case 2: ((kernel2)k)(PAIR(0), PAIR(1), TAIL); break;
        case 3: ((kernel3)k)(PAIR(0), PAIR(1), PAIR(2), TAIL); break;
        case 4: ((kernel4)k)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), TAIL); break;
        case 5: ((kernel5)k)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), TAIL); break;
        case 6: ((kernel6)k)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), TAIL); break;
        default: fail("a number of operands that it cannot call");
    }
#undef PAIR
#undef TAIL
}

static void run(const request *r) {
    size_t size = (size_t)r->number[1];
    blob scratch = new_blob(size, LINE);
    memset(scratch.data, RUBBISH, size);
    for (uint32_t at = 2; at + 4 <= r->numbers; at += 4) {
        call(test_kernels[r->number[0]], r->blob, (r->blobs - 2) / 2, size ? scratch.data : NULL, &r->number[at]);
    }
    free_blob(scratch);
    answer(r->blob, r->blobs);
}

int main(void) {
    static request r;
    while (read_request(&r)) {
        switch (r.command) {
            case PACK_WEIGHTS: pack_weights(&r); break;
            case PACK_PARAMS: pack_params(&r); break;
            case RUN: run(&r); break;
            default: fail("an unknown command");
        }
        for (uint32_t i = 0; i < r.blobs; ++i) free_blob(r.blob[i]);
    }
    return 0;
}
