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

void kdash_recording_free(struct kdash_recording *recording) {
    if (recording == NULL)
        return;
    for (uint32_t i = 0; i < recording->vcpu_count && recording->vcpus != NULL; i++)
        if (recording->vcpus[i] != NULL)
            recording->vcpus[i]->recording = NULL;
    history_free(recording);
    for (uint32_t i = 0; i < recording->area_count; i++)
        area_free(&recording->areas[i]);
    free(recording->vcpus);
    free(recording->words);
    free(recording->begin);
    free(recording);
}

void kdash_recording_vcpu(struct kdash_recording *recording, uint32_t index,
                          struct kdash_vcpu *vcpu) {
    recording->vcpus[index] = vcpu;
    vcpu->recording = recording;
    vcpu->index = index;
    vcpu->run->kvm_valid_regs |= KVM_SYNC_X86_EVENTS;
}

void kdash_recording_attach(struct kdash_recording *recording, uint32_t number, uint8_t *host,
                            int fd, unsigned long request, uint32_t when) {
    struct area *area = &recording->areas[number];

    area->host = host;
    area->fd = fd;
    area->request = request;
    area->when = when;
}

void kdash_recording_detach(struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->vcpu_count; i++) {
        if (recording->vcpus[i] != NULL)
            recording->vcpus[i]->recording = NULL;
        recording->vcpus[i] = NULL;
    }
    for (uint32_t i = 1; i < recording->area_count; i++)
        kdash_recording_attach(recording, i, NULL, -1, 0, 0);
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
        error = area_read_state(area);
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
            runs += area_put(recording, i);
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
        error = areas_read_dirty_logs(recording);
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
        error = areas_read_dirty_logs(recording);
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
            error = area_read_state(area);
        else if (area->slot >= 0 && area->fd >= 0)
            error = area_read_dirty_log(area);
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
