/* Max pooling: stored values are larger where codes are, so that forms do not matter but for what they subtract. Plain
 * parameters: none. First the largest of each column of the windows' rows, then of their columns. */
#include "memory.h"
#include "steps.h"

static uint64_t no_words(const sr_step *step) {
    (void)step;
    return 0;
}

static const char *check(const sr_step *step) {
    if (step->pad_top < 0 || step->pad_left < 0 || step->pad_bottom < 0 || step->pad_right < 0) return "a pool's padding";
    if (step->pad_top >= step->extent || step->pad_bottom >= step->extent) return "a pool's padding";
    return step->pad_left >= step->extent_columns || step->pad_right >= step->extent_columns ? "a pool's padding" : NULL;
}

/* A row of columns' maxima, a row of x, a row of results. */
static uint64_t scratch(const sr_shape *shape) {
    return sr_times(shape->step->spatial->channels * sizeof(int32_t), (uint64_t)(2 * shape->x_width + shape->width));
}

static void larger(int32_t *restrict at, const int32_t *restrict than, int64_t count) {
    for (int64_t i = 0; i < count; i++) at[i] = at[i] > than[i] ? at[i] : than[i];
}

static void tall(const sr_work *work, int64_t first, int32_t *columns, int32_t *line) {
    const sr_shape *s = &work->shape;
    const uint32_t channels = s->step->spatial->channels;
    const int64_t from = sr_max(0, first), to = sr_min(s->x_height, first + s->step->extent);
    sr_unpack(s->x, channels, sr_x_row(work, from), s->x_width, columns);
    for (int64_t row = from + 1; row < to; row++) {
        sr_unpack(s->x, channels, sr_x_row(work, row), s->x_width, line);
        larger(columns, line, s->x_width * channels);
    }
}

static void wide(const sr_shape *s, const int32_t *columns, int32_t *result) {
    const int64_t channels = s->step->spatial->channels, shift = s->x->offset - s->y->offset;
    for (int64_t x = 0; x < s->width; x++, result += channels) {
        const int64_t first = x * s->step->stride - s->step->pad_left;
        const int64_t from = sr_max(0, first), to = sr_min(s->x_width, first + s->step->extent_columns);
        for (int64_t c = 0; c < channels; c++) result[c] = columns[from * channels + c];
        for (int64_t at = from + 1; at < to; at++) larger(result, columns + at * channels, channels);
        for (int64_t c = 0; c < channels; c++) result[c] += (int32_t)shift;
    }
}

static void run(const sr_work *work, int worker, int64_t row0, int64_t row1) {
    const sr_shape *s = &work->shape;
    const uint32_t channels = s->step->spatial->channels;
    int32_t *columns = sr_scratch_of(work, worker), *line = columns + s->x_width * channels;
    int32_t *result = line + s->x_width * channels;
    for (int64_t row = row0; row < row1; row++) {
        tall(work, (work->first + row) * s->step->stride - s->step->pad_top, columns, line);
        wide(s, columns, result);
        sr_repack(s->y, channels, result, s->width, sr_y_row(work, row));
    }
}

static int64_t needs(const sr_shape *shape, int64_t done, int64_t goal) {
    (void)done;
    return sr_min(shape->x_height, (goal - 1) * shape->step->stride - shape->step->pad_top + shape->step->extent);
}

static int64_t keeps(const sr_shape *shape, int64_t done) {
    return sr_max(0, done * shape->step->stride - shape->step->pad_top);
}

const sr_kind sr_max_pool = {.fits = sr_window_fits,
                             .check = check,
                             .needs = needs,
                             .keeps = keeps,
                             .words = no_words,
                             .scratch = scratch,
                             .run = run};
