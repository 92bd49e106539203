/* What forge.c lies about: one network with weights and a table, in memory that may be changed, and how a lie is looked at. */
#ifndef FORGE_TABLES_H
#define FORGE_TABLES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The driver's files see constants; here they are changed. */
#define sr_the_model sr_the_constant_model
#include "checksum.h"
#include "plain.h"
#include "program.h"
#undef sr_the_model
#include "tvmsr.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, current, #condition); \
            exit(1); \
        } \
    } while (0)

enum { DATA = 256, WEIGHTS = 0, PARAMS = 64, TABLE = 20, MANIFEST = 127 };

extern unsigned char forge_data[];
extern char forge_manifest[];

static const char *current = "nothing yet";

/* Takes the picture over as it is. */
static void copy(void *x, const int32_t *xr, void *y, const int32_t *yr, const void *w, const void *p, void *s,
                 int32_t row0, int32_t row1, int32_t col0, int32_t col1) {
    (void)w, (void)p, (void)s;
    for (int32_t r = row0; r < row1; r++) {
        memcpy((uint8_t *)y + yr[r] + col0 * 3, (uint8_t *)x + xr[r] + col0 * 3, (size_t)(col1 - col0) * 3);
    }
}

typedef struct {
    sr_buffer buffers[2];
    sr_operand operands[2];
    sr_stored stored[1];
    sr_layer layer;
    tvmsr_weight_layout weights;
    tvmsr_param_layout block;
    sr_spatial spatial;
    const char *needs[2];
    sr_affine affines[2];
    sr_extent extents[2];
    sr_check check;
    sr_step step;
    sr_bound bounds[2];
    sr_program programs[3];
    sr_level levels[2];
} tables;

static const char *const CHOICES[] = {"default", 0};
static tables t;
static int32_t named; /* choices that have names */
sr_model sr_the_model;

/* 1x1 convolution of 3 to 3 channels, packed for 4 lanes; parameters: scalars x_zero, length, two zeros; bias, m; table. */
static const tables WHOLE = {
    .buffers = {{"input", 3, 3, 0, 0, 0, SR_FORM_U8, 8, 0, 0, 0}, {"output", 3, 3, 1, 1, 0, SR_FORM_U8, 8, 0, 0, 0}},
    .operands = {{0, 1, 0}, {1, 1, 0}},
    .stored = {{"output", 0, 3}},
    .layer = {"conv", WEIGHTS, 9, 8},
    .weights = {1, 1, 1, 3, 3, 1, 0, 1, 3, 1, 1, 1, 1, 4},
    .block = {3, 1, 4, 4, 2, 1, 1},
    .check = {3, 5, 4, 0, 0},
    .affines = {{2, 3, 1}, {1, -3, 2}},
    .extents = {{0, 0}, {0, 2}},
    .step = {"conv", (sr_kernel)copy, 0, SR_KERNEL, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 9, 0, 0, 0, PARAMS, 0},
    .bounds = {{1000, 0}, {UINT32_MAX, 0}},
    .programs = {{0, 0, 2, 1, 0, 1}, {0}},
    .levels = {{"only", 0, 0}, {0}},
};

static void put(int at, int32_t value) { memcpy(forge_data + at, &value, sizeof value); }

static uint64_t picture_checksum(void) {
    const sr_codes codes = {3, 3, 1, 0, 5};
    uint8_t pixels[5 * 4 * 3];
    uint64_t sum = 0;
    sr_seeded_picture(3, 5, 4, pixels);
    for (int row = 0; row < 4; row++) sum += sr_row_checksum(&codes, pixels + row * 15, (uint64_t)row);
    return sum;
}

static void restore(void) {
    memset(forge_data, 1, DATA);
    put(PARAMS, 0);
    put(PARAMS + 4, TABLE);
    snprintf(forge_manifest, MANIFEST, "{\"model\":\"data_size\",\"y\":\"\\\"data_size\\\":7\",\"data_size\" : %d,\"x\":1}", DATA);
    t = WHOLE;
    named = 1;
    t.check.checksum = picture_checksum();
    t.step.operands = t.operands;
    t.step.stored = t.stored;
    t.step.weights = &t.weights;
    t.step.block = &t.block;
    t.levels[0].needs = t.needs;
    t.levels[0].programs = t.programs;
    t.programs[0].buffers = t.buffers;
    t.programs[0].steps = &t.step;
    sr_the_model = (sr_model){SR_PROGRAM_VERSION, 1, SR_COLOUR_RGB, 0, 1, 1, 1, 1, 1, 1, 2, 2, 1, 0, 0, CHOICES, t.bounds, 2, t.extents, t.affines,
                              &t.layer, t.levels, forge_data, DATA, sr_data_checksum(forge_data, DATA), &t.check, 1, 0, 0, 0};
}

/* What is said of a file before it is opened. */
static void look_at_file(void) {
    tvmsr_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(tvmsr_get_info(&info) == TVMSR_OK && info.levels <= 2 && info.choices <= named);
    for (int32_t i = 0; i < 9; i++) {
        CHECK((tvmsr_level_name(i) != NULL) == (i < info.levels));
        CHECK((tvmsr_choice_name(i) != NULL) == (i < info.choices));
        CHECK(tvmsr_level_runs(i) == 0 || i < info.levels);
    }
}

static tvmsr_status open_file(void) {
    look_at_file();
    tvmsr_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.threads = 1;
    options.self_check = 1;
    tvmsr_session *session = NULL;
    const tvmsr_status status = tvmsr_open(&options, &session);
    uint64_t bytes = 0;
    if (status == TVMSR_OK) CHECK(tvmsr_workspace(session, 7, 5, &bytes) == TVMSR_OK && bytes > 0);
    CHECK((status == TVMSR_OK) == (session != NULL));
    tvmsr_close(session);
    return status;
}

static void expect(tvmsr_status expected, const char *words) {
    char text[256] = "";
    const tvmsr_status status = open_file();
    tvmsr_open_error(text, sizeof text);
    if (status != expected || (expected != TVMSR_OK && strstr(text, words) == NULL)) {
        fprintf(stderr, "%s: status %d, not %d: %s\n", current, status, expected, text);
        exit(1);
    }
    restore();
}

#define LIE(change, words) \
    do { \
        current = #change; \
        change; \
        expect(TVMSR_DAMAGED, words); \
    } while (0)

/* The same, of the data: its checksum is made to fit. */
#define LIE_IN_DATA(change, words) \
    LIE((change, sr_the_model.data_checksum = sr_data_checksum(forge_data, DATA)), words)

#endif
