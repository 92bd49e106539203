/* Where clients connect. */
#ifndef TVMSR_DEVICE_GATE_H
#define TVMSR_DEVICE_GATE_H

#include "address.h"
#include "options.h"
#include "peer.h"

typedef struct {
    int fd; /* -1: none */
    address at;
    int64_t closed_until; /* nobody is let in before: descriptors have run out */
} gate;

/* 0, or -1 with a text: also where the address is open to others and nothing protects it. */
int gate_open(gate *g, const options *o, char *why, size_t size);

/* The line on standard output that says where. */
void gate_announce(const gate *g);

/* The next client; 0, or -1 where there is none now. */
int gate_accept(gate *g, peer *came);

void gate_close(gate *g);

#endif
