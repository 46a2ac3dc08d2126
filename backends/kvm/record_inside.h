/* What record.c, areas.c, entry.c, sums.c, history.c and search.c share of a recording. */
#ifndef KDASH_KVM_RECORD_INSIDE_H
#define KDASH_KVM_RECORD_INSIDE_H

#include "record.h"

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8)
#define WORDS KDASH_STATE_WORDS
#define GENERAL KDASH_REGISTERS
#define RSP 6   /* in struct kvm_regs */
#define RIP 16
#define CHUNK_BYTES (256u << 10)

/* An entry: flags; for each VCPU concerned its number, with MORE where another follows, and
 * its registers; the runs of memory; the payload and its length.
 *
 * Registers: three bytes of mask, a bit a general register and OTHERS; for each bit the bytes
 * of the difference, their number first; the same for the others with eight bytes of mask.
 * Runs: their number; for each the area and page, offset and length in the page, bytes. */
#define FLAG_RUNS 1
#define FLAG_PAYLOAD 2
#define KIND_SHIFT 4
#define MORE 0x80
#define OTHERS (1u << GENERAL)
#define RUN_HEAD 8
#define KEY_PAGE_BITS 24

struct buffer {
    uint8_t *data;
    size_t used, capacity;
    int failed;
};

struct area {
    uint8_t *host, *shadow;
    uint64_t size, guest;
    int slot, fd;
    unsigned long request;
    uint32_t when;
    uint64_t bitmap_words;
    uint64_t *dirty;   /* a bit a page, as KVM tells it */
    uint64_t *touched; /* as we were told, or not yet compared */
    int any_touched;
    uint64_t *written; /* either of them, since somebody asked */
    uint32_t *sums;    /* of each page: its place in sum_pages and 1, or 0 */
};

struct chunk {
    uint64_t first;     /* moment of its first entry */
    uint32_t count, payloads, steps;
    uint32_t used, capacity;
    int closed;
    uint32_t sum_size;
    uint8_t *sum;       /* of all entries, where that is faster */
    uint8_t *data;
    uint32_t offsets[KDASH_CHUNK_ENTRIES + 1];
};

struct sum_page {
    uint32_t key;
    uint64_t words[PAGE_WORDS];
};

struct kdash_recording {
    uint64_t limit;
    uint64_t fixed;     /* bytes of areas */
    uint64_t held;      /* bytes of chunks */
    uint64_t position, first, last, steps;
    uint64_t captured;  /* moment at which all areas were last read */
    uint64_t meta[2];   /* host's bytes of area 0: the moment the state is of */
    uint32_t vcpu_count;
    struct kdash_vcpu **vcpus;
    uint64_t *words;    /* of every VCPU at the moment shown */
    uint64_t *begin;    /* and at the begin of the open chunk */
    uint32_t area_count;
    struct area areas[KDASH_AREAS];
    struct chunk **chunks;
    uint32_t chunk_from, chunk_to, chunk_room;
    struct sum_page **sum_pages;
    uint32_t sum_count, sum_held, sum_room;
    struct buffer scratch;
};

/* areas.c */
void area_free(struct area *area);
/* Asks KVM which pages were written, or fills the area by its ioctl: 0 or -errno. */
int area_read_dirty_log(struct area *area);
int areas_read_dirty_logs(struct kdash_recording *recording);
int area_read_state(struct area *area);
/* Puts what changed as runs into the scratch buffer, and into the shadow; returns the runs. */
uint32_t area_put(struct kdash_recording *recording, uint32_t number);

/* entry.c */
int buffer_room(struct buffer *buffer, size_t bytes);
void entry_put_registers(struct buffer *buffer, const uint64_t *before, const uint64_t *after);
/* Shows what is before or behind an entry. */
void entry_apply(struct kdash_recording *recording, const uint8_t *entry);
/* Applies registers or memory of an entry; returns what is behind. */
const uint8_t *entry_apply_sections(const uint8_t *at, uint64_t *words);
const uint8_t *entry_apply_runs(struct kdash_recording *recording, const uint8_t *at);
const uint8_t *entry_skip_sections(const uint8_t *at);
/* Whether it can be an entry of this recording: 0 or -EINVAL. */
int entry_check(const struct kdash_recording *recording, const uint8_t *entry, uint32_t size);

/* sums.c */
/* Adds an entry's runs to the sums; 0 or -ENOMEM. */
int sums_add(struct kdash_recording *recording, const uint8_t *entry);
void sums_forget(struct kdash_recording *recording);
/* Gives the chunk, the open one, the entry that does what all of its own do. */
void sums_put_entry(struct kdash_recording *recording, struct chunk *chunk);
void sums_free(struct kdash_recording *recording);

/* history.c */
/* Puts the scratch buffer as an entry at the end and shows the moment behind it. */
int history_commit(struct kdash_recording *recording);
void history_clear(struct kdash_recording *recording);
void history_free(struct kdash_recording *recording);

static inline uint64_t load(const uint8_t *from, size_t bytes) {
    uint64_t value = 0;

    __builtin_memcpy(&value, from, bytes);
    return value;
}

static inline void put(struct buffer *buffer, uint64_t value, size_t bytes) {
    if (buffer_room(buffer, bytes))
        return;
    __builtin_memcpy(buffer->data + buffer->used, &value, bytes);
    buffer->used += bytes;
}

/* Exclusive or of words. */
static inline void apply_words(uint8_t *to, const uint8_t *from, uint32_t length) {
    for (uint32_t i = 0; i < length; i += 8) {
        uint64_t value = load(to + i, 8) ^ load(from + i, 8);

        __builtin_memcpy(to + i, &value, 8);
    }
}

static inline int entry_kind(const uint8_t *entry) {
    return entry[0] >> KIND_SHIFT;
}

#endif
