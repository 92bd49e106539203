/* Binary PPM (P6) and PGM (P5) pictures with 8 bits a sample, as tvmsr_picture. C and C++. */
#ifndef PNM_H
#define PNM_H

#include <stdio.h>
#include <stdlib.h>

#include "tvmsr.h"

/* Bytes of the picture's rows without gaps. */
static inline size_t pnm_bytes(const tvmsr_picture *picture) {
    return (size_t)picture->width * (size_t)picture->height * (picture->format == TVMSR_GRAY ? 1 : 3);
}

/* The next number of a header, after white space and comments; -1: there is none. Takes the one byte after it too. */
static inline int pnm_number(FILE *file) {
    int c = fgetc(file), value = 0;
    while (c == '#' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        if (c == '#') {
            while (c != '\n' && c != EOF) c = fgetc(file);
        }
        c = fgetc(file);
    }
    if (c < '0' || c > '9') return -1;
    for (; c >= '0' && c <= '9'; c = fgetc(file)) {
        if (value > 1000000) return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

static inline int pnm_read_rows(FILE *file, tvmsr_picture *picture) {
    const size_t bytes = pnm_bytes(picture);
    picture->planes[0] = (uint8_t *)malloc(bytes);
    return picture->planes[0] != NULL && fread(picture->planes[0], 1, bytes, file) == bytes;
}

/* Read a picture; its plane is the caller's to free, also where this fails. Returns 1, or 0 where it is none. */
static inline int pnm_read(const char *name, tvmsr_picture *picture) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) return 0;
    const int letter = fgetc(file), kind = fgetc(file);
    picture->format = kind == '5' ? TVMSR_GRAY : TVMSR_RGB;
    picture->width = pnm_number(file);
    picture->height = pnm_number(file);
    const int largest = pnm_number(file);
    const int known = letter == 'P' && (kind == '5' || kind == '6') && largest == 255;
    const int good = known && picture->width > 0 && picture->height > 0 && pnm_read_rows(file, picture);
    fclose(file);
    return good;
}

/* Write a picture without gaps between rows. Returns 1, or 0 where the file cannot be written. */
static inline int pnm_write(const char *name, const tvmsr_picture *picture) {
    FILE *file = fopen(name, "wb");
    if (file == NULL) return 0;
    const size_t bytes = pnm_bytes(picture);
    const int kind = picture->format == TVMSR_GRAY ? 5 : 6;
    fprintf(file, "P%d\n%d %d\n255\n", kind, (int)picture->width, (int)picture->height);
    const int good = fwrite(picture->planes[0], 1, bytes, file) == bytes;
    return fclose(file) == 0 && good;
}

/* The picture that an artifact of this scale makes of `in`. Returns 1, or 0 where there is no memory for it. */
static inline int pnm_scaled(const tvmsr_picture *in, int scale, tvmsr_picture *out) {
    out->format = in->format;
    out->width = in->width * scale;
    out->height = in->height * scale;
    out->planes[0] = (uint8_t *)malloc(pnm_bytes(out));
    return out->planes[0] != NULL;
}

#endif /* PNM_H */
