/* Linear to guest-physical addresses by walking the guest's own page tables
 * (Intel SDM vol. 3A, chapter 4), without asking KVM and without setting A/D bits. */
#include "native.h"

#include <string.h>

#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)
#define ENTRY_PRESENT 1ull
#define ENTRY_LARGE (1ull << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ull

uint8_t *kdash_host(const struct kdash_memory *memory, uint64_t guest, uint64_t *left) {
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct kdash_slot *slot = &memory->slots[i];
        if (guest >= slot->guest && guest - slot->guest < slot->size) {
            *left = slot->size - (guest - slot->guest);
            return slot->host + (guest - slot->guest);
        }
    }
    return NULL;
}

static int entry_at(const struct kdash_memory *memory, uint64_t guest, size_t size,
                    uint64_t *entry) {
    uint64_t left;
    const uint8_t *host = kdash_host(memory, guest, &left);

    *entry = 0;
    if (host == NULL || left < size)
        return -1;
    memcpy(entry, host, size);
    return *entry & ENTRY_PRESENT ? 0 : -1;
}

/* Two levels of 1024 four-byte entries; 4 MiB pages with PSE-36 (SDM 4.3). */
static int walk_32(const struct kdash_memory *memory, const struct kdash_paging *paging,
                   uint64_t linear, uint64_t *physical) {
    uint64_t entry;

    if (entry_at(memory, (paging->cr3 & 0xfffff000) + ((linear >> 22) & 0x3ff) * 4, 4, &entry))
        return -1;
    if ((entry & ENTRY_LARGE) && (paging->cr4 & CR4_PSE)) {
        *physical = (entry & 0xffc00000) | ((entry >> 13 & 0xff) << 32) | (linear & 0x3fffff);
        return 0;
    }
    if (entry_at(memory, (entry & 0xfffff000) + ((linear >> 12) & 0x3ff) * 4, 4, &entry))
        return -1;
    *physical = (entry & 0xfffff000) | (linear & 0xfff);
    return 0;
}

/* Levels of 512 eight-byte entries from the bit `shift` down (SDM 4.4.2, 4.5). */
static int walk_64(const struct kdash_memory *memory, uint64_t table, int shift, uint64_t linear,
                   uint64_t *physical) {
    for (;; shift -= 9) {
        uint64_t entry;
        uint64_t offset = (1ull << shift) - 1;

        if (entry_at(memory, table + ((linear >> shift) & 0x1ff) * 8, 8, &entry))
            return -1;
        table = entry & ENTRY_ADDRESS;
        if (shift == 12 || ((entry & ENTRY_LARGE) && shift <= 30)) {
            *physical = (table & ~offset) | (linear & offset);
            return 0;
        }
    }
}

static int walk_pae(const struct kdash_memory *memory, const struct kdash_paging *paging,
                    uint64_t linear, uint64_t *physical) {
    uint64_t entry;

    if (entry_at(memory, (paging->cr3 & 0xffffffe0) + ((linear >> 30) & 3) * 8, 8, &entry))
        return -1;
    return walk_64(memory, entry & ENTRY_ADDRESS, 21, linear, physical);
}

int kdash_translate(const struct kdash_memory *memory, const struct kdash_paging *paging,
                    uint64_t linear, uint64_t *physical) {
    if (!(paging->efer & EFER_LMA))
        linear &= 0xffffffff;
    if (!(paging->cr0 & CR0_PG)) {
        *physical = linear;
        return 0;
    }
    if (paging->efer & EFER_LMA) {
        int top = paging->cr4 & CR4_LA57 ? 48 : 39;

        return walk_64(memory, paging->cr3 & ENTRY_ADDRESS, top, linear, physical);
    }
    if (paging->cr4 & CR4_PAE)
        return walk_pae(memory, paging, linear, physical);
    return walk_32(memory, paging, linear, physical);
}

uint32_t kdash_read(const struct kdash_memory *memory, const struct kdash_paging *paging,
                    uint64_t linear, uint8_t *to, uint32_t length) {
    uint32_t done = 0;

    while (done < length) {
        uint64_t physical, left;
        uint64_t chunk = 0x1000 - ((linear + done) & 0xfff);
        const uint8_t *host;

        if (kdash_translate(memory, paging, linear + done, &physical))
            break;
        host = kdash_host(memory, physical, &left);
        if (host == NULL)
            break;
        if (chunk > left)
            chunk = left;
        if (chunk > length - done)
            chunk = length - done;
        memcpy(to + done, host, chunk);
        done += (uint32_t)chunk;
    }
    return done;
}
