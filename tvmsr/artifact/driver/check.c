/* The tables are made by a program, but from a plan that people may edit and by code that may be wrong: what would make
 * the driver read or write outside of its memory is looked at once, at open. */
#include "colour.h"
#include "session.h"

static const char *check_buffer(const sr_buffer *buffer) {
    const uint32_t bytes = buffer->form == SR_FORM_U16 || buffer->form == SR_FORM_S16 ? 2 : 1;
    if (buffer->form > SR_FORM_S16) return "unknown form of a buffer";
    if (buffer->ratio_num == 0 || buffer->ratio_den == 0) return "a buffer without a ratio";
    if (buffer->channels == 0 || buffer->pitch < buffer->channels * bytes) return "a buffer's pixels overlap";
    if (buffer->pitch > 1u << 20) return "a buffer's pixels are too wide";
    return NULL;
}

static const char *check_step(const sr_model *model, const sr_level *level, const sr_step *step) {
    if (step->kernel == NULL || step->block == NULL || step->params == NULL) return "a step without a kernel or parameters";
    if (step->stores < 1 || sr_operand_count(step) > SR_MAX_OPERANDS) return "a step's number of operands";
    if (step->stride < 1 || step->extent < 1 || step->granule_rows < 1) return "a step's geometry";
    if (step->layer >= (int32_t)model->layer_count || (step->layer < 0 && step->weights != NULL)) return "a step's layer";
    for (int o = 0; o < sr_operand_count(step); o++) {
        const sr_operand *operand = &step->operands[o];
        if (operand->buffer >= level->buffer_count) return "an operand's buffer";
        if (operand->block < 1 || (operand->block > 1 && !sr_is_store(step, o))) return "an operand's block";
        if (operand->offset >= level->buffers[operand->buffer].pitch) return "an operand's offset";
    }
    if (step->pad_left > level->buffers[step->operands[0].buffer].border) return "a border narrower than the padding";
    for (uint32_t c = 0; c < model->choices; c++) {
        if (step->params[c] >= model->data_bytes) return "a step's parameters";
    }
    return NULL;
}

const char *sr_check_level(const sr_model *model, const sr_level *level) {
    if (model->version != SR_PROGRAM_VERSION) return "tables of another version";
    if (model->scale < 1 || model->scale > SR_MAX_SCALE || model->choices < 1) return "scale or choices";
    if (level->input >= level->buffer_count || level->output >= level->buffer_count) return "input or output buffer";
    const sr_buffer *in = &level->buffers[level->input], *out = &level->buffers[level->output];
    if (in->channels != 3 || in->form > SR_FORM_S8 || in->ratio_num != in->ratio_den) return "the input buffer";
    if (out->channels != (model->colour == SR_COLOUR_Y ? 1u : 3u) || out->form != SR_FORM_U8) return "the output buffer";
    if (out->ratio_num != model->scale * out->ratio_den) return "the output's ratio";
    for (uint32_t i = 0; i < model->layer_count; i++) {
        const sr_layer *layer = &model->layers[i];
        if (layer->offset > model->data_bytes || layer->bytes > model->data_bytes - layer->offset) return "a layer's weights";
    }
    const char *wrong = NULL;
    for (uint32_t i = 0; i < level->buffer_count && wrong == NULL; i++) wrong = check_buffer(&level->buffers[i]);
    for (uint32_t i = 0; i < level->step_count && wrong == NULL; i++) wrong = check_step(model, level, &level->steps[i]);
    return wrong;
}
