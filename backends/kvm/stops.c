/* What stepping stops at, compared after every step: breakpoints and watched memory. */
#include "native.h"

#include <string.h>

/* Where watched bytes are now; translated each time, since a guest may change its page
 * tables without touching a register. */
static uint8_t *place_of(struct kdash_watch *watch, const struct kdash_memory *memory,
                         const struct kdash_paging *paging, uint64_t *physical) {
    uint64_t left;
    uint8_t *host;

    if (kdash_translate(memory, paging, watch->linear, physical))
        return NULL;
    host = kdash_host(memory, *physical, &left);
    return host != NULL && left >= watch->length ? host : NULL;
}

static void look(struct kdash_watch *watch, uint8_t *host, uint64_t physical) {
    watch->host = host;
    watch->physical = physical;
    if (host != NULL)
        memcpy(watch->old, host, watch->length);
}

void kdash_stops_begin(struct kdash_stops *stops, const struct kdash_memory *memory,
                       const struct kdash_paging *paging) {
    for (uint32_t i = 0; i < stops->watch_count; i++) {
        struct kdash_watch *watch = &stops->watches[i];
        uint64_t physical = 0;
        uint8_t *host = place_of(watch, memory, paging, &physical);

        watch->changed = 0;
        look(watch, host, physical);
    }
}

static int watches_changed(struct kdash_stops *stops, const struct kdash_memory *memory,
                           const struct kdash_paging *paging) {
    int found = 0;

    for (uint32_t i = 0; i < stops->watch_count; i++) {
        struct kdash_watch *watch = &stops->watches[i];
        uint64_t physical = 0;
        uint8_t *host = place_of(watch, memory, paging, &physical);

        /* Other memory behind the same address was not written; neither is memory that went. */
        if (host == NULL)
            continue;
        if (watch->host == NULL || physical != watch->physical)
            look(watch, host, physical);
        watch->changed = memcmp(host, watch->old, watch->length) != 0;
        found |= (int)watch->changed;
    }
    return found;
}

static int at_breakpoint(const struct kdash_stops *stops, uint64_t linear_ip, uint64_t sp) {
    uint32_t low = 0, high = stops->breakpoint_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (stops->breakpoints[middle].linear < linear_ip)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < stops->breakpoint_count && stops->breakpoints[low].linear == linear_ip; low++)
        if (sp >= stops->breakpoints[low].minimum_sp)
            return 1;
    return 0;
}

int kdash_stops_met(struct kdash_stops *stops, const struct kdash_memory *memory,
                    const struct kdash_paging *paging, uint64_t linear_ip, uint64_t sp) {
    int changed = watches_changed(stops, memory, paging);

    return at_breakpoint(stops, linear_ip, sp) || changed;
}
