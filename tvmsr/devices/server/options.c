#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "wipe.h"

enum { TOKEN_SHORTEST = 16 };

static const char HELP[] =
    TVMSR_PROGRAM ": serves TVM's RPC protocol; each client gets a process and a folder of its own.\n"
    "\n"
    "  --listen HOST:PORT  where clients connect (127.0.0.1:9090; port 0: any, printed), unix:PATH or unix:@NAME\n"
    "  --stdio             one client, on standard input and output\n"
    "  --key NAME          the name that clients ask for (default: none)\n"
    "  --token-file FILE   a secret that clients must know; or the environment variable TVMSR_TOKEN\n"
    "  --tracker HOST:PORT register with a TVM tracker under --key\n"
    "  --advertise HOST    where the tracker sends clients (the address that it sees)\n"
    "  --trust-tracker     whom the tracker sends needs no token, off the loopback interface too\n"
    "  --sessions N        clients served at once (1)\n"
    "  --queue N           clients that may wait (64)\n"
    "  --session-time S    seconds that a client may stay (3600)\n"
    "  --stall S           seconds that a packet which has begun may stand still (30)\n"
    "  --idle S            seconds after which a client that asks for nothing is sent away (600)\n"
    "  --memory MIB        memory of a session (80 % of the machine's)\n"
    "  --disk MIB          files of a session (512)\n"
    "  --processes N       processes and threads of a session (64)\n"
    "  --folder DIR        where sessions have their folders ($TMPDIR/tvmsr-device-UID)\n"
    "  --session-command C the rest of the line is what runs a session: tvmsr/devices/serve/session.py\n"
    "  --version, --help\n";

static int wrong(const char *option, const char *text) {
    fprintf(stderr, TVMSR_PROGRAM ": %s %s; " TVMSR_PROGRAM " --help lists the options\n", option, text);
    return OPTIONS_WRONG;
}

/* A whole number from `least` to `most`; -1 where the text is none. */
static int64_t number(const char *text, int64_t least, int64_t most) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return errno != 0 || end == text || *end != 0 || value < least || value > most ? -1 : value;
}

/* A key goes into the tracker's JSON and is compared word by word: no blanks, quotes or backslashes. */
static int plain_word(const char *text) {
    for (; *text != 0; text++) {
        if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\') return 0;
    }
    return 1;
}

/* Keep the token: the first line, without blanks around it; 0 where it is one. */
static int keep_token(options *o, const char *bytes, size_t length) {
    size_t begin = 0, end = 0;
    while (end < length && bytes[end] != '\n' && bytes[end] != '\r') end++;
    while (end > begin && bytes[end - 1] == ' ') end--;
    while (begin < end && bytes[begin] == ' ') begin++;
    if (end - begin < TOKEN_SHORTEST || end - begin >= sizeof o->token) return -1;
    for (size_t i = begin; i < end; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~') return -1;
    }
    memcpy(o->token, bytes + begin, end - begin);
    o->token[end - begin] = 0;
    return 0;
}

static int token_from_file(options *o, const char *path) {
    char bytes[TOKEN_SIZE + 2];
    struct stat facts;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t length = file < 0 ? -1 : read(file, bytes, sizeof bytes);
    if (length < 0) {
        fprintf(stderr, TVMSR_PROGRAM ": --token-file: %s: %s\n", path, strerror(errno));
        if (file >= 0) close(file);
        return OPTIONS_WRONG;
    }
    if (fstat(file, &facts) == 0 && (facts.st_mode & 077) != 0) {
        log_line("the token file can be read by other users; chmod 600 it");
    }
    close(file);
    int kept = keep_token(o, bytes, (size_t)length);
    wipe(bytes, sizeof bytes);
    if (kept != 0) return wrong("--token-file", "holds no token: one word of 16 to 512 printable characters");
    return OPTIONS_RUN;
}

/* Environments can be read in /proc: the value is taken out of ours. */
static int token_from_environment(options *o) {
    char *value = getenv("TVMSR_TOKEN");
    if (value == NULL || *value == 0) return OPTIONS_RUN;
    int kept = *o->token != 0 ? 0 : keep_token(o, value, strlen(value));
    wipe(value, strlen(value));
    unsetenv("TVMSR_TOKEN");
    if (kept != 0) return wrong("TVMSR_TOKEN", "is no token: one word of 16 to 512 printable characters");
    return OPTIONS_RUN;
}

static int set_number(options *o, const char *name, const char *value) {
    const struct {
        const char *name;
        int64_t least, most;
    } known[] = {{"--sessions", 1, MOST_SESSIONS}, {"--queue", 1, 1024},      {"--session-time", 1, 31536000},
                 {"--memory", 16, 1 << 30},        {"--disk", 1, 1 << 24},    {"--processes", 1, 65536},
                 {"--stall", 1, 31536000},         {"--idle", 1, 31536000}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        int64_t n = number(value, known[i].least, known[i].most);
        if (n < 0) {
            fprintf(stderr, TVMSR_PROGRAM ": %s %s: a whole number from %lld to %lld is needed\n", name, value,
                    (long long)known[i].least, (long long)known[i].most);
            return OPTIONS_WRONG;
        }
        switch (i) {
            case 0: o->sessions = (int)n; break;
            case 1: o->queue = (int)n; break;
            case 2: o->session_ms = n * 1000; break;
            case 3: o->memory = (uint64_t)n << 20; break;
            case 4: o->disk = (uint64_t)n << 20; break;
            case 5: o->processes = (int)n; break;
            case 6: o->stall_ms = n * 1000; break;
            default: o->idle_ms = n * 1000; break;
        }
        return OPTIONS_RUN;
    }
    return wrong(name, "is no option");
}

static int set_text(options *o, const char *name, const char *value) {
    if (strcmp(name, "--listen") == 0) return o->listen = value, OPTIONS_RUN;
    if (strcmp(name, "--tracker") == 0) return o->tracker = value, OPTIONS_RUN;
    if (strcmp(name, "--advertise") == 0) {
        if (*value == 0 || strlen(value) >= NAME_SIZE || !plain_word(value)) return wrong(name, "needs a host's name or address");
        return o->advertise = value, OPTIONS_RUN;
    }
    if (strcmp(name, "--folder") == 0) return o->folder = value, OPTIONS_RUN;
    if (strcmp(name, "--token-file") == 0) return token_from_file(o, value);
    if (strcmp(name, "--key") != 0) return set_number(o, name, value);
    if (strlen(value) >= sizeof o->key) return wrong("--key", "is longer than 127 characters");
    if (!plain_word(value)) return wrong("--key", "may have no blanks, quotes or backslashes, and ASCII only");
    memcpy(o->key, value, strlen(value) + 1);
    return OPTIONS_RUN;
}

/* 1 where the option needs no value, 0 where it does, or how the program ends. */
static int set_flag(options *o, const char *name, int *end) {
    if (strcmp(name, "--help") == 0) {
        fputs(HELP, stdout);
        *end = OPTIONS_DONE;
    } else if (strcmp(name, "--version") == 0) {
        printf(TVMSR_PROGRAM " %s agent %s\n", TVMSR_VERSION, TVMSR_AGENT_KEY);
        *end = OPTIONS_DONE;
    } else if (strcmp(name, "--stdio") == 0) {
        o->stdio = 1;
    } else if (strcmp(name, "--trust-tracker") == 0) {
        o->trust_tracker = 1;
    } else {
        return 0;
    }
    return 1;
}

static int check_together(const options *o) {
    if (o->stdio && o->listen != NULL) return wrong("--stdio", "and --listen exclude each other");
    if (o->stdio && o->tracker != NULL) return wrong("--tracker", "needs --listen HOST:PORT");
    if (o->trust_tracker && o->tracker == NULL) return wrong("--trust-tracker", "needs --tracker");
    if (o->advertise != NULL && o->tracker == NULL) return wrong("--advertise", "needs --tracker");
    if (o->tracker != NULL && *o->key == 0) return wrong("--tracker", "needs --key: the name that clients ask it for");
    if (o->tracker != NULL && o->listen != NULL && strncmp(o->listen, "unix:", 5) == 0) {
        return wrong("--tracker", "needs --listen HOST:PORT: it sends clients to a port");
    }
#ifdef TVMSR_FRONT
    if (o->command == NULL) return wrong("--session-command", "is missing: this program has no sessions of its own");
#endif
    return OPTIONS_RUN;
}

int read_options(int count, char **words, options *found) {
    *found = (options){.sessions = 1, .queue = 64, .processes = 64, .session_ms = 3600000,
                       .stall_ms = 30000, .idle_ms = 600000, .disk = 512u << 20};
    int end = OPTIONS_RUN;
    for (int i = 1; i < count && end == OPTIONS_RUN; i++) {
        if (set_flag(found, words[i], &end)) continue;
        if (strcmp(words[i], "--session-command") == 0) {
            if (words[i + 1] == NULL) return wrong(words[i], "needs a program");
            found->command = words + i + 1;
            break;
        }
        char name[32];
        const char *equals = strchr(words[i], '='), *value = equals != NULL ? equals + 1 : words[i + 1];
        size_t length = equals != NULL ? (size_t)(equals - words[i]) : strlen(words[i]);
        if (words[i][0] != '-' || length >= sizeof name) return wrong(words[i], "is no option");
        memcpy(name, words[i], length);
        name[length] = 0;
        if (value == NULL) return wrong(name, "needs a value");
        if (equals == NULL) i++;
        end = set_text(found, name, value);
    }
    if (end == OPTIONS_RUN) end = token_from_environment(found);
    if (end == OPTIONS_RUN) end = check_together(found);
    if (end == OPTIONS_RUN && found->listen == NULL) found->listen = "127.0.0.1:9090";
    return end;
}
