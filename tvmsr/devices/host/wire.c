#include "wire.h"

#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are copied as they lie in memory: little-endian machines only"
#endif

const uint8_t *take_bytes(reader *r, size_t size) {
    if (r->failed || size > r->left) {
        r->failed = 1;
        return NULL;
    }
    const uint8_t *found = r->at;
    r->at += size;
    r->left -= size;
    return found;
}

uint32_t take_u32(reader *r) {
    uint32_t value = 0;
    const uint8_t *from = take_bytes(r, sizeof value);
    if (from != NULL) memcpy(&value, from, sizeof value);
    return value;
}

uint64_t take_u64(reader *r) {
    uint64_t value = 0;
    const uint8_t *from = take_bytes(r, sizeof value);
    if (from != NULL) memcpy(&value, from, sizeof value);
    return value;
}

void take_text(reader *r, char *into, size_t size) {
    uint32_t length = take_u32(r);
    const uint8_t *from = take_bytes(r, length);
    into[0] = '\0';
    if (from == NULL) return;
    if (length >= size || memchr(from, 0, length) != NULL) {
        r->failed = 1;
        return;
    }
    memcpy(into, from, length);
    into[length] = '\0';
}

uint8_t *put_space(writer *w, size_t size) {
    if (w->failed || size > SIZE_MAX / 2 - w->length) {
        w->failed = 1;
        return NULL;
    }
    size_t needed = w->length + size;
    if (needed > w->capacity) {
        size_t capacity = needed < 4096 ? 4096 : needed + (needed < (1u << 20) ? needed : 0);
        uint8_t *bytes = realloc(w->bytes, capacity);
        if (bytes == NULL) {
            w->failed = 1;
            return NULL;
        }
        w->bytes = bytes;
        w->capacity = capacity;
    }
    uint8_t *found = w->bytes + w->length;
    w->length = needed;
    return found;
}

void put_u32(writer *w, uint32_t value) {
    uint8_t *to = put_space(w, sizeof value);
    if (to != NULL) memcpy(to, &value, sizeof value);
}

void put_u64(writer *w, uint64_t value) {
    uint8_t *to = put_space(w, sizeof value);
    if (to != NULL) memcpy(to, &value, sizeof value);
}

void put_text(writer *w, const char *text) {
    size_t length = text != NULL ? strlen(text) : 0;
    put_u32(w, (uint32_t)length);
    uint8_t *to = put_space(w, length);
    if (to != NULL && length > 0) memcpy(to, text, length);
}

void writer_clear(writer *w) {
    w->length = 0;
    w->failed = 0;
}

void writer_free(writer *w) {
    free(w->bytes);
    memset(w, 0, sizeof *w);
}
