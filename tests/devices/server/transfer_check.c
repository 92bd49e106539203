/* transfer.c and channel.c, run under sanitizers by test_sanitizers.py: `check FOLDER`; ../secret of it may not change. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "transfer.h"

#define CHECK(condition) \
    if (!(condition)) fprintf(stderr, "line %d: %s\n", __LINE__, #condition), exit(1)

static const char *const OUTSIDE[] = {"",      ".",     "..",    "../secret", "/",   "//",       "a/",     "/a",      "a//b",
                                      "./a",   "a/.",   "a/..",  "a/../a",    "link/x", "link",  "dir/x",  "a/b/../../../secret",
                                      "1/2/3/4/5/6/7/8/9/10"};

static void check_names(const storage *s) {
    char path[4096], why[64], large[2000];
    uint64_t length;
    memset(large, 'n', sizeof large - 1);
    large[sizeof large - 1] = 0;
    for (size_t i = 0; i < sizeof OUTSIDE / sizeof *OUTSIDE; i++) {
        const char *name = OUTSIDE[i];
        int is_link = strcmp(name, "link") == 0;
        CHECK(*name == 0 || strcmp(name, "1/2/3/4/5/6/7/8/9/10") == 0 ||
              transfer_path(s, name, path, sizeof path, why, sizeof why) != 0);
        CHECK(transfer_open(s, name, &length, why, sizeof why) < 0 && *why != 0);
        if (!is_link) CHECK(transfer_write(s, name, "x", 1, why, sizeof why) != 0);
        if (!is_link) CHECK(transfer_remove(s, name, why, sizeof why) != 0);
    }
    CHECK(transfer_write(s, large, "x", 1, why, sizeof why) != 0);
    large[256] = 0;
    CHECK(transfer_write(s, large, "x", 1, why, sizeof why) != 0);
    large[255] = 0;
    CHECK(transfer_write(s, large, "x", 1, why, sizeof why) == 0);
    CHECK(transfer_path(s, large, path, 20, why, sizeof why) != 0);
    CHECK(transfer_remove(s, large, why, sizeof why) == 0);
}

static void check_files(const storage *s) {
    char why[200], got[16];
    uint64_t length = 0;
    static char large[5000];
    CHECK(transfer_write(s, "a/b/c", "one", 3, why, sizeof why) == 0);
    CHECK(transfer_write(s, "a/b/c", "three", 5, why, sizeof why) == 0);
    int file = transfer_open(s, "a/b/c", &length, why, sizeof why);
    CHECK(file >= 0 && length == 5 && read(file, got, sizeof got) == 5 && memcmp(got, "three", 5) == 0);
    close(file);
    CHECK(transfer_open(s, "a/b", &length, why, sizeof why) < 0);
    CHECK(transfer_write(s, "a/b", "x", 1, why, sizeof why) != 0);
    CHECK(transfer_write(s, "large", large, sizeof large, why, sizeof why) != 0 && strstr(why, "--disk") != NULL);
    CHECK(transfer_open(s, "large", &length, why, sizeof why) < 0);
    CHECK(transfer_remove(s, "a/b/c", why, sizeof why) == 0 && transfer_remove(s, "a/b/c", why, sizeof why) == 0);
    CHECK(transfer_write(s, "link", "x", 1, why, sizeof why) == 0); /* a new file in its place */
}

static int ends[2];

/* Packets of 0, 1, 8, 300 and 70000 bytes, in pieces of 1 to 997 bytes. */
static const size_t SIZES[] = {0, 1, 8, 300, 70000};

static void *send_pieces(void *unused) {
    static unsigned char all[80000];
    size_t length = 0, piece = 1;
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        for (int b = 0; b < 8; b++) all[length++] = (unsigned char)((uint64_t)SIZES[i] >> 8 * b);
        for (size_t j = 0; j < SIZES[i]; j++) all[length++] = (unsigned char)(i + j);
    }
    for (size_t at = 0; at < length; piece = piece * 3 % 997 + 1) {
        ssize_t sent = write(ends[1], all + at, piece < length - at ? piece : length - at);
        if (sent <= 0) break;
        at += (size_t)sent;
    }
    shutdown(ends[1], SHUT_WR);
    return unused;
}

static void take(unsigned char *to, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t got = channel_receive(to + at, size - at + 3000); /* never more than is asked of one packet */
        CHECK(got > 0 && (size_t)got <= size - at);
        at += (size_t)got;
    }
}

static void check_channel(void) {
    static unsigned char content[80000];
    pthread_t sender;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    channel_open(ends[0], ends[0], 20000, 20000);
    CHECK(pthread_create(&sender, NULL, send_pieces, NULL) == 0);
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        take(content, 8);
        uint64_t length = 0;
        for (int b = 0; b < 8; b++) length |= (uint64_t)content[b] << 8 * b;
        CHECK(length == SIZES[i]);
        take(content, SIZES[i]);
        for (size_t j = 0; j < SIZES[i]; j++) CHECK(content[j] == (unsigned char)(i + j));
    }
    CHECK(channel_receive(content, 8) == 0);
    pthread_join(sender, NULL);
    close(ends[1]);
    CHECK(channel_send(content, 8) < 0 || channel_send(content, 8) < 0);
    close(ends[0]);
}

int main(int count, char **words) {
    storage s = {count > 1 ? words[1] : ".", 4096};
    char link[4096];
    snprintf(link, sizeof link, "%s/link", s.folder);
    CHECK(symlink("../secret", link) == 0);
    snprintf(link, sizeof link, "%s/dir", s.folder);
    CHECK(symlink("..", link) == 0);
    check_names(&s);
    check_files(&s);
    check_channel();
    puts("ok");
    return 0;
}
