/* SHA-256 (FIPS 180-4) of a file: what was uploaded is what was sent. */
#ifndef TVMSR_HOST_SHA256_H
#define TVMSR_HOST_SHA256_H

#include <stdio.h>

/* 64 digits and a zero into `hex`; 0, or -1 where the file cannot be read. */
int sha256_of_file(FILE *file, char hex[65]);

#endif
