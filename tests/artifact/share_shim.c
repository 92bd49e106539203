/* How a step is cut into pieces, for tests: threads that take their turns one after the other, a piece each. */
#include "rows.h"

__attribute__((visibility("default"))) int64_t share_all(int64_t rows, int64_t width, int granule_rows, int granule_columns,
                                                         int macs, int threads, int64_t *pieces, int64_t most);

/* Each piece is row0, row1, col0, col1; returns how many there are. */
int64_t share_all(int64_t rows, int64_t width, int granule_rows, int granule_columns, int macs, int threads, int64_t *pieces,
                  int64_t most) {
    const sr_step step = {.granule_rows = (uint16_t)granule_rows,
                          .granule_columns = (uint16_t)granule_columns,
                          .macs_per_pixel = (uint32_t)macs};
    const sr_shape shape = {.step = &step, .height = rows, .width = width};
    sr_share share;
    sr_turn turns[64] = {{0, 0}};
    int64_t count = 0;
    sr_share_grid(&share, &shape, rows, threads);
    for (int left = threads; left > 0;) {
        left = threads;
        for (int i = 0; i < threads; i++) {
            sr_piece piece;
            if (!sr_share_next(&share, &turns[i], &piece)) {
                left--;
                continue;
            }
            if (count == most) return -1;
            const int64_t numbers[] = {piece.row0, piece.row1, piece.col0, piece.col1};
            for (int n = 0; n < 4; n++) pieces[4 * count + n] = numbers[n];
            count++;
        }
    }
    return count;
}
