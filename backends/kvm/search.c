/* Searching the history of a recording, and counting in it. */
#include "record_inside.h"

#include <stdlib.h>
#include <string.h>

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
        const uint8_t *behind = entry_apply_sections(entry + 1, words);

        at += search->backwards ? (uint64_t)-1 : 1;
        if (entry_matches(recording, search, entry, behind) ||
            state_matches(recording, search, words, at))
            found = at;
    }
    free(words);
    return found;
}

uint64_t kdash_recording_steps_after(const struct kdash_recording *recording, uint32_t vcpu) {
    uint64_t steps = 0;

    for (uint64_t moment = recording->position; moment < recording->last; moment++) {
        const uint8_t *entry = kdash_recording_entry(recording, moment, NULL);

        steps += entry_kind(entry) == KDASH_STEP && (entry[1] & ~(uint32_t)MORE) == vcpu;
    }
    return steps;
}
