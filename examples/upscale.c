/* Upscale a picture with an artifact that is linked in: upscale IN.ppm OUT.ppm
 *
 *     tvmsr compile default:x2 -o sr.so
 *     cc upscale.c ./sr.so -I"$(tvmsr --cmake-dir)/../include" -o upscale
 *
 * Reads and writes binary PPM (P6) and PGM (P5) with 8 bits a sample.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tvmsr.h"

/* The next number of a PNM header, after white space and comments. */
static int read_number(FILE *file) {
    int c = fgetc(file), value = 0;
    while (c == '#' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        if (c == '#') {
            while (c != '\n' && c != EOF) c = fgetc(file);
        }
        c = fgetc(file);
    }
    if (c < '0' || c > '9') return -1;
    for (; c >= '0' && c <= '9'; c = fgetc(file)) {
        if (value > 100000000) return -1;
        value = value * 10 + (c - '0');
    }
    return value; /* the one white space after it has been read */
}

static int read_picture(const char *name, tvmsr_picture *picture) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) return 0;
    const int letter = fgetc(file), kind = fgetc(file);
    picture->format = kind == '5' ? TVMSR_GRAY : TVMSR_RGB;
    picture->width = read_number(file);
    picture->height = read_number(file);
    const int largest = read_number(file);
    int good = letter == 'P' && (kind == '5' || kind == '6') && picture->width > 0 && picture->height > 0 && largest == 255;
    if (good) {
        const size_t bytes = (size_t)picture->width * picture->height * (kind == '5' ? 1 : 3);
        picture->planes[0] = malloc(bytes);
        good = picture->planes[0] != NULL && fread(picture->planes[0], 1, bytes, file) == bytes;
    }
    fclose(file);
    return good;
}

static int write_picture(const char *name, const tvmsr_picture *picture) {
    FILE *file = fopen(name, "wb");
    if (file == NULL) return 0;
    const size_t bytes = (size_t)picture->width * picture->height * (picture->format == TVMSR_GRAY ? 1 : 3);
    fprintf(file, "P%d\n%d %d\n255\n", picture->format == TVMSR_GRAY ? 5 : 6, picture->width, picture->height);
    const int good = fwrite(picture->planes[0], 1, bytes, file) == bytes;
    return fclose(file) == 0 && good;
}

/* Called between strips of rows; anything but 0 would cancel. */
static int show_progress(void *user, int64_t done, int64_t total) {
    (void)user;
    fprintf(stderr, "\r%3d %%", (int)(done * 100 / total));
    return 0;
}

static int upscale(const tvmsr_picture *in, tvmsr_picture *out) {
    tvmsr_info info = {.struct_size = sizeof info};
    tvmsr_get_info(&info);
    out->format = in->format;
    out->width = in->width * info.scale;
    out->height = in->height * info.scale;
    out->planes[0] = malloc((size_t)out->width * out->height * 3);
    if (out->planes[0] == NULL) return 0;

    tvmsr_session *session = NULL;
    if (tvmsr_open(NULL, &session) != TVMSR_OK) {
        char text[256];
        tvmsr_open_error(text, sizeof text);
        fprintf(stderr, "cannot open the network: %s\n", text);
        return 0;
    }
    const tvmsr_status status = tvmsr_upscale(session, in, out, show_progress, NULL);
    if (status != TVMSR_OK) fprintf(stderr, "\ncannot upscale: %s\n", tvmsr_error(session));
    tvmsr_last_run last = {.struct_size = sizeof last};
    if (status == TVMSR_OK && tvmsr_last(session, &last) == TVMSR_OK) {
        fprintf(stderr, "\r%d x %d -> %d x %d in %.1f ms: level %s, %d threads\n", in->width, in->height, out->width,
                out->height, last.nanoseconds / 1e6, last.level, last.threads);
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
    if (!read_picture(argv[1], &in)) {
        fprintf(stderr, "%s: not a PPM or PGM picture with 8 bits a sample\n", argv[1]);
    } else if (upscale(&in, &out)) {
        if (write_picture(argv[2], &out)) {
            result = 0;
        } else {
            fprintf(stderr, "%s: cannot be written\n", argv[2]);
        }
    }
    free(in.planes[0]);
    free(out.planes[0]);
    return result;
}
