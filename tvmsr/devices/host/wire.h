/* What travels between a client and the host program: frames, and the values inside them. docs/devices.md is its text.
 *
 * A frame is 24 bytes (magic, kind, code, serial: uint32; length: uint64) and `length` bytes of payload. Values are
 * little-endian without gaps; a text is its length (uint32) and its bytes. Nothing that arrives is trusted: every length
 * is checked against what is there.
 */
#ifndef TVMSR_HOST_WIRE_H
#define TVMSR_HOST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC 0x52535654u /* "TVSR" */
#define WIRE_VERSION 3u
#define WIRE_HEADER 24u
#define WIRE_LARGEST ((uint64_t)1 << 30) /* bytes of a payload */

/* kind */
enum { WIRE_REQUEST = 1, WIRE_REPLY = 2, WIRE_PROGRESS = 3, WIRE_ALIVE = 4 };

/* code of a request */
enum {
    DO_HELLO = 1,
    DO_LOAD = 2,
    DO_OPEN = 3,
    DO_UPSCALE = 4,
    DO_LAST = 5,
    DO_WORKSPACE = 6,
    DO_PROFILE = 7,
    DO_READ_PROFILE = 8,
    DO_TRACE = 9,
    DO_READ_TRACE = 10,
    DO_CHECK = 11,
    DO_MEMORY = 12,
    DO_CLOSE = 13,
    DO_FILES = 14,
    DO_UNLOAD = 15,
    DO_FORCE_CHOICE = 16
};

/* code of a reply: 0, a status of the C ABI (below 100), or one of these; its payload is then a text. */
enum {
    HOST_BAD_REQUEST = 100, /* a command or a payload that this host program does not understand */
    HOST_NOT_LOADED = 101,  /* the file is damaged, for another CPU, or no artifact */
    HOST_NOT_OPEN = 102,    /* the request needs a session, or an artifact, that was not opened before */
    HOST_TOO_OLD = 103,     /* the artifact lacks what the request needs */
    HOST_NO_MEMORY = 104
};

typedef struct {
    uint32_t magic, kind, code, serial;
    uint64_t length;
} frame;

/* Reads values from a payload. After one that is not there, `failed` is set and all further ones are 0. */
typedef struct {
    const uint8_t *at;
    size_t left;
    int failed;
} reader;

/* Collects a payload. After malloc said no, `failed` is set. */
typedef struct {
    uint8_t *bytes;
    size_t length, capacity;
    int failed;
} writer;

uint32_t take_u32(reader *r);
uint64_t take_u64(reader *r);
void take_text(reader *r, char *into, size_t size); /* fails where it does not fit, or holds a zero */
const uint8_t *take_bytes(reader *r, size_t size);  /* NULL where it failed */

void put_u32(writer *w, uint32_t value);
void put_u64(writer *w, uint64_t value);
void put_text(writer *w, const char *text);
uint8_t *put_space(writer *w, size_t size); /* NULL where it failed */
void writer_clear(writer *w);               /* empty, memory kept */
void writer_free(writer *w);

#endif
