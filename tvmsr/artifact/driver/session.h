/* What a session holds, and the calls between the driver's files. */
#ifndef SR_SESSION_H
#define SR_SESSION_H

#include <stdatomic.h>
#include <stdint.h>

#include "flow.h"
#include "pool.h"
#include "program.h"
#include "tvmsr.h"

#if defined(_WIN32)
#define SR_API __declspec(dllexport)
#else
#define SR_API __attribute__((visibility("default")))
#endif

/* A bit choice, opened: what pictures go through. Weights and parameters are as its kernels want them; choices whose kernels
 * want weights alike share them. */
typedef struct sr_choice {
    const sr_program *program;
    const void **weights; /* [steps], NULL where a step has none */
    const void **blocks;  /* [steps] */
    sr_flow flow;
    tvmsr_step_time *times; /* [steps], among the session's */
} sr_choice;

struct sr_plane;

/* Which choice each tile of a picture gets; one tile where the picture gets one as a whole. */
typedef struct sr_map {
    uint8_t *choices; /* [down][across] */
    uint64_t room;
    int64_t down;
    int64_t across;
} sr_map;

/* How a picture goes through in tiles, for its size (tiles.c). */
typedef struct sr_tiling {
    int64_t height; /* 0: none was planned */
    int64_t width;
    int32_t whole;
    int64_t rows;    /* of the picture that are put together at one time */
    uint64_t beside; /* bytes that this takes beside the workspace */
    uint64_t run;    /* the most that the workspace takes */
} sr_tiling;

struct tvmsr_session {
    atomic_int busy;
    int32_t pid;
    const sr_level *level;
    int threads; /* asked for */
    int32_t adaptive;
    int32_t forced; /* bit choice, -1: none */
    sr_map pattern; /* forced for tiles, repeated over the picture; 0 x 0: none */
    sr_map map;      /* what was chosen last */
    sr_map last_map; /* of the last upscale that succeeded */
    int32_t *counts; /* [sr_the_model.choices]: its tiles of each choice */
    sr_tiling tiling;
    unsigned char *beside;
    uint64_t beside_bytes;
    sr_choice *choices; /* [sr_the_model.choices] */
    unsigned char *packed; /* weights and parameters of all of them */
    uint64_t memory_limit;
    sr_pool *pool;
    unsigned char *workspace;
    uint64_t workspace_bytes;
    int32_t profiling;
    tvmsr_step_time *times; /* "choice", "input", the steps of all choices, "output" */
    size_t time_count;
    int32_t tracing;
    int32_t traced; /* `sums` are those of a whole upscale */
    tvmsr_step_sum *sums; /* step by step, of each its stores; NULL: never traced */
    size_t sum_first; /* of the choice that runs */
    size_t sum_count; /* of the choices that ran */
    tvmsr_last_run last;
    char error[256];
};

/* Store the error's text and return its status. */
tvmsr_status sr_fail(tvmsr_session *session, tvmsr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* api.c: take the session for one call, and give it back. */
tvmsr_status sr_enter(tvmsr_session *session);
tvmsr_status sr_leave(tvmsr_session *session, tvmsr_status status);

/* api.c: lay out a choice's flow for a picture of this size; any size that is not too large. */
tvmsr_status sr_plan(tvmsr_session *session, sr_choice *choice, int64_t width, int64_t height);

/* api.c: what came of laying out a picture of this size, which takes so many bytes. */
tvmsr_status sr_planned(tvmsr_session *session, sr_fit fit, int64_t width, int64_t height, uint64_t bytes);

/* choose.c: fill the session's map for a picture. */
tvmsr_status sr_choose(tvmsr_session *session, const struct sr_plane *in);

/* choose.c: the choice that most tiles of the session's map have, the first of several; counts: [256], or NULL. */
int32_t sr_most_chosen(const tvmsr_session *session, int32_t *counts);

/* choose.c: the choices that a picture may get, [*first, *last). */
void sr_usable_choices(const tvmsr_session *session, uint32_t *first, uint32_t *last);

/* trace.c: before a choice runs, its sums at 0 behind those of choices before it; and add what its step `index` stored in this strip; work: as it ran. */
struct sr_work;
void sr_trace_begin(tvmsr_session *session, const sr_choice *choice);
void sr_trace_step(tvmsr_session *session, const sr_choice *choice, uint32_t index, const struct sr_work *work);

/* selfcheck.c: the file's check pictures, in a session that nobody else uses. */
tvmsr_status sr_self_check(tvmsr_session *session);

/* packing.c: for all choices of the session, by all threads. 0: *wrong says what is wrong with their parameters or with how
 * much they take, or is NULL where there is no memory. */
int sr_pack_open(tvmsr_session *session, const char **wrong);
void sr_pack_close(tvmsr_session *session);

/* The manifest's text, put in its section by tvmsr/artifact/link.py; sr_manifest_end is its closing zero. */
extern const char sr_manifest[];
extern const char sr_manifest_end[];

/* check.c: how many there are: as many as the tables say, or fewer where they end before. */
uint32_t sr_level_count(const sr_model *model);
uint32_t sr_choice_count(const sr_model *model);

/* check.c: NULL, or what is wrong with the file: with what all levels share, and with one level. */
const char *sr_check_model(const sr_model *model);
const char *sr_check_level(const sr_model *model, const sr_level *level);

/* picture.c */
int sr_pixel_bytes(int32_t format); /* 0: unknown */
tvmsr_status sr_check_picture(tvmsr_session *session, const char *what, const tvmsr_picture *picture);

/* A checked picture: stride never 0. */
typedef struct sr_plane {
    uint8_t *data;
    int64_t stride;
    int64_t width;
    int64_t height;
    int bytes; /* of a pixel */
} sr_plane;

sr_plane sr_plane_of(const tvmsr_picture *picture);

static inline uint8_t *sr_row(const sr_plane *plane, int64_t row) { return plane->data + row * plane->stride; }

/* Rows of a picture to RGB codes, pixel by pixel `pitch` bytes apart; `offset` is subtracted from every code. */
void sr_codes_from_row(const sr_plane *in, int64_t row, uint8_t *codes, uint32_t pitch, uint8_t offset);

/* run.c: one picture, checked, through a choice whose flow is laid out for it. */
tvmsr_status sr_run(tvmsr_session *session, sr_choice *choice, const sr_plane *in, const sr_plane *out,
                    tvmsr_progress progress, void *user);

/* run.c: add the time since *at to an entry, and begin the next; nothing where nobody profiles. */
void sr_tick(const tvmsr_session *session, tvmsr_step_time *entry, uint64_t macs, uint64_t *at);

/* Nanoseconds of a clock that never goes back. */
uint64_t sr_now(void);

#endif
