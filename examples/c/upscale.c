/* Upscale a picture with an artifact that is linked in: upscale IN.ppm OUT.ppm
 *
 *     tvmsr compile default:x2 -o libsr.so
 *     cc upscale.c -I"$(tvmsr --include-dir)" -I../common -L. -lsr -Wl,-rpath,'$ORIGIN' -o upscale
 */
#include <stdio.h>
#include <stdlib.h>

#include "pnm.h"
#include "tvmsr.h"

/* Called between strips of rows; anything but 0 would cancel. */
static int show_progress(void *user, int64_t done, int64_t total) {
    (void)user;
    fprintf(stderr, "\r%3d %%", (int)(done * 100 / total));
    return 0;
}

static tvmsr_session *open_session(void) {
    tvmsr_session *session = NULL;
    if (tvmsr_open(NULL, &session) != TVMSR_OK) {
        char text[256];
        tvmsr_open_error(text, sizeof text);
        fprintf(stderr, "cannot open the network: %s\n", text);
    }
    return session;
}

static int upscale(const tvmsr_picture *in, tvmsr_picture *out) {
    tvmsr_info info = {.struct_size = sizeof info};
    tvmsr_get_info(&info);
    if (!pnm_scaled(in, info.scale, out)) return 0;
    tvmsr_session *session = open_session();
    if (session == NULL) return 0;

    const tvmsr_status status = tvmsr_upscale(session, in, out, show_progress, NULL);
    if (status != TVMSR_OK) fprintf(stderr, "\ncannot upscale: %s\n", tvmsr_error(session));
    tvmsr_last_run last = {.struct_size = sizeof last};
    if (status == TVMSR_OK && tvmsr_last(session, &last) == TVMSR_OK) {
        fprintf(stderr, "\r%d x %d -> %d x %d in %.1f ms: level %s, %d threads\n", (int)in->width, (int)in->height,
                (int)out->width, (int)out->height, (double)last.nanoseconds / 1e6, last.level, (int)last.threads);
    }
    tvmsr_close(session);
    return status == TVMSR_OK;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s IN.ppm OUT.ppm\n", argv[0]);
        return 2;
    }
    tvmsr_picture in = {0}, out = {0};
    int result = 1;
    if (!pnm_read(argv[1], &in)) {
        fprintf(stderr, "%s: not a PPM or PGM picture with 8 bits a sample\n", argv[1]);
    } else if (upscale(&in, &out)) {
        result = pnm_write(argv[2], &out) ? 0 : 1;
        if (result != 0) fprintf(stderr, "%s: cannot be written\n", argv[2]);
    }
    free(in.planes[0]);
    free(out.planes[0]);
    return result;
}
