#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "load.h"

#if UINTPTR_MAX > 0xFFFFFFFFu
#define OWN_CLASS ELFCLASS64
typedef Elf64_Ehdr file_header;
typedef Elf64_Phdr program_header;
typedef Elf64_Shdr section_header;
#else
#define OWN_CLASS ELFCLASS32
typedef Elf32_Ehdr file_header;
typedef Elf32_Phdr program_header;
typedef Elf32_Shdr section_header;
#endif

#if defined(__aarch64__)
#define OWN_MACHINE 183
#define OWN_NAME "AArch64"
#elif defined(__arm__)
#define OWN_MACHINE 40
#define OWN_NAME "ARM"
#elif defined(__x86_64__)
#define OWN_MACHINE 62
#define OWN_NAME "x86-64"
#elif defined(__riscv)
#define OWN_MACHINE 243
#define OWN_NAME "RISC-V"
#else
#error "a CPU family whose ELF number is not in this table"
#endif

typedef struct {
    FILE *file;
    uint64_t size;
    char *why;
    size_t why_size;
} checked;

static int fail(const checked *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(const checked *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->why, c->why_size, format, arguments);
    va_end(arguments);
    return -1;
}

static int inside(const checked *c, uint64_t offset, uint64_t size) {
    return size <= c->size && offset <= c->size - size;
}

static int read_at(const checked *c, uint64_t offset, void *into, size_t size) {
    if (!inside(c, offset, size) || fseeko(c->file, (off_t)offset, SEEK_SET) != 0) return -1;
    return fread(into, 1, size, c->file) == size ? 0 : -1;
}

static int check_header(const checked *c, file_header *h) {
    unsigned char ident[EI_NIDENT];
    if (read_at(c, 0, ident, sizeof ident) != 0 || memcmp(ident, ELFMAG, SELFMAG) != 0) return fail(c, "no ELF file");
    if (ident[EI_CLASS] != OWN_CLASS) return fail(c, "is for another word size than %s here", OWN_NAME);
    if (ident[EI_DATA] != ELFDATA2LSB) return fail(c, "is for a big-endian machine");
    if (read_at(c, 0, h, sizeof *h) != 0) return fail(c, "cut short: it has no whole header");
    if (h->e_machine != OWN_MACHINE) return fail(c, "is for CPU family %u; this is %s", h->e_machine, OWN_NAME);
    if (h->e_type != ET_DYN) return fail(c, "no shared library");
    if (h->e_phentsize != sizeof(program_header) || h->e_phnum == 0) return fail(c, "has no program headers");
    if (!inside(c, h->e_phoff, 0) || !inside(c, h->e_shoff, 0)) return fail(c, "cut short or damaged: it has no tables");
    if (h->e_shnum != 0 && h->e_shentsize != sizeof(section_header)) return fail(c, "has odd section headers");
    return 0;
}

static int check_programs(const checked *c, const file_header *h) {
    for (unsigned i = 0; i < h->e_phnum; i++) {
        program_header p;
        if (read_at(c, h->e_phoff + (uint64_t)i * sizeof p, &p, sizeof p) != 0) {
            return fail(c, "cut short or damaged: its program headers are not all there");
        }
        if (p.p_filesz > p.p_memsz && p.p_type == PT_LOAD) return fail(c, "damaged: segment %u", i);
        if (!inside(c, p.p_offset, p.p_filesz)) return fail(c, "cut short or damaged: it ends before segment %u does", i);
    }
    return 0;
}

static int check_sections(const checked *c, const file_header *h) {
    for (unsigned i = 0; i < h->e_shnum; i++) {
        section_header s;
        if (read_at(c, h->e_shoff + (uint64_t)i * sizeof s, &s, sizeof s) != 0) {
            return fail(c, "cut short or damaged: its section headers are not all there");
        }
        if (s.sh_type != SHT_NOBITS && !inside(c, s.sh_offset, s.sh_size)) {
            return fail(c, "cut short or damaged: it ends before section %u does", i);
        }
    }
    return 0;
}

int check_file(const char *path, char *why, size_t size) {
    checked c = {fopen(path, "rb"), 0, why, size};
    struct stat facts;
    file_header header;
    int result = -1;
    if (c.file == NULL) return fail(&c, "cannot be read: %s", strerror(errno));
    if (fstat(fileno(c.file), &facts) != 0 || !S_ISREG(facts.st_mode)) {
        fail(&c, "no regular file");
    } else {
        c.size = (uint64_t)facts.st_size;
        result = check_header(&c, &header);
        if (result == 0) result = check_programs(&c, &header);
        if (result == 0) result = check_sections(&c, &header);
    }
    fclose(c.file);
    return result;
}
