/* Layer norm over the channels of a pixel. Plain parameters: zero of x and of the store (both of stored values), fraction,
 * eps (64 bits, low word first), then per channel m (float32), beta, lo, hi.
 *
 * With d the centred codes, D = C d - sum(d) is C times the distance from the mean and V = sum(D^2) is C^3 times the
 * variance. The root of V / C + eps has 6 fractional bits, its reciprocal is one division a pixel, what is normalised has 12.
 */
#include <string.h>

#include "memory.h"
#include "steps.h"

enum { X_ZERO, Y_ZERO, FRACTION, EPSILON, SCALARS = EPSILON + 2 };

/* At it a term ends, as in an addition. */
#define TERM_LIMIT 4194304.0f

static uint64_t words(const sr_step *step) { return SCALARS + 4 * (uint64_t)step->spatial->channels; }

static const char *check(const sr_step *step) {
    (void)step;
    return NULL;
}

static int fits(const sr_shape *shape) { return shape->x_height == shape->height && shape->x_width == shape->width; }

static uint64_t scratch(const sr_shape *shape) {
    return sr_times(shape->step->spatial->channels * sizeof(int32_t), (uint64_t)shape->width);
}

/* 2^46 / root of (V / C + eps), 12 fractional bits under the root. Unsigned: a forged epsilon wraps. */
static int64_t reciprocal(uint64_t spread, uint64_t channels, uint64_t epsilon) {
    const uint64_t whole = spread / channels, part = spread % channels;
    const uint64_t root = sr_root((whole << 12) + (part << 12) / channels + epsilon);
    return (int64_t)((UINT64_C(1) << 46) / (root > 0 ? root : 1));
}

static void pixel(const int32_t *p, int64_t channels, int32_t *x) {
    const int32_t *m = p + SCALARS, *beta = m + channels, *lo = beta + channels, *hi = lo + channels;
    const int32_t shift = p[FRACTION] & 15, zero = p[Y_ZERO];
    const uint32_t half = (1u << shift) >> 1;
    uint64_t epsilon, spread = 0;
    int64_t sum = 0;
    memcpy(&epsilon, p + EPSILON, sizeof epsilon);
    for (int64_t c = 0; c < channels; c++) {
        x[c] = (int32_t)((uint32_t)x[c] - (uint32_t)p[X_ZERO]);
        sum += x[c];
    }
    for (int64_t c = 0; c < channels; c++) {
        const int64_t distance = channels * x[c] - sum;
        spread += (uint64_t)distance * (uint64_t)distance;
    }
    const uint64_t factor = (uint64_t)reciprocal(spread, (uint64_t)channels, epsilon);
    for (int64_t c = 0; c < channels; c++) {
        const int64_t distance = channels * x[c] - sum;
        const int64_t normal = (int64_t)((uint64_t)distance * factor + (UINT64_C(1) << 27)) >> 28;
        float multiplier;
        memcpy(&multiplier, m + c, sizeof multiplier);
        const int32_t term = sr_scaled((int32_t)normal, multiplier, -TERM_LIMIT, TERM_LIMIT);
        const int32_t total = (int32_t)((uint32_t)term + (uint32_t)beta[c] + half) >> shift;
        x[c] = (int32_t)((uint32_t)(total < lo[c] ? lo[c] : total > hi[c] ? hi[c] : total) + (uint32_t)zero);
    }
}

static void run(const sr_work *work, int worker, int64_t row0, int64_t row1) {
    const sr_shape *s = &work->shape;
    const uint32_t channels = s->step->spatial->channels;
    int32_t *line = sr_scratch_of(work, worker);
    for (int64_t row = row0; row < row1; row++) {
        sr_unpack(s->x, channels, sr_x_row(work, work->first + row), s->width, line);
        for (int64_t x = 0; x < s->width; x++) pixel(work->block, channels, line + x * channels);
        sr_repack(s->y, channels, line, s->width, sr_y_row(work, row));
    }
}

const sr_kind sr_layer_norm = {.fits = fits,
                               .check = check,
                               .needs = sr_needs_same_rows,
                               .keeps = sr_keeps_same_rows,
                               .words = words,
                               .scratch = scratch,
                               .run = run};
