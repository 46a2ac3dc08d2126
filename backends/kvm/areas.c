/* What is recorded beside registers: areas of memory and state, and what changed in them. */
#include "record_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

void area_free(struct area *area) {
    if (area->shadow != NULL)
        munmap(area->shadow, area->size);
    free(area->dirty);
    free(area->touched);
    free(area->written);
    free(area->sums);
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
        area_free(area);
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

int area_read_dirty_log(struct area *area) {
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
        int error = area_read_dirty_log(area);

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

int area_read_state(struct area *area) {
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

uint32_t area_put(struct kdash_recording *recording, uint32_t number) {
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

int areas_read_dirty_logs(struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->area_count; i++) {
        int error = recording->areas[i].slot >= 0 && recording->areas[i].fd >= 0
                        ? area_read_dirty_log(&recording->areas[i])
                        : 0;

        if (error)
            return error;
    }
    return 0;
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

uint8_t *kdash_recording_shadow(struct kdash_recording *recording, uint32_t area) {
    return area < recording->area_count ? recording->areas[area].shadow : NULL;
}
