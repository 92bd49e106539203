/* tvmsr: the C ABI of a compiled super-resolution network. C99 and C++.
 *
 *     tvmsr_session *session;
 *     if (tvmsr_open(NULL, &session) != TVMSR_OK) { tvmsr_open_error(text, sizeof text); ... }
 *     tvmsr_picture in = {TVMSR_RGB, 640, 360, 0, {pixels}, {640 * 3}};
 *     tvmsr_picture out = {TVMSR_RGB, 2560, 1440, 0, {result}, {2560 * 3}};
 *     if (tvmsr_upscale(session, &in, &out, NULL, NULL) != TVMSR_OK) puts(tvmsr_error(session));
 *     tvmsr_close(session);
 *
 * An artifact is one library with one network. It needs the C library only, keeps no state outside of sessions and writes
 * no files. The bytes of a result depend on the picture and the bit choices, on nothing else: not on threads, memory
 * limit, CPU level, strides or formats of the same colours.
 *
 * Threads: sessions are independent of each other and may be opened, used and closed by different threads at once. One
 * session serves one call at a time; a second one is refused with TVMSR_BUSY. Close all sessions before dlclose.
 * After fork the child may go on using its copies of the sessions.
 *
 * Big cores: where ARM Linux or Android says how much each CPU can do (cpu_capacity), those with at least 45 % of the
 * largest capacity are big. Sessions with threads = 0 take one thread for each big CPU; where no more threads are asked
 * for than there are big CPUs, the session's own threads stay on these. The caller's thread is left where it is.
 *
 * Prefix: an artifact compiled with `--prefix imdn` has imdn_open in the place of tvmsr_open, and so on. Define
 * TVMSR_PREFIX as imdn before including this header; for several artifacts in one program, include it once for each, with
 * TVMSR_PREFIX redefined. Types and constants keep their names.
 *
 * Structures that may grow begin with their size: set it to sizeof, zero the rest; zero is every field's default.
 */
#ifndef TVMSR_H
#define TVMSR_H

#include <stddef.h>
#include <stdint.h>

/* Changes when existing programs would have to be changed; additions leave it. */
#define TVMSR_ABI_VERSION 1

/* What calls return. */
typedef int32_t tvmsr_status;
enum {
    TVMSR_OK = 0,
    TVMSR_CANCELLED = 1,     /* the progress callback asked for it; the output is partly written */
    TVMSR_BAD_ARGUMENT = 2,  /* null, a stride too small, a number out of range; nothing was done */
    TVMSR_BAD_SIZE = 3,      /* no picture or too large a one, or an output that is not scale times the input */
    TVMSR_BAD_FORMAT = 4,    /* a pixel format that this version does not know or cannot convert */
    TVMSR_OUT_OF_MEMORY = 5, /* malloc said no */
    TVMSR_MEMORY_LIMIT = 6,  /* the picture needs more than options.memory_limit even in the smallest strips */
    TVMSR_WRONG_CPU = 7,     /* this CPU lacks what every level of the file, or the level asked for, needs */
    TVMSR_BUSY = 8,          /* the session is in another call */
    TVMSR_DAMAGED = 9,       /* what is inside the file contradicts itself: cut short, changed or forged */
    TVMSR_CHECK_FAILED = 10  /* a check picture's result is not what the compiler computed */
};

/* Pixel formats, 8 bits a sample. An open list: NV12 and others will come, with their planes. */
enum {
    TVMSR_GRAY = 1, /* 1 byte a pixel, full range */
    TVMSR_RGB = 2,  /* 3 bytes: R, G, B */
    TVMSR_RGBA = 3  /* 4 bytes, alpha not premultiplied */
};

/* A picture in the caller's memory. Planes unused by the format are ignored. A stride is the number of bytes from one row
 * to the next; 0 means rows without gaps; negative ones (bottom-up pictures) are fine.
 */
typedef struct tvmsr_picture {
    int32_t format;
    int32_t width;
    int32_t height;
    int32_t reserved; /* 0 */
    uint8_t *planes[3]; /* an input's are only read */
    ptrdiff_t strides[3];
} tvmsr_picture;

enum { TVMSR_COLOUR_RGB = 0, TVMSR_COLOUR_Y = 1 };

/* What a file is. */
typedef struct tvmsr_info {
    uint32_t struct_size;
    uint32_t abi_version;
    int32_t scale;          /* output width = scale * input width */
    int32_t colour;         /* what the network computes; TVMSR_COLOUR_Y: the colour planes are resized by bicubic */
    int32_t minimum_width;  /* of what the network runs on; smaller pictures are continued by their last column and row */
    int32_t minimum_height;
    int32_t receptive_radius; /* input pixels around a pixel that its result depends on */
    int32_t levels;         /* CPU levels, best first: tvmsr_level_name */
    int32_t choices;        /* bit choices: tvmsr_choice_name */
    int32_t reserved;
    const char *manifest;   /* JSON, UTF-8, zero-terminated; lives as long as the library is loaded */
    size_t manifest_bytes;  /* without the zero */
    int32_t size_multiple;  /* pieces that begin at multiples of it, with receptive_radius pixels more around them, give the
                               bytes of the whole picture, unless the manifest's tiling says what prevents that; where there
                               are several bit choices, if one is forced (where pictures choose as a whole, what
                               tvmsr_predict_choice says of it) */
    int32_t reserved_too;
} tvmsr_info;

/* How a session is opened. */
typedef struct tvmsr_options {
    uint32_t struct_size;
    int32_t threads;        /* that compute, the caller's included; 0: one for each CPU this process may use, on ARM
                               for each big one (see below) */
    const char *level;      /* a CPU level by name; NULL: the best this CPU has */
    uint64_t memory_limit;  /* bytes of workspace a call may take, weights not counted; 0: no limit */
    int32_t fixed_bits;     /* not 0: bits are not chosen by the picture; choice 0 until tvmsr_force_choice */
    int32_t reserved;
    int32_t self_check;     /* not 0: tvmsr_open ends with what tvmsr_check does */
    int32_t reserved_too;
} tvmsr_options;

/* What the last tvmsr_upscale of a session did. */
typedef struct tvmsr_last_run {
    uint32_t struct_size;
    int32_t choice;  /* bit choice used, of several the one that most tiles had; -1: none yet */
    int32_t threads; /* that compute, the caller's included */
    int32_t strips;  /* horizontal strips the picture was cut into; in tiles, of all their runs together */
    uint64_t workspace; /* bytes */
    uint64_t nanoseconds;
    const char *level; /* CPU level used */
    int32_t tiles;     /* of the picture; 1 where it had one choice as a whole, 0: none yet */
    int32_t reserved;
    const int32_t *tiles_of; /* [info.choices]: how many had each choice; lives until the session's next call */
} tvmsr_last_run;

/* Which bit choices the tiles of a picture have. Tile (row, column) begins at pixel (row * size, column * size); the last ones of
 * a row or column take the rest of the picture.
 */
typedef struct tvmsr_tiles {
    uint32_t struct_size;
    int32_t size;   /* pixels a side; 0: this file's pictures choose as a whole, which is one tile */
    int32_t across; /* how many; 1 x 1 where one choice is forced */
    int32_t down;
    const uint8_t *choices; /* [down][across]; lives until the session's next call */
} tvmsr_tiles;

/* Time of one step, summed over strips and calls since profiling was turned on. */
typedef struct tvmsr_step_time {
    const char *name; /* the manifest's; "input" and "output" are the conversions of pixels, "choice" is the look at the
                         picture where a file has several bit choices: then all their steps are there, some without calls */
    uint64_t nanoseconds; /* wall time, all threads together */
    uint64_t macs;
    uint64_t calls; /* strips */
} tvmsr_step_time;

/* What one store of one step wrote in an upscale, as a checksum: sum of (code + 1) * mix(row * 2^32 + column * channels +
 * channel) modulo 2^64 over its codes (docs/numerics.md). The same on every CPU level, with any threads and strips.
 */
typedef struct tvmsr_step_sum {
    const char *step;   /* the manifest's name */
    const char *tensor; /* of the network: the node whose codes these are */
    int32_t first;      /* channels [first, first + channels) of it */
    int32_t channels;
    uint64_t sum;
} tvmsr_step_sum;

typedef struct tvmsr_session tvmsr_session;

/* Called by the thread that called tvmsr_upscale, after each strip of the picture: how much of the work is done, as rows of the
 * output, of how many. What holds:
 * - `total` is the output's height, the same in every call.
 * - `done` is from 0 to total and never goes back. It may stay: several calls may say 0 before the first rows are done (the
 *   first steps of a deep network run ahead of its last ones), and others what the call before them said.
 * - Where upscale returns TVMSR_OK there was at least one call; done == total in the last one, and in no other. A picture that
 *   is made in one strip has that call alone.
 * - Not 0 cancels: there is no further call, and upscale returns TVMSR_CANCELLED. What the last call returns is ignored: all is
 *   done by then.
 * What does not: how many calls there are and how far apart depends on the file, the picture, threads and memory limit. `done`
 * does not say which rows of the output are there: some networks see all of the picture before they make their first row,
 * and the same work in more passes counts alike. Read the output when upscale has returned. Must not use the session.
 */
typedef int (*tvmsr_progress)(void *user, int64_t done, int64_t total);

#endif /* TVMSR_H */

/* The functions: declared anew for each TVMSR_PREFIX. */
#ifndef TVMSR_PREFIX
#define TVMSR_PREFIX tvmsr
#endif
#undef TVMSR_FN
#undef TVMSR_FN_
#undef TVMSR_FN__
#define TVMSR_FN__(prefix, name) prefix##_##name
#define TVMSR_FN_(prefix, name) TVMSR_FN__(prefix, name)
#define TVMSR_FN(name) TVMSR_FN_(TVMSR_PREFIX, name)

#ifdef __cplusplus
extern "C" {
#endif

/* What this file is; opens nothing. info->struct_size must be set. */
tvmsr_status TVMSR_FN(get_info)(tvmsr_info *info);

/* Names by index, best level first; NULL past the end. */
const char *TVMSR_FN(level_name)(int32_t index);
const char *TVMSR_FN(choice_name)(int32_t index);

/* 1 where this CPU can run the level, 0 where not. */
int32_t TVMSR_FN(level_runs)(int32_t index);

/* Open a session; options may be NULL. On failure *session is NULL and tvmsr_open_error says why. Packs the weights:
 * some milliseconds.
 */
tvmsr_status TVMSR_FN(open)(const tvmsr_options *options, tvmsr_session **session);

/* Why the last failed tvmsr_open of this process failed: copied to text, cut to size, always zero-terminated. */
void TVMSR_FN(open_error)(char *text, size_t size);

/* Stop the session's threads and free all it has. NULL is fine. No call may be under way. */
void TVMSR_FN(close)(tvmsr_session *session);

/* Upscale `in` into `out`, whose size is scale times that of `in`. Formats may differ: gray in is R = G = B, gray out is
 * the luma of the result; alpha is resized by bicubic, 255 where `in` has none, dropped where `out` has none. The pictures
 * must not overlap. progress may be NULL.
 */
tvmsr_status TVMSR_FN(upscale)(tvmsr_session *session, const tvmsr_picture *in, const tvmsr_picture *out,
                               tvmsr_progress progress, void *user);

/* Bytes of workspace an upscale from this size takes (whatever the format); where the picture chooses its bits, the most that
 * any choice takes. The session keeps its largest until closed.
 */
tvmsr_status TVMSR_FN(workspace)(tvmsr_session *session, int32_t width, int32_t height, uint64_t *bytes);

/* Which bit choice the picture would get: the one forced, or what its pixels say (the same on every CPU); in tiles, the one that
 * most of them would get, the first of several.
 */
tvmsr_status TVMSR_FN(predict_choice)(tvmsr_session *session, const tvmsr_picture *in, int32_t *choice);

/* Use this bit choice from now on, for all tiles; -1: choose by the picture again. */
tvmsr_status TVMSR_FN(force_choice)(tvmsr_session *session, int32_t choice);

/* Which bit choices the picture's tiles would get; in NULL: those of the last upscale that succeeded, 0 x 0 before the first.
 * tiles->struct_size must be set.
 */
tvmsr_status TVMSR_FN(read_tiles)(tvmsr_session *session, const tvmsr_picture *in, tvmsr_tiles *tiles);

/* Use these choices for tiles from now on where no choice is forced, repeated over the picture: tile (row, column) has
 * choices[row % down][column % across]. NULL: tiles choose by their pixels again. Copied; for files whose pictures choose in
 * tiles.
 */
tvmsr_status TVMSR_FN(force_tiles)(tvmsr_session *session, const uint8_t *choices, int32_t across, int32_t down);

/* What the last upscale that succeeded did; before the first, the level alone. last->struct_size must be set. */
tvmsr_status TVMSR_FN(last)(tvmsr_session *session, tvmsr_last_run *last);

/* Measure time per step from now on (on != 0, sums begin at 0), or stop. */
tvmsr_status TVMSR_FN(profile)(tvmsr_session *session, int32_t on);

/* The sums so far; *times lives until the session's next call. */
tvmsr_status TVMSR_FN(read_profile)(tvmsr_session *session, const tvmsr_step_time **times, size_t *count);

/* Take a checksum of everything that a step stores in every upscale from now on (on != 0), or stop. Costs about as much time
 * as a small network itself.
 */
tvmsr_status TVMSR_FN(trace)(tvmsr_session *session, int32_t on);

/* The sums of the last upscale under trace, in the order of the steps; none where it did not succeed. *sums lives until the
 * session's next call.
 */
tvmsr_status TVMSR_FN(read_trace)(tvmsr_session *session, const tvmsr_step_sum **sums, size_t *count);

/* Upscale the file's check pictures and compare with what its compiler computed: TVMSR_CHECK_FAILED says which differs. For
 * each some 50 million multiplications, at least a picture of 12 x 9. The session's choice, last run, times and sums stay as
 * they are, and the workspace that the pictures took is freed.
 */
tvmsr_status TVMSR_FN(check)(tvmsr_session *session);

/* What the session's last failed call failed of, one line; "" where none did. Lives until the session's next call. */
const char *TVMSR_FN(error)(const tvmsr_session *session);

#ifdef __cplusplus
}
#endif
