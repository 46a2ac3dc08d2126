/* The recorded past of a machine: differences of registers and memory, step by step.
 *
 * A moment is the state between two entries. An entry holds the exclusive or of what it
 * changed, so that the same bytes lead forward and backward. Entries lie in chunks; a chunk
 * that is full also keeps the sum of its entries, by which whole chunks are passed at once.
 *
 * What is recorded lies in areas: memory slots of the guest, and buffers that an ioctl or the
 * devices fill. Each has a shadow: its bytes at the moment shown.
 *
 * The part between the two CDEF lines is also what cffi reads.
 */
#ifndef KDASH_KVM_RECORD_H
#define KDASH_KVM_RECORD_H

#include "native.h"

/* CDEF BEGIN */

#define KDASH_AREAS 128
#define KDASH_STATE_WORDS 65      /* kvm_regs 18, kvm_sregs 39, kvm_vcpu_events 8 */
#define KDASH_CHUNK_ENTRIES 4096
#define KDASH_NO_MOMENT 0xffffffffffffffff

/* What an entry is. */
#define KDASH_STEP 0              /* one logical step of one VCPU */
#define KDASH_JUMP 1              /* a run at full speed, or a step that did not end */
#define KDASH_EDIT 2              /* changed from outside */

/* What an instruction changes beside registers and memory: when an area is read anew. */
#define KDASH_CHANGES_FPU 1
#define KDASH_CHANGES_MSR 2
#define KDASH_CHANGES_DEBUG 4
#define KDASH_CHANGES_ALL 0xff

/* Backwards a search stops before the entry it looks for, forwards behind it. */
struct kdash_stretch {
    uint64_t physical, length;
};
struct kdash_search {
    int backwards;
    const struct kdash_breakpoint *stops; /* where the VCPU came that did the step */
    uint32_t stop_count;
    const struct kdash_stretch *ranges;     /* memory changed there */
    uint32_t range_count;
    int payloads;                         /* 1: an entry with a payload */
    int above;                            /* 1: RSP of `vcpu` above `sp` */
    uint32_t vcpu;
    uint64_t sp;
    uint64_t until;                       /* forwards not beyond this moment */
};

struct kdash_recording;

/* Room for so many bytes of history, shadows included; NULL without memory. */
struct kdash_recording *kdash_recording_new(uint64_t limit, uint32_t vcpus);
void kdash_recording_free(struct kdash_recording *recording);

/* An area, before `begin`: its number or -errno. A size is a multiple of 8 bytes.
 * With slot >= 0 it is a memory slot of the VM `fd`, whose dirty log tells what changed.
 * With a request it is filled by that ioctl on `fd` when an instruction changes `when`.
 * Otherwise what changed is told by `touch`. Without host bytes it can only be loaded. */
int kdash_recording_add(struct kdash_recording *recording, uint8_t *host, uint64_t size,
                        uint64_t guest, int slot, int fd, unsigned long request, uint32_t when);
/* Makes the shadows from the host's bytes; what is of a file is put there by its reader. */
int kdash_recording_begin(struct kdash_recording *recording, uint64_t moment, uint64_t steps);
/* Says whose registers are recorded; they are taken as they are now. */
void kdash_recording_vcpu(struct kdash_recording *recording, uint32_t index,
                          struct kdash_vcpu *vcpu);
/* Takes an area of a file, at its last moment, as one of a machine: arguments as of `add`. The
 * host's bytes are to be filled by `restore`. */
void kdash_recording_attach(struct kdash_recording *recording, uint32_t area, uint8_t *host,
                            int fd, unsigned long request, uint32_t when);
/* Knows no machine any more, neither its VCPUs nor the host's bytes. */
void kdash_recording_detach(struct kdash_recording *recording);
/* Bytes of an area were changed by someone else than the VCPUs. */
void kdash_recording_touch(struct kdash_recording *recording, uint32_t area, uint64_t offset,
                           uint64_t length);
/* The pages of a memory slot's area written since this was last asked, a bit each in whole
 * words; 0 or -errno. */
int kdash_recording_written(struct kdash_recording *recording, uint32_t area, uint64_t *bitmap);

/* Adds what changed since the last entry as an entry at the end; 0 or -errno. The moment
 * shown must be the last. */
int kdash_recording_enter(struct kdash_recording *recording, uint32_t vcpu, uint32_t kind,
                          uint32_t changes, const uint8_t *payload, uint32_t length);
/* Whether anything differs from the last moment: 1, 0 or -errno. */
int kdash_recording_differs(struct kdash_recording *recording);
/* Adds an entry from a file; -EINVAL where it can't be one. */
int kdash_recording_append(struct kdash_recording *recording, const uint8_t *entry,
                           uint32_t length);

/* Shows a moment; 0, or -ERANGE where it is not recorded. */
int kdash_recording_seek(struct kdash_recording *recording, uint64_t moment);
/* The nearest moment that is searched for, or KDASH_NO_MOMENT. */
uint64_t kdash_recording_find(const struct kdash_recording *recording,
                              const struct kdash_search *search);
/* Steps of a VCPU recorded after the moment shown. */
uint64_t kdash_recording_steps_after(const struct kdash_recording *recording, uint32_t vcpu);
/* Forgets what comes after the moment shown; 0 or -errno. */
int kdash_recording_cut(struct kdash_recording *recording);
/* Writes the shadows of memory slots to the host's bytes; returns the pages that differed. */
uint64_t kdash_recording_restore(struct kdash_recording *recording);

uint64_t kdash_recording_first(const struct kdash_recording *recording);
uint64_t kdash_recording_last(const struct kdash_recording *recording);
uint64_t kdash_recording_position(const struct kdash_recording *recording);
uint64_t kdash_recording_steps(const struct kdash_recording *recording);
uint64_t kdash_recording_bytes(const struct kdash_recording *recording);
/* The moment shown: words of a VCPU, bytes of an area. */
uint64_t *kdash_recording_words(struct kdash_recording *recording, uint32_t vcpu);
uint8_t *kdash_recording_shadow(struct kdash_recording *recording, uint32_t area);
/* The entry that begins at a moment; NULL where there is none. */
const uint8_t *kdash_recording_entry(const struct kdash_recording *recording, uint64_t moment,
                                     uint32_t *length);
/* The payload of that entry; NULL where there is none. */
const uint8_t *kdash_recording_payload(const struct kdash_recording *recording, uint64_t moment,
                                       uint32_t *length);
/* The last moment before `moment` whose entry has a payload, or KDASH_NO_MOMENT. */
uint64_t kdash_recording_payload_before(const struct kdash_recording *recording, uint64_t moment);

/* KDASH_CHANGES_... of an instruction. */
uint32_t kdash_changes(const uint8_t *code, uint32_t length, int bits);

/* CDEF END */

#endif
