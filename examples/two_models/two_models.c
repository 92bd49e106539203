/* Two networks in one program: two_models IN.ppm ONE.ppm TWO.ppm
 *
 *     tvmsr compile default:x2 --prefix one --emit static -o one.a
 *     tvmsr compile default:x4 --prefix two --emit static -o two.a
 *     cc two_models.c -I"$(tvmsr --include-dir)" -I../common one.a two.a -pthread -o two_models
 *
 * The header is included once for each prefix; types and constants are the same.
 */
#define TVMSR_PREFIX one
#include "tvmsr.h"
#undef TVMSR_PREFIX
#define TVMSR_PREFIX two
#include "tvmsr.h"

#include "pnm.h"

/* What the program calls of a network. */
typedef struct network {
    const char *name;
    tvmsr_status (*get_info)(tvmsr_info *);
    tvmsr_status (*open)(const tvmsr_options *, tvmsr_session **);
    void (*open_error)(char *, size_t);
    tvmsr_status (*upscale)(tvmsr_session *, const tvmsr_picture *, const tvmsr_picture *, tvmsr_progress, void *);
    const char *(*error)(const tvmsr_session *);
    void (*close)(tvmsr_session *);
} network;

static const network networks[2] = {
    {"one", one_get_info, one_open, one_open_error, one_upscale, one_error, one_close},
    {"two", two_get_info, two_open, two_open_error, two_upscale, two_error, two_close},
};

static int upscale(const network *net, const tvmsr_picture *in, tvmsr_picture *out) {
    tvmsr_info info = {.struct_size = sizeof info};
    net->get_info(&info);
    if (!pnm_scaled(in, info.scale, out)) return 0;
    tvmsr_session *session = NULL;
    if (net->open(NULL, &session) != TVMSR_OK) {
        char text[256];
        net->open_error(text, sizeof text);
        fprintf(stderr, "%s: cannot be opened: %s\n", net->name, text);
        return 0;
    }
    const int good = net->upscale(session, in, out, NULL, NULL) == TVMSR_OK;
    if (!good) fprintf(stderr, "%s: cannot upscale: %s\n", net->name, net->error(session));
    net->close(session);
    return good;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s IN.ppm ONE.ppm TWO.ppm\n", argv[0]);
        return 2;
    }
    tvmsr_picture in = {0};
    int result = 0;
    if (!pnm_read(argv[1], &in)) {
        fprintf(stderr, "%s: not a PPM or PGM picture with 8 bits a sample\n", argv[1]);
        result = 1;
    }
    for (int i = 0; i < 2 && result == 0; i++) {
        tvmsr_picture out = {0};
        if (!upscale(&networks[i], &in, &out)) {
            result = 1;
        } else if (!pnm_write(argv[2 + i], &out)) {
            fprintf(stderr, "%s: cannot be written\n", argv[2 + i]);
            result = 1;
        }
        free(out.planes[0]);
    }
    free(in.planes[0]);
    return result;
}
