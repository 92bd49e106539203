/* The tables are made by a program, but files get cut, copied and edited: what would make the driver or the packer read or
 * write outside of its memory is looked at once, at open, before anything is read through it. Parameters are proven where they
 * are unfolded, packing.c, and with them what all steps take together. Of kernels, which are code, nothing can be proven; the
 * checksum of the data and the check pictures are for them. */
#include <string.h>

#include "checksum.h"
#include "colour.h"
#include "complexity.h"
#include "memory.h"
#include "session.h"
#include "small.h"
#include "steps.h"
#include "tiles.h"

SR_SMALL

/* No layout of a real network comes near. Three such numbers multiplied fit 64 bits. */
#define MOST_CHANNELS (1 << 20)

#define MOST_OFFSET 512 /* of transformed bytes: twice what any has */
#define MOST_CHECK_PIXELS (1u << 20)

/* Numbers of extents: with them, 64 bits hold what comes of any side below 2^31. */
#define MOST_TIMES (1 << 20)
#define MOST_PLUS (1 << 30)
#define MOST_AFFINES 64
#define MOST_MINIMUM (1u << 16)

static int in_data(const sr_model *model, uint64_t offset, uint64_t bytes) {
    return offset <= model->data_bytes && bytes <= model->data_bytes - offset;
}

static int between(int32_t value, int32_t low, int32_t high) { return low <= value && value <= high; }

static const char *check_extents(const sr_model *model) {
    if (model->extents == NULL || model->extent_count == 0) return "it has no extents";
    if (model->affines == NULL && model->affine_count > 0) return "an extent";
    for (uint32_t i = 0; i < model->extent_count; i++) {
        const sr_extent *extent = &model->extents[i];
        if (extent->count > MOST_AFFINES || extent->first > model->affine_count) return "an extent";
        if (extent->count > model->affine_count - extent->first) return "an extent";
    }
    for (uint32_t i = 0; i < model->affine_count; i++) {
        const sr_affine *affine = &model->affines[i];
        if (!between(affine->times, 0, MOST_TIMES) || !between(affine->plus, -MOST_PLUS, MOST_PLUS)) return "an extent";
        if (!between(affine->by, 1, MOST_TIMES)) return "an extent";
    }
    return NULL;
}

static const char *check_buffer(const sr_model *model, const sr_buffer *buffer) {
    if (buffer->form > SR_FORM_S16) return "unknown form of a buffer";
    if (buffer->rows >= model->extent_count || buffer->columns >= model->extent_count) return "a buffer's size";
    if (buffer->mode > SR_PAD_REFLECT) return "what lies beside a buffer";
    if (buffer->pitch % (uint32_t)sr_code_bytes(buffer) != 0) return "a buffer's pixels are cut";
    if (buffer->channels == 0 || buffer->channels > MOST_CHANNELS) return "a buffer's channels";
    if (buffer->pitch < buffer->channels * (uint32_t)sr_code_bytes(buffer)) return "a buffer's pixels overlap";
    if (buffer->pitch > 1u << 20) return "a buffer's pixels are too wide";
    return NULL;
}

static const char *check_layer(const sr_model *model, const sr_layer *layer) {
    if (layer->bits < 2 || layer->bits > 8) return "a layer's bits";
    return in_data(model, layer->offset, layer->bytes) ? NULL : "a layer's weights lie outside of the data";
}

/* Bytes that the packer writes, saturated. */
static uint64_t packed_bytes(const tvmsr_weight_layout *w) {
    const uint64_t side = (uint64_t)w->transform + 2, block = (uint64_t)w->vectors * (uint64_t)w->lanes;
    const uint64_t points = w->transform ? side * side : (uint64_t)w->kernel_h;
    const uint64_t factors[] = {(uint64_t)w->steps, (uint64_t)w->halves, (uint64_t)w->depth, (uint64_t)w->element_bytes};
    uint64_t bytes = sr_times((uint64_t)w->runs, block);
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) bytes = sr_times(bytes, factors[i]);
    if (bytes > INT32_MAX) return bytes;
    if (w->transform == 2 && w->element_bytes == 1) bytes += 4 * block;
    return sr_times(sr_times(bytes, points), sr_times((uint64_t)w->groups, (uint64_t)w->blocks));
}

/* Of a transform, or that it is none. */
static const char *check_transform(const tvmsr_weight_layout *w) {
    if (w->transform == 0) return w->offset != 0 || w->centre != 0 ? "a transform of weights" : NULL;
    if (w->transform != 2 && w->transform != 4) return "a transform of weights";
    if (w->kernel_h != 3 || w->kernel_w != 3 || w->groups != 1) return "a transform of weights";
    if (w->runs != 1 || w->tap_pitch != 0) return "a transform of weights";
    if ((int64_t)w->steps * w->halves * w->depth < w->inputs) return "a transform of weights does not hold its inputs";
    if (w->element_bytes == 1) {
        const int bytes = w->transform == 2 && between(w->offset, 0, MOST_OFFSET) && between(w->centre, 0, MOST_OFFSET);
        return bytes ? NULL : "a transform of weights";
    }
    const int words = w->element_bytes == 2 && w->depth <= TVMSR_MOST_WORDS && w->offset == 0 && w->centre == 0;
    return words ? NULL : "a transform of weights";
}

/* The layout itself, and that the layer has as many codes as it says. */
static const char *check_weights(const sr_layer *layer, const tvmsr_weight_layout *w) {
    const int32_t sizes[] = {w->kernel_h, w->kernel_w, w->inputs, w->outputs, w->groups, w->runs,
                             w->steps,    w->halves,   w->depth,  w->blocks,  w->vectors, w->lanes};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!between(sizes[i], 1, MOST_CHANNELS)) return "a layout of weights";
    }
    if (!between(w->element_bytes, 1, 2) || !between(w->tap_pitch, 0, MOST_CHANNELS)) return "a layout of weights";
    if (w->depth > TVMSR_MOST_DEPTH || w->halves > TVMSR_MOST_HALVES) return "a layout of weights";
    const char *wrong = check_transform(w);
    if (wrong != NULL) return wrong;
    uint64_t codes = (uint64_t)w->kernel_h * (uint64_t)w->kernel_w * (uint64_t)w->inputs;
    codes = sr_times(codes, (uint64_t)w->outputs);
    if (packed_bytes(w) > INT32_MAX || codes > INT32_MAX) return "a layout of weights is too large";
    const int64_t width = w->outputs / w->groups, block = (int64_t)w->vectors * w->lanes;
    if (w->outputs % w->groups != 0 || (w->blocks - 1) * block >= width || w->blocks * block < width) {
        return "a layout of weights does not hold its channels";
    }
    return (layer->bits > 4 ? codes : (codes + 1) / 2) > layer->bytes ? "a layer has fewer weights than its step" : NULL;
}

static const char *check_block(const sr_step *step) {
    const tvmsr_param_layout *l = step->block;
    const tvmsr_weight_layout *w = step->weights;
    if (l == NULL) return NULL; /* plain parameters, as many as the kind says */
    if (!between(l->outputs, 1, MOST_CHANNELS) || !between(l->groups, 1, MOST_CHANNELS)) return "a layout of parameters";
    if (!between(l->positions, 1, MOST_CHANNELS) || !between(l->scalars, 0, 64)) return "a layout of parameters";
    if (!between(l->arrays, 0, 64) || l->outputs % l->groups != 0) return "a layout of parameters";
    if (l->positions < l->outputs / l->groups) return "a layout of parameters does not hold its channels";
    if ((int64_t)l->groups * l->positions > MOST_CHANNELS) return "a layout of parameters is too large";
    if (l->has_table && l->scalars < 3) return "a table without its numbers";
    if (l->has_start && (w == NULL || l->arrays < 1 || l->scalars < 1)) return "start values without weights";
    return l->has_start && w->outputs != l->outputs ? "weights and parameters of different widths" : NULL;
}

static const char *check_operand(const sr_program *program, const sr_step *step, int o) {
    const sr_operand *operand = &step->operands[o];
    if (operand->buffer >= program->buffer_count) return "an operand's buffer";
    /* Only a store has a block; 0 is a 1x1 map beside x. */
    const int beside = o > 0 && !sr_is_store(step, o);
    if (operand->block < (beside ? 0 : 1) || (operand->block > 1 && !sr_is_store(step, o))) return "an operand's block";
    const sr_buffer *buffer = &program->buffers[operand->buffer];
    if (operand->offset >= buffer->pitch || operand->offset % (uint32_t)sr_code_bytes(buffer) != 0) return "an operand's offset";
    if (!sr_is_store(step, o)) return NULL;
    const sr_stored *stored = &step->stored[o - 1 - step->residuals];
    if (stored->tensor == NULL || stored->channels > buffer->channels) return "what a store holds";
    const uint64_t end = operand->offset + (uint64_t)stored->channels * (uint64_t)sr_code_bytes(buffer);
    return end > buffer->pitch ? "what a store holds" : NULL;
}

/* A step of the driver's own reads and stores as many channels as it says; statistics alone have several stores. */
static const char *check_spatial(const sr_program *program, const sr_step *step) {
    if (step->kind == SR_KERNEL) return step->spatial != NULL ? "a kernel that is no kernel" : NULL;
    if (step->spatial == NULL || step->block != NULL || step->layer >= 0) return "a step without its numbers";
    if (step->residuals != 0 || (step->stores != 1 && step->kind != SR_STATISTIC)) return "a step's number of operands";
    const uint32_t channels = step->spatial->channels;
    const sr_operand *x = &step->operands[0];
    const sr_buffer *buffer = &program->buffers[x->buffer];
    if (channels < 1 || channels > MOST_CHANNELS) return "a step's channels";
    for (uint32_t s = 0; s < step->stores; s++) {
        if (channels != step->spatial[s].channels || channels != step->stored[s].channels) return "a step's channels";
        if (step->operands[1 + s].block != 1) return "an operand's block";
    }
    return x->offset + (uint64_t)channels * (uint64_t)sr_code_bytes(buffer) > buffer->pitch ? "a step's channels" : NULL;
}

static const char *check_geometry(const sr_program *program, const sr_step *step) {
    if (step->stride < 1 || step->extent < 1 || step->extent_columns < 1) return "a step's geometry";
    if (step->granule_rows < 1 || step->granule_columns < 1) return "a step's geometry";
    const int border = program->buffers[step->operands[0].buffer].border;
    return step->kind == SR_KERNEL && (step->pad_left > border || step->pad_right > border)
               ? "a border narrower than the padding" : NULL;
}

static const char *check_step(const sr_model *model, const sr_program *program, const sr_step *step) {
    if (step->name == NULL || step->operands == NULL) return "a step without a kernel";
    if (step->kind >= SR_KINDS || SR_KIND[step->kind] == NULL) return "a step's kind";
    if (step->stored == NULL) return "a step without parameters";
    if (step->kind == SR_KERNEL && step->block == NULL) return "a step without parameters";
    if (step->stores < 1 || sr_operand_count(step) > SR_MAX_OPERANDS) return "a step's number of operands";
    if (step->layer >= (int32_t)model->layer_count || (step->layer < 0) != (step->weights == NULL)) return "a step's layer";
    const char *wrong = NULL;
    for (int o = 0; o < sr_operand_count(step) && wrong == NULL; o++) wrong = check_operand(program, step, o);
    if (wrong == NULL) wrong = check_spatial(program, step);
    if (wrong == NULL) wrong = SR_KIND[step->kind]->check(step);
    if (wrong == NULL) wrong = check_geometry(program, step);
    if (wrong == NULL && step->weights != NULL) wrong = check_weights(&model->layers[step->layer], step->weights);
    return wrong != NULL ? wrong : check_block(step);
}

/* What comes behind a name and its colon in the manifest, or NULL. Text in JSON has no quote without a backslash in front:
 * what is found is a whole string, and a name where a colon follows. */
static const char *manifest_value(const char *name) {
    for (const char *at = strstr(sr_manifest, name); at != NULL; at = strstr(at, name)) {
        for (at += strlen(name); *at == ' '; at++) {
        }
        if (*at == ':') return at + 1;
    }
    return NULL;
}

/* The manifest's number of that name, or -1 where it has none. */
static int64_t manifest_number(const char *name) {
    const char *at = manifest_value(name);
    if (at == NULL) return -1;
    while (*at == ' ') at++;
    int64_t value = -1;
    for (; *at >= '0' && *at <= '9' && value < INT64_MAX / 16; at++) value = (value < 0 ? 0 : value * 10) + (*at - '0');
    return value < 0 ? INT64_MAX : value;
}

static const char *check_data(const sr_model *model) {
    const uint64_t bytes = (uint64_t)((uintptr_t)sr_data_end - (uintptr_t)sr_data);
    if (model->data != sr_data || model->data_bytes != bytes) return "its data are not as long as its tables say";
    const int64_t promised = manifest_number("\"data_size\"");
    if (promised >= 0 && (uint64_t)promised != bytes) return "its data are not as long as its manifest says";
    return sr_data_checksum(model->data, bytes) == model->data_checksum ? NULL : "its data were changed";
}

uint32_t sr_level_count(const sr_model *model) {
    uint32_t count = 0;
    while (model->levels != NULL && count < model->level_count && model->levels[count].name != NULL) count++;
    return count;
}

uint32_t sr_choice_count(const sr_model *model) {
    uint32_t count = 0;
    while (model->choice_names != NULL && count < model->choices && model->choice_names[count] != NULL) count++;
    return count;
}

static const char *check_levels(const sr_model *model) {
    const uint32_t count = sr_level_count(model);
    if (count < 1) return "it has no level";
    if (count != model->level_count || model->levels[count].name != NULL) return "its number of levels";
    for (uint32_t i = 0; i < model->level_count; i++) {
        const sr_level *level = &model->levels[i];
        if (level->programs == NULL) return "a level without programs";
        if (level->needs == NULL) return "a level without what it needs";
        for (const char *const *need = level->needs; *need != NULL; need++) {
            if (**need == '\0') return "a level needs a feature that has no name";
        }
    }
    return NULL;
}

static const char *check_checks(const sr_model *model) {
    for (uint32_t i = 0; i < model->check_count; i++) {
        const sr_check *check = &model->checks[i];
        if (check->width < 1 || check->height < 1 || check->choice >= model->choices) return "a check picture";
        if ((uint64_t)check->width * check->height > MOST_CHECK_PIXELS) return "a check picture's size";
    }
    return NULL;
}

/* Ascending, and the last one is for any picture. */
static const char *check_bounds(const sr_model *model) {
    if (model->bound_count == 0) return NULL;
    if (model->bounds == NULL) return "what it chooses by";
    for (uint32_t i = 0; i < model->bound_count; i++) {
        if (model->bounds[i].choice >= model->choices) return "what it chooses by";
        if (i > 0 && model->bounds[i].below <= model->bounds[i - 1].below) return "what it chooses by";
    }
    return model->bounds[model->bound_count - 1].below <= SR_MOST_COMPLEXITY ? "what it chooses by" : NULL;
}

/* Bands of neighbouring borders must not meet, and pieces begin at multiples of a grid. */
static const char *check_tiles(const sr_model *model) {
    if (model->tile == 0) return NULL;
    if (!SR_TILES || model->bound_count == 0) return "its tiles";
    if (model->tile > SR_MOST_TILE || model->band < 2 || model->band > SR_MOST_BAND) return "its tiles";
    if (model->band % 2 != 0 || model->band > model->tile || model->grid < 1) return "its tiles";
    return NULL;
}

const char *sr_check_model(const sr_model *model) {
    if (model->version != SR_PROGRAM_VERSION) return "tables of another version";
    if (model->scale < 1 || model->scale > SR_MAX_SCALE) return "its scale";
    if (model->colour > SR_COLOUR_Y) return "its colour";
    if (model->choices < 1 || model->choices > 256 || model->layer_count > INT32_MAX) return "its choices or layers";
    if (sr_choice_count(model) != model->choices || model->choice_names[model->choices] != NULL) return "its choices";
    if (model->minimum_height < 1 || model->minimum_height > MOST_MINIMUM) return "its smallest picture";
    if (model->minimum_width < 1 || model->minimum_width > MOST_MINIMUM) return "its smallest picture";
    if (model->multiple < 1 || model->multiple > MOST_MINIMUM || model->grid > INT32_MAX) return "its smallest picture";
    const char *wrong = check_extents(model);
    if (wrong == NULL) wrong = check_levels(model);
    if (wrong == NULL) wrong = check_bounds(model);
    if (wrong == NULL) wrong = check_tiles(model);
    if (wrong == NULL) wrong = check_checks(model);
    for (uint32_t i = 0; i < model->layer_count && wrong == NULL; i++) wrong = check_layer(model, &model->layers[i]);
    return wrong != NULL ? wrong : check_data(model);
}

static const char *check_program(const sr_model *model, const sr_program *program) {
    if (program->buffers == NULL || program->steps == NULL) return "a program without steps";
    if (program->input >= program->buffer_count || program->output >= program->buffer_count) return "input or output buffer";
    const sr_buffer *in = &program->buffers[program->input], *out = &program->buffers[program->output];
    if (in->channels != 3 || in->form > SR_FORM_S8) return "the input buffer";
    if (out->channels != (model->colour == SR_COLOUR_Y ? 1u : 3u) || out->form != SR_FORM_U8) return "the output buffer";
    const char *wrong = NULL;
    for (uint32_t i = 0; i < program->buffer_count && wrong == NULL; i++) wrong = check_buffer(model, &program->buffers[i]);
    for (uint32_t i = 0; i < program->step_count && wrong == NULL; i++) wrong = check_step(model, program, &program->steps[i]);
    if (wrong != NULL) return wrong;
    /* Sizes are looked at again for every picture; most contradictions show at some small ones. */
    static const uint32_t MORE[] = {0, 1, 7};
    for (size_t i = 0; i < sizeof MORE / sizeof *MORE && wrong == NULL; i++) {
        const int64_t more = (int64_t)MORE[i] * model->multiple;
        wrong = sr_sizes_wrong(program, sr_padded(model->minimum_height + more, 1, model->multiple),
                               sr_padded(model->minimum_width + more, 1, model->multiple));
    }
    return wrong;
}

const char *sr_check_level(const sr_model *model, const sr_level *level) {
    const char *wrong = NULL;
    for (uint32_t i = 0; i < model->choices && wrong == NULL; i++) wrong = check_program(model, &level->programs[i]);
    if (wrong == NULL && level->programs[model->choices].buffers != NULL) wrong = "a level's number of programs";
    return wrong;
}

SR_SMALL_END
