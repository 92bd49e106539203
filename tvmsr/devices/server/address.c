#define _GNU_SOURCE
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128, HOST_SIZE = 256 };

static int find_unix(const char *path, address *found, char *why, size_t size) {
    struct sockaddr_un *to = (struct sockaddr_un *)&found->at;
    size_t length = strlen(path);
    if (length < 1 || (path[0] == '@' && length < 2) || length >= sizeof to->sun_path) {
        snprintf(why, size, "unix:%s: a path, or @ and a name, of at most %zu bytes is needed", path,
                 sizeof to->sun_path - 1);
        return -1;
    }
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, length);
    found->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (path[0] == '@') {
        to->sun_path[0] = 0; /* abstract: no file, and no zero at the end */
    } else {
        found->length++;
    }
    return 0;
}

int find_address(const char *text, address *found, char *why, size_t size) {
    memset(found, 0, sizeof *found);
    if (strncmp(text, "unix:", 5) == 0) return find_unix(text + 5, found, why, size);
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    char host[HOST_SIZE], *end;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    if (length == 0 || length >= sizeof host || colon[1] == 0 || *end != 0 || port < 0 || port > 65535) {
        snprintf(why, size, "%.200s is no address: HOST:PORT is needed", text);
        return -1;
    }
    memcpy(host, text, length);
    host[length] = 0;
    struct addrinfo hints, *all = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    int failed = getaddrinfo(host, colon + 1, &hints, &all);
    if (failed != 0) {
        snprintf(why, size, "%s: %s", host, gai_strerror(failed));
        return -1;
    }
    /* TVM's own programs listen on IPv4; "localhost" may come as IPv6 first. */
    const struct addrinfo *chosen = all;
    while (chosen != NULL && chosen->ai_family != AF_INET) chosen = chosen->ai_next;
    if (chosen == NULL) chosen = all;
    memcpy(&found->at, chosen->ai_addr, chosen->ai_addrlen);
    found->length = chosen->ai_addrlen;
    freeaddrinfo(all);
    return 0;
}

int is_local(const address *a) {
    if (a->at.ss_family == AF_UNIX) return 1;
    if (a->at.ss_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)&a->at)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    const struct in6_addr *six = &((const struct sockaddr_in6 *)&a->at)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET);
}

int port_of(const address *a) {
    if (a->at.ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)&a->at)->sin_port);
    if (a->at.ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)&a->at)->sin6_port);
    return 0;
}

void address_text(const address *a, char *text, size_t size) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->at.ss_family == AF_UNIX) {
        const struct sockaddr_un *at = (const struct sockaddr_un *)&a->at;
        size_t length = a->length - offsetof(struct sockaddr_un, sun_path);
        int hidden = length > 0 && at->sun_path[0] == 0;
        snprintf(text, size, "unix:%s%.*s", hidden ? "@" : "", (int)length - hidden, at->sun_path + hidden);
    } else if (a->at.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&a->at)->sin_addr, host, sizeof host);
        snprintf(text, size, "%s:%d", host, port_of(a));
    } else {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&a->at)->sin6_addr, host, sizeof host);
        snprintf(text, size, "[%s]:%d", host, port_of(a));
    }
}

/* Remove the socket that a server which is no more has left. */
static void remove_dead_socket(const address *a) {
    const char *path = ((const struct sockaddr_un *)&a->at)->sun_path;
    struct stat facts;
    if (path[0] == 0 || lstat(path, &facts) != 0 || !S_ISSOCK(facts.st_mode)) return;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return;
    if (connect(probe, (const struct sockaddr *)&a->at, a->length) != 0 && errno == ECONNREFUSED) unlink(path);
    close(probe);
}

int listen_at(address *a, char *why, size_t size) {
    char text[ADDRESS_TEXT];
    address_text(a, text, sizeof text);
    if (a->at.ss_family == AF_UNIX) remove_dead_socket(a);
    int one = 1, fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    socklen_t length = sizeof a->at;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&a->at, a->length) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&a->at, &length) != 0) {
        int reason = errno;
        snprintf(why, size, "%s: %s", text, strerror(reason));
        if (fd >= 0) close(fd);
        errno = reason;
        return -1;
    }
    a->length = length;
    return fd;
}
