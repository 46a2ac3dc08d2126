/* What the open chunk of a recording changes, added up: by it a full chunk is passed at once. */
#include "record_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The page that adds up what the open chunk changes in one page of an area. */
static struct sum_page *page_sum(struct kdash_recording *recording, uint32_t key) {
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

void sums_forget(struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->sum_count; i++) {
        uint32_t key = recording->sum_pages[i]->key;

        recording->areas[key >> KEY_PAGE_BITS].sums[key & ((1u << KEY_PAGE_BITS) - 1)] = 0;
    }
    recording->sum_count = 0;
}

int sums_add(struct kdash_recording *recording, const uint8_t *entry) {
    const uint8_t *at;
    uint32_t runs;

    if (!(entry[0] & FLAG_RUNS))
        return 0;
    at = entry_skip_sections(entry + 1);
    runs = (uint32_t)load(at, 4);
    for (at += 4; runs; runs--) {
        struct sum_page *page = page_sum(recording, (uint32_t)load(at, 4));
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
        if (buffer_room(buffer, RUN_HEAD + PAGE_BYTES))
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

void sums_put_entry(struct kdash_recording *recording, struct chunk *chunk) {
    struct buffer sum = {NULL, 0, 0, 0};
    size_t place;
    uint32_t runs = 0;

    put(&sum, FLAG_RUNS, 1);
    for (uint32_t i = 0; i < recording->vcpu_count; i++) {
        put(&sum, i | (i + 1 < recording->vcpu_count ? MORE : 0), 1);
        entry_put_registers(&sum, recording->begin + (size_t)i * WORDS,
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

void sums_free(struct kdash_recording *recording) {
    for (uint32_t i = 0; i < recording->sum_held; i++)
        free(recording->sum_pages[i]);
    free(recording->sum_pages);
}
