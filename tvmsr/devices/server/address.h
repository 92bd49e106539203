/* Addresses: where we listen, and where the tracker is. */
#ifndef TVMSR_DEVICE_ADDRESS_H
#define TVMSR_DEVICE_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT = 256 };

typedef struct {
    struct sockaddr_storage at;
    socklen_t length;
} address;

/* HOST:PORT, [HOST]:PORT, unix:PATH or unix:@NAME (abstract); 0, or -1 with a text. */
int find_address(const char *text, address *found, char *why, size_t size);

/* Whether only this machine reaches it. */
int is_local(const address *a);

/* 0 where it is not TCP. */
int port_of(const address *a);

void address_text(const address *a, char *text, size_t size);

/* A socket that does not block, or -1 with a text and errno. The socket of a path is replaced where nobody listens on it. */
int listen_at(address *a, char *why, size_t size);

#endif
