/* Recording: what an entry holds, taken from the VCPUs and the memory of a machine. */
#include "record_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* kvm_run's synchronised state is what we record, in its order (asm/kvm.h). */
_Static_assert(sizeof(struct kvm_sync_regs) == WORDS * 8, "kvm_sync_regs");

/* All state is read anew after so many steps at the latest. */
#define CAPTURE_EVERY 4096

static const uint64_t *live_words(const struct kdash_vcpu *vcpu) {
    return (const uint64_t *)&vcpu->run->s.regs;
}

/* ---- life ---- */

struct kdash_recording *kdash_recording_new(uint64_t limit, uint32_t vcpus) {
    struct kdash_recording *recording = calloc(1, sizeof *recording);

    if (recording == NULL || vcpus == 0 || vcpus >= MORE) {
        free(recording);
        return NULL;
    }
    recording->limit = limit;
    recording->vcpu_count = vcpus;
    recording->vcpus = calloc(vcpus, sizeof *recording->vcpus);
    recording->words = calloc((size_t)vcpus * WORDS, 8);
    recording->begin = calloc((size_t)vcpus * WORDS, 8);
    if (recording->vcpus == NULL || recording->words == NULL || recording->begin == NULL ||
        kdash_recording_add(recording, (uint8_t *)recording->meta, sizeof recording->meta, 0, -1,
                            -1, 0, 0) < 0) {
        kdash_recording_free(recording);
        return NULL;
    }
    return recording;
}

static void free_area(struct area *area) {
    if (area->shadow != NULL)
        munmap(area->shadow, area->size);
    free(area->dirty);
    free(area->touched);
    free(area->written);
    free(area->sums);
}

void kdash_recording_free(struct kdash_recording *recording) {
    if (recording == NULL)
        return;
    for (uint32_t i = 0; i < recording->vcpu_count && recording->vcpus != NULL; i++)
        if (recording->vcpus[i] != NULL)
            recording->vcpus[i]->recording = NULL;
    history_free(recording);
    for (uint32_t i = 0; i < recording->area_count; i++)
        free_area(&recording->areas[i]);
    free(recording->vcpus);
    free(recording->words);
    free(recording->begin);
    free(recording);
}

int kdash_recording_add(struct kdash_recording *recording, uint8_t *host, uint64_t size,
                        uint64_t guest, int slot, int fd, unsigned long request, uint32_t when) {
    struct area *area = &recording->areas[recording->area_count];
    uint64_t pages = (size + PAGE_BYTES - 1) / PAGE_BYTES;

    if (recording->area_count == KDASH_AREAS || size == 0 || size % 8 ||
        pages >= 1u << KEY_PAGE_BITS)
        return -EINVAL;
    memset(area, 0, sizeof *area);
    area->bitmap_words = (pages + 63) / 64;
    area->shadow = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area->shadow == MAP_FAILED)
        area->shadow = NULL;
    area->dirty = calloc(area->bitmap_words, 8);
    area->touched = calloc(area->bitmap_words, 8);
    area->written = calloc(area->bitmap_words, 8);
    area->sums = calloc(pages, sizeof *area->sums);
    area->size = size;
    if (area->shadow == NULL || area->dirty == NULL || area->touched == NULL ||
        area->written == NULL || area->sums == NULL) {
        free_area(area);
        return -ENOMEM;
    }
    area->host = host;
    area->guest = guest;
    area->slot = slot;
    area->fd = fd;
    area->request = request;
    area->when = when;
    recording->fixed += size + area->bitmap_words * 24 + pages * sizeof *area->sums;
    return (int)recording->area_count++;
}

void kdash_recording_vcpu(struct kdash_recording *recording, uint32_t index,
                          struct kdash_vcpu *vcpu) {
    recording->vcpus[index] = vcpu;
    vcpu->recording = recording;
    vcpu->index = index;
    vcpu->run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
}

/* ---- what changed ---- */

static int read_dirty_log(struct area *area) {
    struct kvm_dirty_log log = {.slot = (uint32_t)area->slot};

    log.dirty_bitmap = area->dirty;
    if (ioctl(area->fd, KVM_GET_DIRTY_LOG, &log))
        return -errno;
    for (uint64_t i = 0; i < area->bitmap_words; i++)
        area->written[i] |= area->dirty[i];
    return 0;
}

int kdash_recording_written(struct kdash_recording *recording, uint32_t number,
                            uint64_t *bitmap) {
    struct area *area = &recording->areas[number];

    if (number >= recording->area_count || area->slot < 0)
        return -EINVAL;
    if (area->fd >= 0) { /* reading the log clears it: the next entry shall know of it too */
        int error = read_dirty_log(area);

        if (error)
            return error;
        for (uint64_t i = 0; i < area->bitmap_words; i++)
            area->touched[i] |= area->dirty[i];
        memset(area->dirty, 0, area->bitmap_words * 8);
        area->any_touched = 1;
    }
    memcpy(bitmap, area->written, area->bitmap_words * 8);
    memset(area->written, 0, area->bitmap_words * 8);
    return 0;
}

static int read_state(struct area *area) {
    if (ioctl(area->fd, area->request, area->host) < 0)
        return -errno;
    memset(area->touched, 0xff, area->bitmap_words * 8);
    area->any_touched = 1;
    return 0;
}

void kdash_recording_touch(struct kdash_recording *recording, uint32_t number, uint64_t offset,
                           uint64_t length) {
    struct area *area = &recording->areas[number];

    if (number >= recording->area_count || offset >= area->size || length == 0)
        return;
    if (length > area->size - offset)
        length = area->size - offset;
    for (uint64_t page = offset / PAGE_BYTES; page <= (offset + length - 1) / PAGE_BYTES; page++) {
        area->touched[page / 64] |= 1ull << (page % 64);
        area->written[page / 64] |= 1ull << (page % 64);
    }
    area->any_touched = 1;
}

/* Puts the words of a page that differ as runs, and into the shadow; returns the runs. */
static uint32_t put_page(struct kdash_recording *recording, uint32_t number, uint64_t page) {
    const struct area *area = &recording->areas[number];
    struct buffer *buffer = &recording->scratch;
    uint64_t place = page * PAGE_BYTES;
    unsigned words = area->size - place < PAGE_BYTES ? (unsigned)(area->size - place) / 8
                                                     : PAGE_WORDS;
    const uint64_t *now = (const uint64_t *)(area->host + place);
    uint64_t *then = (uint64_t *)(area->shadow + place);
    uint32_t runs = 0;

    for (unsigned i = 0; i < words;) {
        unsigned begin, block = words - i < 16 ? words - i : 16;

        if (memcmp(now + i, then + i, block * 8) == 0) {
            i += block;
            continue;
        }
        while (now[i] == then[i])
            i++;
        if (buffer_room(buffer, RUN_HEAD + PAGE_BYTES))
            return runs;
        put(buffer, (uint64_t)number << KEY_PAGE_BITS | page, 4);
        put(buffer, i * 8, 2);
        put(buffer, 0, 2);
        for (begin = i; i < words && now[i] != then[i]; i++) {
            put(buffer, now[i] ^ then[i], 8);
            then[i] = now[i];
        }
        *(uint16_t *)(buffer->data + buffer->used - (i - begin) * 8 - 2) =
            (uint16_t)((i - begin) * 8);
        runs++;
    }
    return runs;
}

static uint32_t put_area(struct kdash_recording *recording, uint32_t number) {
    struct area *area = &recording->areas[number];
    uint64_t pages = (area->size + PAGE_BYTES - 1) / PAGE_BYTES;
    uint32_t runs = 0;

    for (uint64_t i = 0; i < area->bitmap_words; i++) {
        uint64_t dirty = (area->slot >= 0 ? area->dirty[i] : 0) |
                         (area->any_touched ? area->touched[i] : 0);

        for (; dirty; dirty &= dirty - 1) {
            uint64_t page = i * 64 + (uint64_t)__builtin_ctzll(dirty);

            if (page < pages)
                runs += put_page(recording, number, page);
        }
    }
    if (area->any_touched)
        memset(area->touched, 0, area->bitmap_words * 8);
    area->any_touched = 0;
    return runs;
}

/* Reads the state that an entry shall hold beside registers and memory. */
static int capture(struct kdash_recording *recording, uint32_t vcpu, uint32_t changes) {
    if (changes == 0)
        return 0;
    for (uint32_t i = 1; i < recording->area_count; i++) {
        struct area *area = &recording->areas[i];
        int error;

        if (area->request == 0 || !(area->when & changes) ||
            (changes != KDASH_CHANGES_ALL && area->fd != recording->vcpus[vcpu]->fd))
            continue;
        error = read_state(area);
        if (error)
            return error;
    }
    if (changes == KDASH_CHANGES_ALL)
        recording->captured = recording->last;
    recording->meta[0] = recording->last + 1;
    kdash_recording_touch(recording, 0, 0, 8);
    return 0;
}

/* ---- entries ---- */

static void put_vcpu(struct kdash_recording *recording, uint32_t index, uint32_t more) {
    put(&recording->scratch, index | more, 1);
    entry_put_registers(&recording->scratch, recording->words + (size_t)index * WORDS,
                        live_words(recording->vcpus[index]));
}

/* Pending events don't come with registers that were read by ioctl. */
static int read_events(const struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->vcpu_count; i++) {
        struct kdash_vcpu *vcpu = recording->vcpus[i];

        if (vcpu != NULL && ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &vcpu->run->s.regs.events))
            return -errno;
    }
    return 0;
}

static int put_entry(struct kdash_recording *recording, uint32_t vcpu, uint32_t kind,
                     const uint8_t *payload, uint32_t length) {
    struct buffer *scratch = &recording->scratch;
    uint32_t runs = 0;
    size_t place;

    scratch->used = 0;
    scratch->failed = 0;
    put(scratch, kind << KIND_SHIFT | (length ? FLAG_PAYLOAD : 0), 1);
    put_vcpu(recording, vcpu, kind != KDASH_STEP && recording->vcpu_count > 1 ? MORE : 0);
    for (uint32_t i = 0, left = recording->vcpu_count - 1; kind != KDASH_STEP && left; i++)
        if (i != vcpu)
            put_vcpu(recording, i, --left ? MORE : 0);
    place = scratch->used;
    put(scratch, 0, 4);
    for (uint32_t i = 0; i < recording->area_count; i++)
        if (recording->areas[i].slot >= 0 || recording->areas[i].any_touched)
            runs += put_area(recording, i);
    if (scratch->failed)
        return -ENOMEM;
    if (runs) {
        memcpy(scratch->data + place, &runs, 4);
        scratch->data[0] |= FLAG_RUNS;
    } else {
        scratch->used = place;
    }
    if (length) {
        if (buffer_room(scratch, (size_t)length + 4))
            return -ENOMEM;
        memcpy(scratch->data + scratch->used, payload, length);
        scratch->used += length;
        put(scratch, length, 4);
    }
    return history_commit(recording);
}

static int read_dirty_logs(struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->area_count; i++) {
        int error = recording->areas[i].slot >= 0 && recording->areas[i].fd >= 0
                        ? read_dirty_log(&recording->areas[i])
                        : 0;

        if (error)
            return error;
    }
    return 0;
}

int kdash_recording_enter(struct kdash_recording *recording, uint32_t vcpu, uint32_t kind,
                          uint32_t changes, const uint8_t *payload, uint32_t length) {
    int error = 0;

    if (recording->position != recording->last || vcpu >= recording->vcpu_count)
        return -EINVAL;
    if (kind != KDASH_STEP || recording->last - recording->captured >= CAPTURE_EVERY)
        changes = KDASH_CHANGES_ALL;
    if (kind != KDASH_STEP)
        error = read_events(recording);
    if (error == 0)
        error = capture(recording, vcpu, changes);
    if (error == 0)
        error = read_dirty_logs(recording);
    if (error)
        return error;
    error = put_entry(recording, vcpu, kind, payload, length);
    if (error) { /* what went before would not lead here any more */
        history_clear(recording);
        kdash_recording_begin(recording, recording->last, recording->steps);
    }
    return error;
}

int kdash_recording_differs(struct kdash_recording *recording) {
    int error = read_events(recording);

    if (error == 0)
        error = read_dirty_logs(recording);
    if (error)
        return error;
    for (uint32_t i = 0; i < recording->vcpu_count; i++)
        if (memcmp(recording->words + (size_t)i * WORDS, live_words(recording->vcpus[i]),
                   WORDS * 8) != 0)
            error = 1;
    for (uint32_t i = 0; i < recording->area_count; i++) {
        struct area *area = &recording->areas[i];

        for (uint64_t j = 0; area->slot >= 0 && j < area->bitmap_words; j++) {
            uint64_t dirty = area->touched[j] |= area->dirty[j];

            for (; dirty; dirty &= dirty - 1) {
                uint64_t place = (j * 64 + (uint64_t)__builtin_ctzll(dirty)) * PAGE_BYTES;

                area->any_touched = 1;
                if (place < area->size &&
                    memcmp(area->host + place, area->shadow + place, PAGE_BYTES) != 0)
                    error = 1;
            }
        }
    }
    return error;
}

int kdash_recording_begin(struct kdash_recording *recording, uint64_t moment, uint64_t steps) {
    int error = read_events(recording);

    for (uint32_t i = 1; i < recording->area_count && error == 0; i++) {
        struct area *area = &recording->areas[i];

        if (area->host == NULL)
            continue;
        if (area->request)
            error = read_state(area);
        else if (area->slot >= 0 && area->fd >= 0)
            error = read_dirty_log(area);
        /* Both only save page faults; where the kernel can't, memcpy takes them. */
        madvise(area->shadow, area->size, MADV_HUGEPAGE);
        if (area->slot >= 0)
            madvise(area->host, area->size, MADV_POPULATE_READ);
        memcpy(area->shadow, area->host, area->size);
        memset(area->touched, 0, area->bitmap_words * 8);
        area->any_touched = 0;
    }
    for (uint32_t i = 0; i < recording->vcpu_count; i++)
        if (recording->vcpus[i] != NULL)
            memcpy(recording->words + (size_t)i * WORDS, live_words(recording->vcpus[i]),
                   WORDS * 8);
    recording->meta[0] = recording->captured = moment;
    memcpy(recording->areas[0].shadow, recording->meta, sizeof recording->meta);
    recording->first = recording->last = recording->position = moment;
    recording->steps = steps;
    return error;
}

uint64_t kdash_recording_restore(struct kdash_recording *recording) {
    uint64_t differing = 0;

    for (uint32_t i = 0; i < recording->area_count; i++) {
        const struct area *area = &recording->areas[i];

        if (area->host == NULL)
            continue;
        for (uint64_t place = 0; place < area->size; place += PAGE_BYTES) {
            uint64_t bytes = area->size - place < PAGE_BYTES ? area->size - place : PAGE_BYTES;

            if (memcmp(area->host + place, area->shadow + place, bytes) == 0)
                continue;
            memcpy(area->host + place, area->shadow + place, bytes);
            differing++;
        }
    }
    return differing;
}

/* ---- what is asked for ---- */

uint64_t kdash_recording_first(const struct kdash_recording *recording) {
    return recording->first;
}

uint64_t kdash_recording_last(const struct kdash_recording *recording) {
    return recording->last;
}

uint64_t kdash_recording_position(const struct kdash_recording *recording) {
    return recording->position;
}

uint64_t kdash_recording_steps(const struct kdash_recording *recording) {
    return recording->steps;
}

uint64_t kdash_recording_bytes(const struct kdash_recording *recording) {
    return recording->fixed + recording->held +
           (uint64_t)recording->sum_held * sizeof(struct sum_page) + recording->scratch.capacity;
}

uint64_t *kdash_recording_words(struct kdash_recording *recording, uint32_t vcpu) {
    return vcpu < recording->vcpu_count ? recording->words + (size_t)vcpu * WORDS : NULL;
}

uint8_t *kdash_recording_shadow(struct kdash_recording *recording, uint32_t area) {
    return area < recording->area_count ? recording->areas[area].shadow : NULL;
}

/* ---- instructions that change more than registers and memory ---- */

static int is_fpu_0f(uint8_t second) {
    /* SSE and MMX by their rows of the opcode map (SDM vol. 2D, A.3); conditional moves,
     * jumps, SETcc and the integer instructions among them left out. */
    return (second >= 0x10 && second <= 0x17) || (second >= 0x28 && second <= 0x2f) ||
           second == 0x38 || second == 0x3a || (second >= 0x50 && second <= 0x7f) ||
           second == 0x77 || second == 0xae || second == 0xc2 || (second >= 0xc4 && second <= 0xc7) ||
           second >= 0xd0 || second == 0x0e;
}

static uint32_t changes_0f(const uint8_t *code, uint32_t left) {
    if (left == 0)
        return 0;
    switch (code[0]) {
    case 0x01: /* XSETBV, SWAPGS, VM and SGX instructions: the ModRM byte says which */
        return left > 1 && code[1] >= 0xc0 ? KDASH_CHANGES_MSR | KDASH_CHANGES_FPU : 0;
    case 0x05: case 0x07: case 0x34: case 0x35: /* SYSCALL, SYSRET, SYSENTER, SYSEXIT */
    case 0x30: /* WRMSR */
        return KDASH_CHANGES_MSR | KDASH_CHANGES_FPU;
    case 0x21: case 0x23: /* MOV from or to a debug register */
        return KDASH_CHANGES_DEBUG;
    default:
        return is_fpu_0f(code[0]) ? KDASH_CHANGES_FPU : 0;
    }
}

uint32_t kdash_changes(const uint8_t *code, uint32_t length, int bits) {
    uint32_t i = 0;

    while (i < length && kdash_is_prefix(code[i], bits))
        i++;
    if (i == length)
        return 0;
    if (code[i] == 0x0f)
        return changes_0f(code + i + 1, length - i - 1);
    if ((code[i] >= 0xd8 && code[i] <= 0xdf) || code[i] == 0x9b) /* x87, FWAIT */
        return KDASH_CHANGES_FPU;
    if (code[i] == 0xc4 || code[i] == 0xc5 || code[i] == 0x62) /* VEX and EVEX, or LES, LDS, BOUND */
        return bits == 64 || (i + 1 < length && code[i + 1] >= 0xc0) ? KDASH_CHANGES_FPU : 0;
    return 0;
}
