/* What the machine is that this program runs on, and how much memory the program takes. */
#ifndef TVMSR_HOST_FACTS_H
#define TVMSR_HOST_FACTS_H

#include "wire.h"

/* machine, system, C library: texts; hwcap, hwcap2: uint64; cores, page size: uint32; memory: uint64. */
void put_facts(writer *w);

/* uint64 each: bytes resident now and at most so far, as the kernel counts them, and the resident pages of this
 * program's own mappings. Under an emulator the first two count the emulator too.
 */
void put_memory(writer *w);

#endif
