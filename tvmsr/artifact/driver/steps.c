#include "steps.h"

#include <string.h>

#include "flow.h"
#include "memory.h"

int64_t sr_inside(int64_t at, int64_t size, int mode) {
    if (mode == SR_PAD_REFLECT) {
        if (at < 0) at = -at;
        if (at >= size) at = 2 * (size - 1) - at;
    }
    return sr_max(0, sr_min(at, size - 1));
}

/* Floor division: windows may begin before the picture. */
static int64_t windows(int64_t size, int64_t padding, int64_t extent, int64_t stride) {
    const int64_t room = size + padding - extent;
    return room < 0 ? 0 : room / stride + 1;
}

int sr_window_fits(const sr_shape *shape) {
    const sr_step *step = shape->step;
    return shape->height == windows(shape->x_height, step->pad_top + step->pad_bottom, step->extent, step->stride) &&
           shape->width == windows(shape->x_width, step->pad_left + step->pad_right, step->extent_columns, step->stride);
}

/* The last row of x that a grid reads, inside of the picture or not. */
static int64_t last_row(const sr_shape *shape, int64_t rows) {
    return (rows - 1) * shape->step->stride - shape->step->pad_top + shape->step->extent - 1;
}

int64_t sr_needs_same_rows(const sr_shape *shape, int64_t done, int64_t goal) {
    (void)shape, (void)done;
    return goal;
}

int64_t sr_keeps_same_rows(const sr_shape *shape, int64_t done) {
    (void)shape;
    return done;
}

int64_t sr_window_needs(const sr_shape *shape, int64_t done, int64_t goal) {
    const int64_t first = done * shape->step->stride - shape->step->pad_top, last = shape->x_height - 1;
    int64_t rows = sr_min(last_row(shape, goal), last) + 1;
    if (first < 0 && shape->x->mode == SR_PAD_REPLICATE) rows = sr_max(rows, 1);
    if (first < 0 && shape->x->mode == SR_PAD_REFLECT) rows = sr_max(rows, sr_min(-first, last) + 1);
    return rows;
}

int64_t sr_window_keeps(const sr_shape *shape, int64_t done) {
    const int64_t first = sr_max(0, done * shape->step->stride - shape->step->pad_top), last = shape->x_height - 1;
    const int64_t end = last_row(shape, shape->height);
    if (end <= last || shape->x->mode == SR_PAD_CONSTANT) return first;
    /* Rows behind the last one stand for some before it. */
    return sr_min(first, shape->x->mode == SR_PAD_REFLECT ? sr_max(0, 2 * last - end) : last);
}

static uint64_t kernel_scratch(const sr_shape *shape) { return shape->step->scratch; }

static uint64_t kernel_words(const sr_step *step) {
    (void)step;
    return 0;
}

static const char *kernel_check(const sr_step *step) { return step->kernel == NULL ? "a step without a kernel" : NULL; }

#define PAIR void *, const int32_t *
#define TAIL const void *, const void *, void *, int32_t, int32_t, int32_t, int32_t
typedef void (*kernel2)(PAIR, PAIR, TAIL);
typedef void (*kernel3)(PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel4)(PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel5)(PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel6)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel7)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel8)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
#undef PAIR
#undef TAIL

#define PAIR(i) w->base[i], w->table[i]
#define TAIL w->weights, w->block, scratch, (int32_t)row0, (int32_t)row1, (int32_t)w->col0, (int32_t)w->col1
static void kernel_run(const sr_work *w, int worker, int64_t row0, int64_t row1) {
    const sr_kernel kernel = w->shape.step->kernel;
    void *scratch = sr_scratch_of(w, worker);
    switch (sr_operand_count(w->shape.step)) {
        case 2: ((kernel2)kernel)(PAIR(0), PAIR(1), TAIL); break;
        case 3: ((kernel3)kernel)(PAIR(0), PAIR(1), PAIR(2), TAIL); break;
        case 4: ((kernel4)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), TAIL); break;
        case 5: ((kernel5)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), TAIL); break;
        case 6: ((kernel6)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), TAIL); break;
        case 7: ((kernel7)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), TAIL); break;
        case 8: ((kernel8)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), PAIR(7), TAIL); break;
        default: break; /* check.c lets no other number through */
    }
}
#undef PAIR
#undef TAIL

static const sr_kind kernel = {.fits = sr_window_fits,
                               .check = kernel_check,
                               .needs = sr_window_needs,
                               .keeps = sr_window_keeps,
                               .words = kernel_words,
                               .scratch = kernel_scratch,
                               .run = kernel_run};

/* Files of kinds that no program has are not linked. */
const sr_kind *const SR_KIND[SR_KINDS] = {
    [SR_KERNEL] = &kernel,
#ifndef SR_WITHOUT_POOL
    [SR_MAX_POOL] = &sr_max_pool,
#endif
#ifndef SR_WITHOUT_RESIZE
    [SR_RESIZE] = &sr_resize,
#endif
#ifndef SR_WITHOUT_STATISTIC
    [SR_STATISTIC] = &sr_statistic,
#endif
#ifndef SR_WITHOUT_NORM
    [SR_LAYER_NORM] = &sr_layer_norm,
#endif
};

/* A loop for each type. Where pixels have no gaps, rows are one run. */
#define UNPACK(name, type) \
    static void name(const unsigned char *from, int64_t pitch, int64_t count, int64_t pixels, int32_t *to) { \
        for (int64_t x = 0; x < pixels; x++, from += pitch, to += count) { \
            const type *pixel = (const type *)(const void *)from; \
            for (int64_t c = 0; c < count; c++) to[c] = pixel[c]; \
        } \
    }
#define REPACK(name, type) \
    static void name(const int32_t *from, int64_t pitch, int64_t count, int64_t pixels, unsigned char *to) { \
        for (int64_t x = 0; x < pixels; x++, to += pitch, from += count) { \
            type *pixel = (type *)(void *)to; \
            for (int64_t c = 0; c < count; c++) pixel[c] = (type)from[c]; \
        } \
    }
UNPACK(unpack_u8, uint8_t)
UNPACK(unpack_s8, int8_t)
UNPACK(unpack_u16, uint16_t)
UNPACK(unpack_s16, int16_t)
REPACK(repack_8, uint8_t)
REPACK(repack_16, uint16_t)

void sr_unpack(const sr_buffer *buffer, uint32_t channels, const unsigned char *from, int64_t pixels, int32_t *to) {
    int64_t count = channels;
    if (buffer->pitch == channels * (uint32_t)sr_code_bytes(buffer)) {
        count *= pixels;
        pixels = 1;
    }
    switch (buffer->form) {
        case SR_FORM_U8: unpack_u8(from, buffer->pitch, count, pixels, to); break;
        case SR_FORM_S8: unpack_s8(from, buffer->pitch, count, pixels, to); break;
        case SR_FORM_U16: unpack_u16(from, buffer->pitch, count, pixels, to); break;
        default: unpack_s16(from, buffer->pitch, count, pixels, to); break;
    }
}

void sr_repack(const sr_buffer *buffer, uint32_t channels, const int32_t *from, int64_t pixels, unsigned char *to) {
    int64_t count = channels;
    if (buffer->pitch == channels * (uint32_t)sr_code_bytes(buffer)) {
        count *= pixels;
        pixels = 1;
    }
    if (sr_code_bytes(buffer) == 1) {
        repack_8(from, buffer->pitch, count, pixels, to);
    } else {
        repack_16(from, buffer->pitch, count, pixels, to);
    }
}
