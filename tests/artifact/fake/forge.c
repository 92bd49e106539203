/* Files that lie: one network with weights and a table, whose tables are changed before each tvmsr_open. Every lie must be
 * TVMSR_DAMAGED, and nothing may be read or written outside, which a sanitizer sees.
 */
#include "forge_tables.h"

static void check_data(void) {
    LIE(forge_data[200] ^= 1, "data were changed");
    LIE(forge_data[255] ^= 128, "data were changed");
    LIE(sr_the_model.data_checksum++, "data were changed");
    LIE(sr_the_model.data_bytes = 128, "as its tables say");
    LIE(sr_the_model.data_bytes = 1 << 30, "as its tables say");
    LIE(sr_the_model.data = forge_data + 64, "as its tables say");
    LIE(strcpy(forge_manifest, "{\"data_size\":257}"), "as its manifest says");
    LIE(strcpy(forge_manifest, "{\"data_size\": 99999999999999999999999}"), "as its manifest says");
    LIE(strcpy(forge_manifest, "{\"data_size\":-256}"), "as its manifest says");
    LIE(strcpy(forge_manifest, "{\"data_size\":"), "as its manifest says");
    current = "a manifest without a size";
    strcpy(forge_manifest, "{}");
    expect(TVMSR_OK, "");
}

static void check_layers(void) {
    LIE(t.layer.offset = DATA - 8, "outside of the data");
    LIE(t.layer.offset = UINT64_MAX - 4, "outside of the data");
    LIE(t.layer.bytes = DATA + 1, "outside of the data");
    LIE(t.layer.bytes = 8, "fewer weights");
    LIE(t.layer.bits = 1, "bits");
    LIE(t.layer.bits = 9, "bits");
    LIE(t.step.layer = 1, "layer");
    LIE(t.step.layer = -1, "layer");
    LIE(t.step.weights = NULL, "layer");
    LIE(t.weights.kernel_h = 1 << 15, "fewer weights");
    LIE(t.weights.outputs = 5, "hold its channels");
    LIE(t.weights.blocks = 2, "hold its channels");
    LIE(t.weights.groups = 2, "hold its channels");
    LIE((t.weights.kernel_h = t.weights.kernel_w = t.weights.runs = 1 << 20), "too large");
    LIE(t.weights.depth = 0, "layout of weights");
    LIE(t.weights.lanes = -4, "layout of weights");
    LIE(t.weights.element_bytes = 4, "layout of weights");
    LIE(t.weights.tap_pitch = -1, "layout of weights");
    LIE(t.weights.depth = 9, "layout of weights");
    LIE(t.weights.halves = 5, "layout of weights");
    LIE(t.weights.transform = 2, "transform");
    LIE(t.weights.offset = 1, "transform");
    LIE(t.weights.centre = 1, "transform");
}

/* The layer as a 3x3 convolution whose weights are transformed: its codes reach over the parameters, which only its size
 * is about. Its kernel takes the picture over as the other does. */
static void transform(int32_t m) {
    t.layer.bytes = 81;
    t.weights = (tvmsr_weight_layout){m == 2 ? 1 : 2, 3, 3, 3, 3, 1, 0, 1, 2, 1, 2, 1, 1, 4, m, m == 2 ? 126 : 0, m == 2 ? 384 : 0};
}

#define TRANSFORM_LIE(m, change, words) LIE((transform(m), change), words)

static void check_transforms(void) {
    for (int32_t m = 2; m <= 4; m += 2) {
        current = "a transform";
        transform(m);
        expect(TVMSR_OK, "");
        TRANSFORM_LIE(m, t.layer.bytes = 80, "fewer weights");
        TRANSFORM_LIE(m, t.weights.transform = 3, "transform of weights");
        TRANSFORM_LIE(m, t.weights.transform = 5, "transform of weights");
        if (m == 2) TRANSFORM_LIE(m, t.weights.transform = 4, "transform of weights"); /* of bytes */
        TRANSFORM_LIE(m, t.weights.transform = -m, "transform of weights");
        TRANSFORM_LIE(m, t.weights.transform = 1 << 30, "transform of weights");
        TRANSFORM_LIE(m, t.weights.kernel_h = 2, "transform of weights");
        TRANSFORM_LIE(m, t.weights.kernel_w = 4, "transform of weights");
        TRANSFORM_LIE(m, t.weights.groups = 3, "transform of weights");
        TRANSFORM_LIE(m, t.weights.runs = 3, "transform of weights");
        TRANSFORM_LIE(m, t.weights.tap_pitch = 3, "transform of weights");
        TRANSFORM_LIE(m, t.weights.element_bytes = 3 - t.weights.element_bytes, "transform of weights");
        TRANSFORM_LIE(m, t.weights.steps = 1, "hold its inputs");
        TRANSFORM_LIE(m, t.weights.offset = -1, "transform of weights");
        TRANSFORM_LIE(m, t.weights.centre = 513, "transform of weights");
        TRANSFORM_LIE(m, t.weights.blocks = 2, "hold its channels");
        TRANSFORM_LIE(m, t.weights.lanes = 2, "hold its channels");
        TRANSFORM_LIE(m, (t.weights.steps = 1 << 20, t.weights.lanes = 1 << 20), "too large");
        TRANSFORM_LIE(m, t.weights.lanes = 1 << 20 | 1, "layout of weights");
        TRANSFORM_LIE(m, (t.weights.lanes = 1 << 20, t.weights.vectors = 1 << 6), "too large");
    }
    TRANSFORM_LIE(4, t.weights.depth = 5, "transform of weights");
    TRANSFORM_LIE(4, t.weights.offset = 126, "transform of weights");
    current = "a transform as deep as there is room for, by bytes and by words";
    transform(2), t.weights.depth = 8, t.weights.halves = 4;
    expect(TVMSR_OK, "");
    transform(4), t.weights.depth = 4, t.weights.halves = 4;
    expect(TVMSR_OK, "");
}

static void check_parameters(void) {
    LIE(t.step.params = DATA - 4, "outside of the data");
    LIE(t.step.params = UINT64_MAX - 3, "outside of the data");
    LIE(t.step.params = 66, "outside of the data");
    LIE(t.step.params = 220, "outside of the data");
    LIE_IN_DATA(put(PARAMS + 4, -1), "length of a table");
    LIE_IN_DATA(put(PARAMS + 4, INT32_MIN), "length of a table");
    LIE_IN_DATA(put(PARAMS + 4, INT32_MAX), "length of a table");
    LIE_IN_DATA(put(PARAMS + 4, 4096), "table lies outside");
    LIE(t.block.arrays = -1, "layout of parameters");
    LIE(t.block.arrays = 60, "outside of the data");
    LIE(t.block.outputs = 4, "");
    LIE(t.block.outputs = -3, "layout of parameters");
    LIE(t.block.positions = 2, "hold its channels");
    LIE((t.block.groups = 3, t.block.positions = 1 << 20), "too large");
    LIE(t.block.scalars = 2, "table without");
    LIE(t.step.block = NULL, "without parameters");
}

/* Words in the short form, all of them 7; returns where they end in the data. */
static int put_runs(int at, int32_t words) {
    for (; words > 0; words -= UINT16_MAX, at += 7) {
        const int count = words < UINT16_MAX ? words : UINT16_MAX;
        const unsigned char head[] = {31 << 3 | 1, (unsigned char)count, (unsigned char)(count >> 8)};
        memcpy(forge_data + at, head, sizeof head);
        put(at + 3, 7);
    }
    return at;
}

/* A table of 384 KiB, unfolded and packed, from 60 bytes of the file. */
static void long_table(void) {
    const int32_t words[10] = {0, SR_MOST_TABLE};
    forge_data[PARAMS] = 10 << 3;
    memcpy(forge_data + PARAMS + 1, words, sizeof words);
    put_runs(PARAMS + 1 + (int)sizeof words, SR_MOST_TABLE / 2);
    t.step.params = PARAMS | SR_SHORT;
}

static sr_step same[3];
static sr_program many[257];
static const char *names[257];

/* The step several times: all read the one layer. */
static void repeat(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) same[i] = t.step;
    t.programs[0].steps = same;
    t.programs[0].step_count = count;
}

/* Choices that are all the same; wide: of a step without weights, whose eight megabytes of parameters each has for itself. */
static void several(uint32_t choices) {
    memset(many, 0, sizeof many);
    for (uint32_t i = 0; i < choices; i++) many[i] = t.programs[0], names[i] = "one";
    names[choices] = NULL;
    named = (int32_t)choices;
    sr_the_model.choices = choices;
    sr_the_model.choice_names = names;
    t.levels[0].programs = many;
}

static void wide_parameters(uint32_t choices) {
    several(choices);
    t.step.params = PARAMS | SR_SHORT;
    t.step.layer = -1;
    t.step.weights = NULL;
    t.block = (tvmsr_param_layout){1 << 20, 1, 1 << 20, 4, 1, 0, 0};
    CHECK(put_runs(PARAMS, 4 + (1 << 20)) <= DATA);
}

/* No step, and no choice, asks for too much by itself. What is refused is refused before memory is asked for. */
static void check_sums(void) {
    LIE((t.weights.lanes = 1 << 20, t.weights.vectors = 1 << 8, repeat(3)), "more than 2 GiB");
    LIE_IN_DATA(wide_parameters(256), "more than 2 GiB");
    LIE_IN_DATA((long_table(), t.weights.lanes = 1048000, t.weights.vectors = 683), "more than 2 GiB");
    current = "choices that share their weights, which would take too much one for each";
    t.weights.lanes = 1 << 20, t.weights.vectors = 1 << 4;
    several(64);
    expect(TVMSR_OK, "");
    current = "several steps, and parameters that are large when they are unfolded";
    repeat(3);
    expect(TVMSR_OK, "");
    wide_parameters(2);
    sr_the_model.data_checksum = sr_data_checksum(forge_data, DATA);
    expect(TVMSR_OK, "");
    long_table();
    sr_the_model.data_checksum = sr_data_checksum(forge_data, DATA);
    expect(TVMSR_OK, "");
}

static void check_steps(void) {
    LIE(t.step.stored = NULL, "without parameters");
    LIE(t.step.kernel = NULL, "without a kernel");
    LIE(t.step.operands = NULL, "without a kernel");
    LIE(t.step.stores = 0, "operands");
    LIE(t.step.stores = 8, "operands");
    LIE(t.step.stride = 0, "geometry");
    LIE(t.step.granule_rows = 0, "geometry");
    LIE(t.step.granule_columns = 0, "geometry");
    LIE(t.step.stride = 2, "different sizes");
    LIE(t.step.pad_left = 1, "border");
    LIE(t.step.pad_right = 1, "border");
    LIE(t.step.pad_top = 1, "different sizes");
    LIE(t.step.pad_bottom = -1, "different sizes");
    LIE(t.step.extent_columns = 0, "geometry");
    LIE(t.step.extent_columns = 2, "different sizes");
    LIE(t.step.kind = SR_KINDS, "kind");
    LIE(t.operands[1].block = 2, "without pixels");
    LIE(t.operands[1].block = 0, "block");
    LIE(t.operands[0].block = 2, "block");
    LIE(t.operands[0].buffer = 2, "buffer");
    LIE(t.operands[1].offset = 3, "offset");
    LIE(t.operands[1].offset = 1, "holds");
    LIE(t.stored[0].channels = 4, "holds");
    LIE(t.stored[0].tensor = NULL, "holds");
    LIE(t.buffers[1].form = SR_FORM_U16, "output");
    LIE(t.buffers[0].form = 7, "input");
    LIE(t.buffers[1].pitch = 2, "overlap");
    LIE(t.buffers[0].rows = 2, "buffer's size");
    LIE(t.buffers[1].columns = UINT32_MAX, "buffer's size");
    LIE(t.buffers[0].mode = 3, "beside a buffer");
    LIE(t.extents[0].count = 1, "the input's size");
    LIE(t.extents[1].count = 1, "the output's size");
    LIE(t.extents[1].count = 65, "extent");
    LIE(t.extents[1].first = 1, "extent");
    LIE(t.extents[1].first = 3, "extent");
    LIE(t.affines[1].by = 0, "extent");
    LIE(t.affines[1].by = -1, "extent");
    LIE(t.affines[0].times = -1, "extent");
    LIE(t.affines[0].plus = INT32_MIN, "extent");
    LIE(t.affines[0].plus = 5, "the output's size");
    LIE(sr_the_model.extent_count = 0, "extents");
    LIE(sr_the_model.extents = NULL, "extents");
    LIE(sr_the_model.affines = NULL, "extent");
    LIE(sr_the_model.affine_count = 1, "extent");
    LIE(sr_the_model.minimum_height = 0, "smallest picture");
    LIE(sr_the_model.minimum_width = 1 << 20, "smallest picture");
    LIE(sr_the_model.multiple = 0, "smallest picture");
}

/* The step as one of the driver's own, of a kind. */
static void become(uint8_t kind) {
    t.step.kind = kind;
    t.step.kernel = NULL;
    t.step.layer = -1;
    t.step.weights = NULL;
    t.step.block = NULL;
    t.step.spatial = &t.spatial;
    t.spatial = (sr_spatial){3, kind == SR_RESIZE ? SR_CUBIC : 0, SR_ALIGN_CORNERS, 0, 0, 0, -128};
    t.check.checksum = 0;
}

/* A check picture of these comes out otherwise than the kernel's: opened they are, and run. */
static void expect_runs(const char *what) {
    current = what;
    expect(TVMSR_CHECK_FAILED, "computes wrongly");
}

#define OWN_LIE(kind, change, words) LIE((become(kind), change), words)

static void check_own_steps(void) {
    for (uint8_t kind = SR_MAX_POOL; kind < SR_KINDS; kind++) {
        if (kind == SR_STATISTIC) continue;
        become(kind);
        expect_runs("a step of the driver's own");
        OWN_LIE(kind, t.step.spatial = NULL, "without its numbers");
        OWN_LIE(kind, t.step.block = &t.block, "without its numbers");
        OWN_LIE(kind, t.spatial.channels = 0, "step's channels");
        OWN_LIE(kind, t.spatial.channels = 4, "step's channels");
        OWN_LIE(kind, t.spatial.channels = UINT32_MAX, "step's channels");
        OWN_LIE(kind, (t.spatial.channels = t.stored[0].channels = 4, t.buffers[1].channels = t.buffers[1].pitch = 4), "output");
        OWN_LIE(kind, (t.step.residuals = 1, t.step.stores = 0), "number of operands");
        OWN_LIE(kind, t.operands[1].block = 2, "block");
        OWN_LIE(kind, t.operands[0].block = 0, "block");
        OWN_LIE(kind, t.operands[0].offset = 1, "step's channels");
        OWN_LIE(kind, t.step.kind = SR_STATISTIC, "different sizes");
    }
    LIE(t.step.spatial = &t.spatial, "no kernel");
    OWN_LIE(SR_MAX_POOL, t.step.pad_top = 1, "pool's padding");
    OWN_LIE(SR_MAX_POOL, t.step.pad_right = -1, "pool's padding");
    OWN_LIE(SR_MAX_POOL, (t.step.extent = 3, t.step.pad_top = 1), "different sizes");
    OWN_LIE(SR_MAX_POOL, t.step.stride = 2, "different sizes");
    OWN_LIE(SR_RESIZE, t.spatial.method = 3, "resize's method");
    OWN_LIE(SR_RESIZE, t.spatial.grid = 3, "resize's method");
    OWN_LIE(SR_RESIZE, t.spatial.cubic = 1 << 20, "resize's method");
    OWN_LIE(SR_RESIZE, t.spatial.numerator = -1, "resize's factor");
    OWN_LIE(SR_RESIZE, t.spatial.numerator = 1, "resize's factor");
    OWN_LIE(SR_RESIZE, (t.spatial.numerator = 1, t.spatial.denominator = 2), "different sizes");
    OWN_LIE(SR_RESIZE, (t.spatial.numerator = INT32_MAX, t.spatial.denominator = INT32_MAX), "resize's factor");
    OWN_LIE(SR_RESIZE, t.step.params = DATA - 4 * 12, "outside of the data");
    OWN_LIE(SR_LAYER_NORM, t.step.params = DATA - 4 * 16, "outside of the data");
    for (uint8_t kind = SR_MAX_POOL; kind < SR_KINDS; kind++) {
        for (int word = 0; word < 18; word++) {
            static const uint32_t ANY[] = {0, 1, 0x7F800000u, 0x7FC00000u, 0x80000000u, 0xFFFFFFFFu, 0x4B000000u};
            for (size_t i = 0; i < sizeof ANY / sizeof *ANY; i++) {
                current = "any number in the parameters of the driver's own";
                become(kind);
                put(PARAMS + 4 * word, (int32_t)ANY[i]);
                sr_the_model.data_checksum = sr_data_checksum(forge_data, DATA);
                const tvmsr_status status = open_file();
                CHECK(status == TVMSR_CHECK_FAILED || status == TVMSR_DAMAGED || status == TVMSR_OK);
                restore();
            }
        }
    }
}

static void check_model(void) {
    LIE(t.levels[0].needs = NULL, "what it needs");
    LIE(t.needs[0] = "", "no name");
    LIE(t.levels[0].name = NULL, "no level");
    LIE(sr_the_model.levels = NULL, "no level");
    LIE(t.levels[1].name = "another", "number of levels");
    LIE(sr_the_model.level_count = 2, "number of levels");
    LIE(sr_the_model.level_count = UINT32_MAX, "number of levels");
    LIE(sr_the_model.level_count = 0, "no level");
    LIE(sr_the_model.version++, "version");
    LIE(sr_the_model.scale = 0, "scale");
    LIE(sr_the_model.scale = 99, "scale");
    LIE(sr_the_model.choices = 0, "choices");
    LIE(sr_the_model.choices = 2, "choices");
    LIE(sr_the_model.choice_names = NULL, "choices");
    LIE(sr_the_model.choice_names++, "choices");
    LIE(sr_the_model.colour = 2, "colour");
    LIE(sr_the_model.bounds = NULL, "chooses by");
    LIE(t.bounds[1].choice = 1, "chooses by");
    LIE(t.bounds[1].below = 1000, "chooses by");
    LIE(t.bounds[1].below = 522240, "chooses by");
    LIE(sr_the_model.bound_count = 1, "chooses by");
    LIE((sr_the_model.tile = 8, sr_the_model.band = 16), "tiles");
    LIE((sr_the_model.tile = 64, sr_the_model.band = 15), "tiles");
    LIE((sr_the_model.tile = 64, sr_the_model.band = 0), "tiles");
    LIE((sr_the_model.tile = 1 << 16, sr_the_model.band = 66), "tiles");
    LIE((sr_the_model.tile = 1u << 31, sr_the_model.band = 16), "tiles");
    LIE((sr_the_model.tile = 64, sr_the_model.band = 16, sr_the_model.grid = 0), "tiles");
    LIE((sr_the_model.tile = 64, sr_the_model.band = 16, sr_the_model.bound_count = 0), "tiles");
    LIE(t.levels[0].programs = NULL, "without programs");
    LIE(t.programs[1] = t.programs[0], "number of programs");
    LIE((several(2), many[1].buffers = NULL), "without steps");
    LIE((several(2), many[1].steps = NULL), "without steps");
    LIE((several(2), many[1].output = 2), "input or output");
    LIE((several(2), many[2] = many[0]), "number of programs");
    LIE(t.check.width = 0, "check picture");
    LIE(t.check.choice = 1, "check picture");
    LIE((t.check.width = 1 << 16, t.check.height = 1 << 16), "check picture");
    current = "a wrong checksum of a check picture";
    t.check.checksum++;
    expect(TVMSR_CHECK_FAILED, "level only computes wrongly");
    current = "no check pictures";
    sr_the_model.check_count = 0;
    expect(TVMSR_BAD_ARGUMENT, "no check pictures");
}

/* Any number in any field: it is opened or it is not, and nothing else happens. `m`: of the weights' transform, or 0. */
static void check_any_number(int32_t m) {
    static const int32_t NUMBERS[] = {INT32_MIN, INT32_MAX, -70000, -1, 0, 1, 2, 3, 4, 5, 63, 64, 257, 70000};
    int32_t *fields[] = {(int32_t *)(void *)&t.weights, (int32_t *)(void *)&t.block};
    const size_t counts[] = {sizeof t.weights / 4, sizeof t.block / 4};
    for (size_t which = 0; which < 2; which++) {
        for (size_t field = 0; field < counts[which]; field++) {
            for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
                current = "any number in a layout";
                if (m != 0) transform(m);
                fields[which][field] = NUMBERS[i];
                const tvmsr_status status = open_file();
                CHECK(status == TVMSR_OK || status == TVMSR_DAMAGED);
                restore();
            }
        }
    }
    for (int at = PARAMS; at < PARAMS + 16; at += 4) {
        for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
            current = "any number in the parameters";
            put(at, NUMBERS[i]);
            sr_the_model.data_checksum = sr_data_checksum(forge_data, DATA);
            const tvmsr_status status = open_file();
            CHECK(status == TVMSR_OK || status == TVMSR_DAMAGED);
            restore();
        }
    }
}

int main(void) {
    restore();
    current = "the whole file";
    expect(TVMSR_OK, "");
    check_data();
    check_layers();
    check_transforms();
    check_parameters();
    check_sums();
    check_steps();
    check_own_steps();
    check_model();
    for (int32_t m = 0; m <= 4; m += 2) check_any_number(m);
    puts("ok");
    return 0;
}
