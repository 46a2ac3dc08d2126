/* Entries of a recording: written, applied, skipped, and checked where a file brings them. */
#include "record_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int buffer_room(struct buffer *buffer, size_t bytes) {
    size_t wanted = buffer->capacity ? buffer->capacity : 4096;
    uint8_t *data;

    if (buffer->used + bytes <= buffer->capacity)
        return 0;
    while (wanted < buffer->used + bytes)
        wanted *= 2;
    data = realloc(buffer->data, wanted);
    if (data == NULL) {
        buffer->failed = 1;
        return -1;
    }
    buffer->data = data;
    buffer->capacity = wanted;
    return 0;
}

static uint64_t put_differences(uint8_t **at, const uint64_t *before, const uint64_t *after,
                                unsigned from, unsigned to) {
    uint64_t mask = 0;

    for (unsigned i = from; i < to; i++) {
        uint64_t difference = before[i] ^ after[i];
        unsigned bytes;

        if (difference == 0)
            continue;
        mask |= 1ull << (i - from);
        bytes = (71 - (unsigned)__builtin_clzll(difference)) / 8;
        *(*at)++ = (uint8_t)bytes;
        memcpy(*at, &difference, 8);
        *at += bytes;
    }
    return mask;
}

void entry_put_registers(struct buffer *buffer, const uint64_t *before, const uint64_t *after) {
    uint8_t *head, *at;
    uint64_t mask;

    if (buffer_room(buffer, 3 + 8 + 9 * WORDS + 8))
        return;
    head = buffer->data + buffer->used;
    at = head + 3;
    mask = put_differences(&at, before, after, 0, GENERAL);
    if (memcmp(before + GENERAL, after + GENERAL, (WORDS - GENERAL) * 8) != 0) {
        uint8_t *others = at;
        uint64_t other_mask;

        mask |= OTHERS;
        at += 8;
        other_mask = put_differences(&at, before, after, GENERAL, WORDS);
        memcpy(others, &other_mask, 8);
    }
    memcpy(head, &mask, 3);
    buffer->used = (size_t)(at - buffer->data);
}

static const uint8_t *apply_differences(const uint8_t *at, uint64_t mask, uint64_t *words) {
    for (; mask; mask &= mask - 1) {
        unsigned bytes = *at++;

        words[__builtin_ctzll(mask)] ^= load(at, bytes);
        at += bytes;
    }
    return at;
}

const uint8_t *entry_apply_sections(const uint8_t *at, uint64_t *words) {
    uint8_t vcpu;

    do {
        uint64_t *own;
        uint64_t mask;

        vcpu = *at++;
        own = words + (size_t)(vcpu & ~MORE) * WORDS;
        mask = load(at, 3);
        at = apply_differences(at + 3, mask & (OTHERS - 1), own);
        if (mask & OTHERS)
            at = apply_differences(at + 8, load(at, 8), own + GENERAL);
    } while (vcpu & MORE);
    return at;
}

const uint8_t *entry_skip_sections(const uint8_t *at) {
    uint8_t vcpu;

    do {
        uint64_t mask;

        vcpu = *at++;
        mask = load(at, 3);
        at += 3;
        for (uint64_t left = mask & (OTHERS - 1); left; left &= left - 1)
            at += 1 + *at;
        if (mask & OTHERS) {
            uint64_t left = load(at, 8);

            at += 8;
            for (; left; left &= left - 1)
                at += 1 + *at;
        }
    } while (vcpu & MORE);
    return at;
}

const uint8_t *entry_apply_runs(struct kdash_recording *recording, const uint8_t *at) {
    uint32_t runs = (uint32_t)load(at, 4);

    for (at += 4; runs; runs--) {
        uint32_t key = (uint32_t)load(at, 4);
        uint32_t offset = (uint32_t)load(at + 4, 2), length = (uint32_t)load(at + 6, 2);
        uint64_t page = key & ((1u << KEY_PAGE_BITS) - 1);

        apply_words(recording->areas[key >> KEY_PAGE_BITS].shadow + page * PAGE_BYTES + offset,
                    at + RUN_HEAD, length);
        at += RUN_HEAD + length;
    }
    return at;
}

void entry_apply(struct kdash_recording *recording, const uint8_t *entry) {
    const uint8_t *at = entry_apply_sections(entry + 1, recording->words);

    if (entry[0] & FLAG_RUNS)
        entry_apply_runs(recording, at);
}

/* ---- entries of files ---- */

struct cursor {
    const uint8_t *at, *end;
};

static int skip(struct cursor *cursor, size_t bytes) {
    if ((size_t)(cursor->end - cursor->at) < bytes)
        return -1;
    cursor->at += bytes;
    return 0;
}

static int check_differences(struct cursor *cursor, uint64_t mask) {
    for (; mask; mask &= mask - 1) {
        const uint8_t *bytes = cursor->at;

        if (skip(cursor, 1) || *bytes < 1 || *bytes > 8 || skip(cursor, *bytes))
            return -1;
    }
    return 0;
}

static int check_sections(const struct kdash_recording *recording, struct cursor *cursor) {
    const uint8_t *head;
    uint64_t mask;

    do {
        head = cursor->at;
        if (skip(cursor, 4) || (uint32_t)(*head & ~MORE) >= recording->vcpu_count)
            return -1;
        mask = load(head + 1, 3);
        if (mask >= OTHERS << 1 || check_differences(cursor, mask & (OTHERS - 1)))
            return -1;
        if (mask & OTHERS) {
            const uint8_t *others = cursor->at;

            if (skip(cursor, 8) || load(others, 8) >> (WORDS - GENERAL) ||
                check_differences(cursor, load(others, 8)))
                return -1;
        }
    } while (*head & MORE);
    return 0;
}

static int check_runs(const struct kdash_recording *recording, struct cursor *cursor) {
    const uint8_t *head = cursor->at;
    uint32_t runs;

    if (skip(cursor, 4))
        return -1;
    for (runs = (uint32_t)load(head, 4); runs; runs--) {
        uint64_t key, offset, length, place;

        head = cursor->at;
        if (skip(cursor, RUN_HEAD))
            return -1;
        key = load(head, 4);
        offset = load(head + 4, 2);
        length = load(head + 6, 2);
        place = (key & ((1u << KEY_PAGE_BITS) - 1)) * PAGE_BYTES + offset;
        if (key >> KEY_PAGE_BITS >= recording->area_count || length == 0 || (offset | length) % 8 ||
            offset + length > PAGE_BYTES ||
            place + length > recording->areas[key >> KEY_PAGE_BITS].size || skip(cursor, length))
            return -1;
    }
    return 0;
}

int entry_check(const struct kdash_recording *recording, const uint8_t *entry, uint32_t size) {
    struct cursor cursor = {entry, entry + size};
    size_t left;

    if (skip(&cursor, 1) || (entry[0] & ~(FLAG_RUNS | FLAG_PAYLOAD | 3 << KIND_SHIFT)) ||
        entry_kind(entry) > KDASH_EDIT || check_sections(recording, &cursor) ||
        ((entry[0] & FLAG_RUNS) && check_runs(recording, &cursor)))
        return -EINVAL;
    left = (size_t)(cursor.end - cursor.at);
    if (!(entry[0] & FLAG_PAYLOAD))
        return left ? -EINVAL : 0;
    return left < 4 || load(cursor.end - 4, 4) != left - 4 ? -EINVAL : 0;
}
