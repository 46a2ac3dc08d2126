/* The history of a recording: entries in chunks, the oldest dropped, and going along them. */
#include "record_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- chunks ---- */

static struct chunk *last_chunk(const struct kdash_recording *recording) {
    return recording->chunk_from < recording->chunk_to ? recording->chunks[recording->chunk_to - 1]
                                                       : NULL;
}

static uint64_t chunk_bytes(const struct chunk *chunk) {
    return sizeof *chunk + chunk->capacity + chunk->sum_size;
}

static void free_chunk(struct kdash_recording *recording, struct chunk *chunk) {
    recording->held -= chunk_bytes(chunk);
    free(chunk->sum);
    free(chunk->data);
    free(chunk);
}

static void close_chunk(struct kdash_recording *recording, struct chunk *chunk) {
    uint8_t *data;

    recording->held -= chunk_bytes(chunk);
    if (chunk->count > 1)
        sums_put_entry(recording, chunk);
    sums_forget(recording);
    data = realloc(chunk->data, chunk->used);
    if (data != NULL) {
        chunk->data = data;
        chunk->capacity = chunk->used;
    }
    chunk->closed = 1;
    recording->held += chunk_bytes(chunk);
}

static int make_room_for_chunk(struct kdash_recording *recording) {
    uint32_t held = recording->chunk_to - recording->chunk_from;

    if (recording->chunk_to < recording->chunk_room)
        return 0;
    if (recording->chunk_from > held) {
        memmove(recording->chunks, recording->chunks + recording->chunk_from,
                held * sizeof *recording->chunks);
        recording->chunk_from = 0;
        recording->chunk_to = held;
    } else {
        uint32_t room = recording->chunk_room ? 2 * recording->chunk_room : 256;
        struct chunk **chunks = realloc(recording->chunks, room * sizeof *chunks);

        if (chunks == NULL)
            return -ENOMEM;
        recording->chunks = chunks;
        recording->chunk_room = room;
    }
    return 0;
}

static struct chunk *open_chunk(struct kdash_recording *recording, size_t least) {
    struct chunk *chunk;

    if (least > UINT32_MAX || make_room_for_chunk(recording))
        return NULL;
    chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return NULL;
    memset(chunk, 0, offsetof(struct chunk, offsets));
    chunk->capacity = least > CHUNK_BYTES ? (uint32_t)least : CHUNK_BYTES;
    chunk->data = malloc(chunk->capacity);
    if (chunk->data == NULL) {
        free(chunk);
        return NULL;
    }
    chunk->first = recording->last;
    chunk->offsets[0] = 0;
    memcpy(recording->begin, recording->words, (size_t)recording->vcpu_count * WORDS * 8);
    recording->chunks[recording->chunk_to++] = chunk;
    recording->held += chunk_bytes(chunk);
    return chunk;
}

/* Drops the oldest chunks until the rest is within the limit. */
static void keep_limit(struct kdash_recording *recording) {
    while (recording->chunk_from < recording->chunk_to &&
           kdash_recording_bytes(recording) > recording->limit) {
        struct chunk *oldest = recording->chunks[recording->chunk_from];

        if (!oldest->closed)
            sums_forget(recording);
        recording->first = oldest->first + oldest->count;
        recording->chunk_from++;
        free_chunk(recording, oldest);
    }
}

void history_clear(struct kdash_recording *recording) {
    while (recording->chunk_from < recording->chunk_to)
        free_chunk(recording, recording->chunks[recording->chunk_from++]);
    sums_forget(recording);
    recording->first = recording->last;
}

int history_commit(struct kdash_recording *recording) {
    const struct buffer *scratch = &recording->scratch;
    struct chunk *chunk = last_chunk(recording);
    int error = 0;

    if (chunk != NULL && !chunk->closed &&
        (chunk->count == KDASH_CHUNK_ENTRIES || scratch->used > chunk->capacity - chunk->used))
        close_chunk(recording, chunk);
    if (chunk == NULL || chunk->closed)
        chunk = open_chunk(recording, scratch->used);
    if (chunk == NULL)
        return -ENOMEM;
    memcpy(chunk->data + chunk->used, scratch->data, scratch->used);
    chunk->used += (uint32_t)scratch->used;
    chunk->offsets[++chunk->count] = chunk->used;
    chunk->payloads += (scratch->data[0] & FLAG_PAYLOAD) != 0;
    chunk->steps += entry_kind(scratch->data) == KDASH_STEP;
    recording->steps += entry_kind(scratch->data) == KDASH_STEP;
    entry_apply_sections(scratch->data + 1, recording->words);
    recording->position = ++recording->last;
    if (chunk->capacity > CHUNK_BYTES)
        close_chunk(recording, chunk);
    else
        error = sums_add(recording, scratch->data);
    keep_limit(recording);
    return error;
}

int kdash_recording_append(struct kdash_recording *recording, const uint8_t *entry,
                           uint32_t length) {
    int error = -EINVAL;

    if (recording->position == recording->last)
        error = entry_check(recording, entry, length);
    if (error)
        return error;
    recording->scratch.used = 0;
    if (buffer_room(&recording->scratch, length))
        return -ENOMEM;
    memcpy(recording->scratch.data, entry, length);
    recording->scratch.used = length;
    if (entry[0] & FLAG_RUNS)
        entry_apply_runs(recording, entry_skip_sections(entry + 1));
    return history_commit(recording);
}

void history_free(struct kdash_recording *recording) {
    history_clear(recording);
    sums_free(recording);
    free(recording->chunks);
    free(recording->scratch.data);
}

/* The place of the chunk with the entry that begins at `moment`. */
static uint32_t chunk_place(const struct kdash_recording *recording, uint64_t moment) {
    uint32_t low = recording->chunk_from, high = recording->chunk_to;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (recording->chunks[middle]->first <= moment)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static const uint8_t *entry_in(const struct chunk *chunk, uint64_t moment, uint32_t *length) {
    uint32_t number = (uint32_t)(moment - chunk->first);

    if (length != NULL)
        *length = chunk->offsets[number + 1] - chunk->offsets[number];
    return chunk->data + chunk->offsets[number];
}

const uint8_t *kdash_recording_entry(const struct kdash_recording *recording, uint64_t moment,
                                     uint32_t *length) {
    if (moment < recording->first || moment >= recording->last)
        return NULL;
    return entry_in(recording->chunks[chunk_place(recording, moment)], moment, length);
}

const uint8_t *kdash_recording_payload(const struct kdash_recording *recording, uint64_t moment,
                                       uint32_t *length) {
    uint32_t size;
    const uint8_t *entry = kdash_recording_entry(recording, moment, &size);

    if (entry == NULL || !(entry[0] & FLAG_PAYLOAD))
        return NULL;
    *length = (uint32_t)load(entry + size - 4, 4);
    return entry + size - 4 - *length;
}

uint64_t kdash_recording_payload_before(const struct kdash_recording *recording, uint64_t moment) {
    if (moment > recording->last)
        moment = recording->last;
    while (moment > recording->first) {
        const struct chunk *chunk = recording->chunks[chunk_place(recording, moment - 1)];

        if (chunk->payloads == 0) {
            moment = chunk->first;
            continue;
        }
        for (; moment > chunk->first; moment--)
            if (entry_in(chunk, moment - 1, NULL)[0] & FLAG_PAYLOAD)
                return moment - 1;
    }
    return KDASH_NO_MOMENT;
}

/* ---- going along it ---- */

static void forward(struct kdash_recording *recording, uint64_t target) {
    while (recording->position < target) {
        uint64_t at = recording->position;
        const struct chunk *chunk = recording->chunks[chunk_place(recording, at)];
        uint64_t end = chunk->first + chunk->count;

        if (chunk->sum != NULL && at == chunk->first && target >= end) {
            entry_apply(recording, chunk->sum);
            recording->steps += chunk->steps;
            recording->position = end;
            continue;
        }
        for (; at < end && at < target; at++) {
            const uint8_t *entry = entry_in(chunk, at, NULL);

            entry_apply(recording, entry);
            recording->steps += entry_kind(entry) == KDASH_STEP;
        }
        recording->position = at;
    }
}

static void backward(struct kdash_recording *recording, uint64_t target) {
    while (recording->position > target) {
        uint64_t at = recording->position;
        const struct chunk *chunk = recording->chunks[chunk_place(recording, at - 1)];

        if (chunk->sum != NULL && at == chunk->first + chunk->count && target <= chunk->first) {
            entry_apply(recording, chunk->sum);
            recording->steps -= chunk->steps;
            recording->position = chunk->first;
            continue;
        }
        for (; at > chunk->first && at > target; at--) {
            const uint8_t *entry = entry_in(chunk, at - 1, NULL);

            entry_apply(recording, entry);
            recording->steps -= entry_kind(entry) == KDASH_STEP;
        }
        recording->position = at;
    }
}

int kdash_recording_seek(struct kdash_recording *recording, uint64_t moment) {
    if (moment < recording->first || moment > recording->last)
        return -ERANGE;
    forward(recording, moment);
    backward(recording, moment);
    return 0;
}

int kdash_recording_cut(struct kdash_recording *recording) {
    struct chunk *chunk;
    int error = 0;

    while ((chunk = last_chunk(recording)) != NULL && chunk->first >= recording->position) {
        if (!chunk->closed)
            sums_forget(recording);
        recording->chunk_to--;
        free_chunk(recording, chunk);
    }
    recording->last = recording->position;
    if (chunk == NULL || chunk->first + chunk->count == recording->position)
        return 0;
    /* The chunk in which we are is opened again at this entry. */
    sums_forget(recording);
    recording->held -= chunk_bytes(chunk);
    free(chunk->sum);
    chunk->sum = NULL;
    chunk->sum_size = 0;
    chunk->count = (uint32_t)(recording->position - chunk->first);
    chunk->used = chunk->offsets[chunk->count];
    chunk->steps = chunk->payloads = 0;
    chunk->closed = chunk->capacity > CHUNK_BYTES;
    memcpy(recording->begin, recording->words, (size_t)recording->vcpu_count * WORDS * 8);
    for (uint32_t i = 0; i < chunk->count; i++) {
        const uint8_t *entry = chunk->data + chunk->offsets[i];

        chunk->steps += entry_kind(entry) == KDASH_STEP;
        chunk->payloads += (entry[0] & FLAG_PAYLOAD) != 0;
        entry_apply_sections(entry + 1, recording->begin);
        if (!chunk->closed && error == 0)
            error = sums_add(recording, entry);
    }
    recording->held += chunk_bytes(chunk);
    return error;
}
