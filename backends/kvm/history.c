/* The history of a recording: entries in chunks, going along them, searching them. */
#include "record_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing and reading entries ---- */

int history_room(struct buffer *buffer, size_t bytes) {
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

void history_put_registers(struct buffer *buffer, const uint64_t *before, const uint64_t *after) {
    uint8_t *head, *at;
    uint64_t mask;

    if (history_room(buffer, 3 + 8 + 9 * WORDS + 8))
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

const uint8_t *history_sections(const uint8_t *at, uint64_t *words) {
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

static const uint8_t *skip_sections(const uint8_t *at) {
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

static void apply_words(uint8_t *to, const uint8_t *from, uint32_t length) {
    for (uint32_t i = 0; i < length; i += 8) {
        uint64_t value = load(to + i, 8) ^ load(from + i, 8);

        memcpy(to + i, &value, 8);
    }
}

const uint8_t *history_runs(struct kdash_recording *recording, const uint8_t *at) {
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

static int entry_kind(const uint8_t *entry) {
    return entry[0] >> KIND_SHIFT;
}

static void apply(struct kdash_recording *recording, const uint8_t *entry) {
    const uint8_t *at = history_sections(entry + 1, recording->words);

    if (entry[0] & FLAG_RUNS)
        history_runs(recording, at);
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

static int check(const struct kdash_recording *recording, const uint8_t *entry, uint32_t size) {
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

int kdash_recording_append(struct kdash_recording *recording, const uint8_t *entry,
                           uint32_t length) {
    int error = recording->position == recording->last ? check(recording, entry, length) : -EINVAL;

    if (error)
        return error;
    recording->scratch.used = 0;
    if (history_room(&recording->scratch, length))
        return -ENOMEM;
    memcpy(recording->scratch.data, entry, length);
    recording->scratch.used = length;
    if (entry[0] & FLAG_RUNS)
        history_runs(recording, skip_sections(entry + 1));
    return history_commit(recording);
}

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

/* The page that adds up what the open chunk changes in one page of an area. */
static struct sum_page *sum_of(struct kdash_recording *recording, uint32_t key) {
    uint32_t *place = &recording->areas[key >> KEY_PAGE_BITS].sums[key & ((1u << KEY_PAGE_BITS) - 1)];
    struct sum_page *page;

    if (*place)
        return recording->sum_pages[*place - 1];
    if (recording->sum_count == recording->sum_held) {
        if (recording->sum_held == recording->sum_room) {
            uint32_t room = recording->sum_room ? 2 * recording->sum_room : 64;
            struct sum_page **pages = realloc(recording->sum_pages, room * sizeof *pages);

            if (pages == NULL)
                return NULL;
            recording->sum_pages = pages;
            recording->sum_room = room;
        }
        page = malloc(sizeof *page);
        if (page == NULL)
            return NULL;
        recording->sum_pages[recording->sum_held++] = page;
    }
    page = recording->sum_pages[recording->sum_count];
    page->key = key;
    memset(page->words, 0, sizeof page->words);
    *place = ++recording->sum_count;
    return page;
}

static void forget_sums(struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->sum_count; i++) {
        uint32_t key = recording->sum_pages[i]->key;

        recording->areas[key >> KEY_PAGE_BITS].sums[key & ((1u << KEY_PAGE_BITS) - 1)] = 0;
    }
    recording->sum_count = 0;
}

/* Adds an entry's runs to the sums; 0 or -ENOMEM. */
static int add_up(struct kdash_recording *recording, const uint8_t *entry) {
    const uint8_t *at;
    uint32_t runs;

    if (!(entry[0] & FLAG_RUNS))
        return 0;
    at = skip_sections(entry + 1);
    runs = (uint32_t)load(at, 4);
    for (at += 4; runs; runs--) {
        struct sum_page *page = sum_of(recording, (uint32_t)load(at, 4));
        uint32_t offset = (uint32_t)load(at + 4, 2), length = (uint32_t)load(at + 6, 2);

        if (page == NULL)
            return -ENOMEM;
        apply_words((uint8_t *)page->words + offset, at + RUN_HEAD, length);
        at += RUN_HEAD + length;
    }
    return 0;
}

/* Runs of the words that are not 0. */
static uint32_t put_sum_page(struct buffer *buffer, const struct sum_page *page) {
    uint32_t runs = 0;

    for (unsigned i = 0; i < PAGE_WORDS;) {
        unsigned begin;

        if (page->words[i] == 0) {
            i++;
            continue;
        }
        for (begin = i; i < PAGE_WORDS && page->words[i]; i++)
            ;
        if (history_room(buffer, RUN_HEAD + PAGE_BYTES))
            return runs;
        put(buffer, page->key, 4);
        put(buffer, begin * 8, 2);
        put(buffer, (i - begin) * 8, 2);
        memcpy(buffer->data + buffer->used, &page->words[begin], (i - begin) * 8);
        buffer->used += (i - begin) * 8;
        runs++;
    }
    return runs;
}

static void sum_up(struct kdash_recording *recording, struct chunk *chunk) {
    struct buffer sum = {NULL, 0, 0, 0};
    size_t place;
    uint32_t runs = 0;

    put(&sum, FLAG_RUNS, 1);
    for (uint32_t i = 0; i < recording->vcpu_count; i++) {
        put(&sum, i | (i + 1 < recording->vcpu_count ? MORE : 0), 1);
        history_put_registers(&sum, recording->begin + (size_t)i * WORDS,
                              recording->words + (size_t)i * WORDS);
    }
    place = sum.used;
    put(&sum, 0, 4);
    for (uint32_t i = 0; i < recording->sum_count; i++)
        runs += put_sum_page(&sum, recording->sum_pages[i]);
    if (sum.failed) { /* the entries do as well, only slower */
        free(sum.data);
        return;
    }
    memcpy(sum.data + place, &runs, 4);
    chunk->sum = realloc(sum.data, sum.used);
    if (chunk->sum == NULL)
        chunk->sum = sum.data;
    chunk->sum_size = (uint32_t)sum.used;
}

static void close_chunk(struct kdash_recording *recording, struct chunk *chunk) {
    uint8_t *data;

    recording->held -= chunk_bytes(chunk);
    if (chunk->count > 1)
        sum_up(recording, chunk);
    forget_sums(recording);
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
            forget_sums(recording);
        recording->first = oldest->first + oldest->count;
        recording->chunk_from++;
        free_chunk(recording, oldest);
    }
}

void history_clear(struct kdash_recording *recording) {
    while (recording->chunk_from < recording->chunk_to)
        free_chunk(recording, recording->chunks[recording->chunk_from++]);
    forget_sums(recording);
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
    history_sections(scratch->data + 1, recording->words);
    recording->position = ++recording->last;
    if (chunk->capacity > CHUNK_BYTES)
        close_chunk(recording, chunk);
    else
        error = add_up(recording, scratch->data);
    keep_limit(recording);
    return error;
}

void history_free(struct kdash_recording *recording) {
    history_clear(recording);
    for (uint32_t i = 0; i < recording->sum_held; i++)
        free(recording->sum_pages[i]);
    free(recording->sum_pages);
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
            apply(recording, chunk->sum);
            recording->steps += chunk->steps;
            recording->position = end;
            continue;
        }
        for (; at < end && at < target; at++) {
            const uint8_t *entry = entry_in(chunk, at, NULL);

            apply(recording, entry);
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
            apply(recording, chunk->sum);
            recording->steps -= chunk->steps;
            recording->position = chunk->first;
            continue;
        }
        for (; at > chunk->first && at > target; at--) {
            const uint8_t *entry = entry_in(chunk, at - 1, NULL);

            apply(recording, entry);
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
            forget_sums(recording);
        recording->chunk_to--;
        free_chunk(recording, chunk);
    }
    recording->last = recording->position;
    if (chunk == NULL || chunk->first + chunk->count == recording->position)
        return 0;
    /* The chunk in which we are is opened again at this entry. */
    forget_sums(recording);
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
        history_sections(entry + 1, recording->begin);
        if (!chunk->closed && error == 0)
            error = add_up(recording, entry);
    }
    recording->held += chunk_bytes(chunk);
    return error;
}

uint64_t kdash_recording_steps_after(const struct kdash_recording *recording, uint32_t vcpu) {
    uint64_t steps = 0;

    for (uint64_t moment = recording->position; moment < recording->last; moment++) {
        const uint8_t *entry = kdash_recording_entry(recording, moment, NULL);

        steps += entry_kind(entry) == KDASH_STEP && (entry[1] & ~(uint32_t)MORE) == vcpu;
    }
    return steps;
}

/* ---- searching ---- */

static int at_stop(const struct kdash_search *search, const uint64_t *words, uint32_t vcpu) {
    const uint64_t *own = words + (size_t)vcpu * WORDS;

    const struct kvm_sregs *sregs = &((const struct kvm_sync_regs *)own)->sregs;
    uint64_t linear = own[RIP];

    if (kdash_code_bits(sregs) != 64)
        linear = (linear + sregs->cs.base) & 0xffffffff;
    for (uint32_t i = 0; i < search->stop_count; i++)
        if (search->stops[i].linear == linear && own[RSP] >= search->stops[i].minimum_sp)
            return 1;
    return 0;
}

static int changes_in(const struct kdash_recording *recording, const struct kdash_stretch *range,
                      const uint8_t *run) {
    uint32_t key = (uint32_t)load(run, 4);
    uint64_t offset = load(run + 4, 2), length = load(run + 6, 2);
    const struct area *area = &recording->areas[key >> KEY_PAGE_BITS];
    uint64_t start = area->guest + (key & ((1u << KEY_PAGE_BITS) - 1)) * (uint64_t)PAGE_BYTES + offset;

    if (area->slot < 0)
        return 0;
    for (uint64_t i = 0; i < length; i++)
        if (run[RUN_HEAD + i] && start + i - range->physical < range->length)
            return 1;
    return 0;
}

static int changes_memory(const struct kdash_recording *recording,
                          const struct kdash_search *search, const uint8_t *entry,
                          const uint8_t *at) {
    uint32_t runs;

    if (search->range_count == 0 || !(entry[0] & FLAG_RUNS))
        return 0;
    runs = (uint32_t)load(at, 4);
    for (at += 4; runs; runs--) {
        for (uint32_t i = 0; i < search->range_count; i++)
            if (changes_in(recording, &search->ranges[i], at))
                return 1;
        at += RUN_HEAD + load(at + 6, 2);
    }
    return 0;
}

static int entry_matches(const struct kdash_recording *recording,
                         const struct kdash_search *search, const uint8_t *entry,
                         const uint8_t *behind) {
    return (search->payloads && (entry[0] & FLAG_PAYLOAD)) ||
           changes_memory(recording, search, entry, behind);
}

/* Whose registers tell where the guest came at `moment`. */
static uint32_t arrived(const struct kdash_recording *recording, uint64_t moment) {
    const uint8_t *entry = kdash_recording_entry(
        recording, moment > recording->first ? moment - 1 : moment, NULL);

    return entry == NULL ? 0 : entry[1] & ~(uint32_t)MORE;
}

static int state_matches(const struct kdash_recording *recording,
                         const struct kdash_search *search, const uint64_t *words,
                         uint64_t moment) {
    if (search->above && words[(size_t)search->vcpu * WORDS + RSP] > search->sp)
        return 1;
    return search->stop_count && at_stop(search, words, arrived(recording, moment));
}

uint64_t kdash_recording_find(const struct kdash_recording *recording,
                              const struct kdash_search *search) {
    size_t bytes = (size_t)recording->vcpu_count * WORDS * 8;
    uint64_t *words = malloc(bytes);
    uint64_t at = recording->position, found = KDASH_NO_MOMENT;
    uint64_t end = search->until < recording->last ? search->until : recording->last;

    if (words == NULL)
        return found;
    memcpy(words, recording->words, bytes);
    while (found == KDASH_NO_MOMENT &&
           (search->backwards ? at > recording->first : at < end)) {
        const uint8_t *entry = kdash_recording_entry(recording, search->backwards ? at - 1 : at,
                                                     NULL);
        const uint8_t *behind = history_sections(entry + 1, words);

        at += search->backwards ? (uint64_t)-1 : 1;
        if (entry_matches(recording, search, entry, behind) ||
            state_matches(recording, search, words, at))
            found = at;
    }
    free(words);
    return found;
}
