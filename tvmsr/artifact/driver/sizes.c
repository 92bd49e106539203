#include "sizes.h"

#include "flow.h"
#include "memory.h"
#include "small.h"
#include "steps.h"

SR_SMALL

int64_t sr_extent_of(uint32_t extent, int64_t side) {
    const sr_extent *chain = &sr_the_model.extents[extent];
    for (uint32_t i = 0; i < chain->count; i++) {
        /* Sides stay below 2^31 and check.c looks at the numbers: nothing wraps. */
        const sr_affine *at = &sr_the_model.affines[chain->first + i];
        const int64_t value = side * at->times + at->plus;
        if (value < 0) return 0;
        side = value / at->by;
        if (side > INT32_MAX) return side;
    }
    return side;
}

int64_t sr_padded(int64_t side, uint32_t minimum, uint32_t multiple) {
    return sr_ceil_div(sr_max(side, minimum), multiple) * multiple;
}

sr_shape sr_shape_of(const sr_program *program, const sr_step *step, int64_t height, int64_t width) {
    const sr_operand *store = &step->operands[1 + step->residuals];
    sr_shape shape;
    shape.program = program;
    shape.step = step;
    shape.x = &program->buffers[step->operands[0].buffer];
    shape.y = &program->buffers[store->buffer];
    shape.x_height = sr_extent_of(shape.x->rows, height);
    shape.x_width = sr_extent_of(shape.x->columns, width);
    if (step->kind == SR_STATISTIC) {
        shape.height = shape.x_height;
        shape.width = shape.x_width;
    } else {
        shape.height = sr_extent_of(shape.y->rows, height) / store->block;
        shape.width = sr_extent_of(shape.y->columns, width) / store->block;
    }
    return shape;
}

/* A store holds the grid times its block, what is read beside x the grid or one pixel. A statistic stores one pixel. */
static int operand_fits(const sr_program *program, const sr_shape *shape, int o, int64_t height, int64_t width) {
    const sr_operand *operand = &shape->step->operands[o];
    const sr_buffer *buffer = &program->buffers[operand->buffer];
    const int64_t rows = sr_extent_of(buffer->rows, height), columns = sr_extent_of(buffer->columns, width);
    if (operand->block == 0 || shape->step->kind == SR_STATISTIC) return rows == 1 && columns == 1;
    return rows == shape->height * operand->block && columns == shape->width * operand->block;
}

static const char *step_wrong(const sr_program *program, const sr_step *step, int64_t height, int64_t width) {
    const sr_shape shape = sr_shape_of(program, step, height, width);
    if (sr_min(shape.height, shape.width) < 1 || sr_min(shape.x_height, shape.x_width) < 1) return "a step without pixels";
    for (int o = 1; o < sr_operand_count(step); o++) {
        if (!operand_fits(program, &shape, o, height, width)) return "operands of different sizes";
    }
    return SR_KIND[step->kind]->fits(&shape) ? NULL : "operands of different sizes";
}

const char *sr_sizes_wrong(const sr_program *program, int64_t height, int64_t width) {
    const sr_buffer *in = &program->buffers[program->input], *out = &program->buffers[program->output];
    const int64_t scale = sr_the_model.scale;
    if (sr_extent_of(in->rows, height) != height || sr_extent_of(in->columns, width) != width) return "the input's size";
    if (sr_extent_of(out->rows, height) != height * scale || sr_extent_of(out->columns, width) != width * scale) {
        return "the output's size";
    }
    for (uint32_t i = 0; i < program->step_count; i++) {
        const char *wrong = step_wrong(program, &program->steps[i], height, width);
        if (wrong != NULL) return wrong;
    }
    return NULL;
}

SR_SMALL_END
