/* The native half of the KVM backend: the VCPU loop, the page walk, the kick.
 *
 * The part between the two CDEF lines is also what cffi reads, so it holds only
 * declarations that both compilers understand.
 */
#ifndef KDASH_KVM_NATIVE_H
#define KDASH_KVM_NATIVE_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

/* CDEF BEGIN */

#define KDASH_SLOTS 32
#define KDASH_DATA 16       /* bytes of exit data a record holds */
#define KDASH_WINDOW 16     /* instruction bytes a record holds on each side of RIP */
#define KDASH_POSTED 8192   /* one bit a port */
#define KDASH_REASONS 64    /* exit reasons counted singly; the last one takes all above */
#define KDASH_ARMED 4       /* execution breakpoints there are debug registers for */
#define KDASH_REGISTERS 18  /* struct kvm_regs as 64-bit words */

/* What a batch returns, beside a negated errno. */
#define KDASH_FULL 0        /* as many records, or steps, as asked for */
#define KDASH_EXIT 1        /* the last record is an exit to be handled */
#define KDASH_KICKED 2      /* a kick, a tick or another signal; no record for it */
#define KDASH_BREAKPOINT 3  /* a stop was met; the last step is complete */
#define KDASH_SPECIAL 4     /* the next instruction is not one for the fast loop */
#define KDASH_DELIVERED 6   /* the last step cleared RFLAGS.IF, and not by what was decoded */
#define KDASH_SHADOW 5      /* the last step was STI: no interrupt may come before the next one */

/* What an instruction is, seen before it is stepped. */
#define KDASH_PLAIN 0
#define KDASH_HLT 1
#define KDASH_REP 2         /* a string instruction with a REP prefix */
#define KDASH_UNKNOWN 3     /* no bytes could be read at CS:IP */

/* One stretch of guest-physical memory. */
struct kdash_slot {
    uint64_t guest;
    uint64_t size;
    uint8_t *host;
};

struct kdash_memory {
    uint32_t count;
    struct kdash_slot slots[KDASH_SLOTS];
};

/* The registers that say how linear addresses are translated. */
struct kdash_paging {
    uint64_t cr0, cr3, cr4, efer;
};

/* A stop by the linear address of CS:IP. With minimum_sp, only where RSP is at least that:
 * the end of a call is told from the same place reached deeper in a recursion. */
struct kdash_breakpoint {
    uint64_t linear;
    uint64_t minimum_sp;
};

/* Guest-physical addresses from the first up to, not including, the second. */
struct kdash_range {
    uint64_t start, end;
};

/* Watched bytes, all in one page. */
struct kdash_watch {
    uint64_t linear;
    uint64_t physical;
    uint32_t length;
    uint32_t changed;         /* the bytes differ from old */
    uint8_t *host;            /* NULL: no memory there when last looked at */
    uint8_t *old;             /* length bytes, as they were before the step */
};

/* What stepping stops at. */
struct kdash_stops {
    struct kdash_breakpoint *breakpoints; /* in the order of their linear addresses */
    struct kdash_watch *watches;
    uint32_t breakpoint_count;
    uint32_t watch_count;
};

/* One step (reason KVM_EXIT_DEBUG) or one exit. */
struct kdash_record {
    uint64_t rip;             /* step: RIP before; exit: RIP when KVM_RUN returned */
    uint32_t reason;          /* KVM_EXIT_* */
    uint16_t port;            /* IO */
    uint8_t size;             /* IO: bytes an element; MMIO: bytes */
    uint8_t write;            /* IO: 1 out; MMIO: 1 write */
    uint32_t count;           /* IO: elements */
    uint8_t code_length;      /* bytes valid in code */
    uint8_t before_length;    /* bytes valid at the end of before */
    uint16_t bits;            /* default code size: 16, 32, 64 */
    uint64_t address;         /* MMIO: guest-physical */
    uint8_t data[KDASH_DATA]; /* IO out, MMIO write: what the guest wrote */
    uint8_t code[KDASH_WINDOW];   /* from rip on */
    uint8_t before[KDASH_WINDOW]; /* up to rip */
    uint64_t registers[KDASH_REGISTERS]; /* after, in the order of struct kvm_regs */
};

struct kvm_run;
struct kvm_sregs;
struct kdash_recording;

struct kdash_vcpu {
    int fd;
    uint32_t run_size;
    struct kvm_run *run;
    struct kdash_memory *memory;
    struct kdash_stops *stops; /* NULL: none */
    int each_exit;            /* a batch ends at every exit, also one that needs no answer */
    int out_rip_after;        /* OUT exits come with RIP past the OUT: 1, at it: 0, not known: -1 */
    int kicked;
    int thread;               /* kernel id of the thread that runs it, 0: none */
    int ticking;
    void *timer;
    struct kdash_recording *recording; /* takes every step; NULL: nothing is recorded */
    uint32_t index;           /* of the VCPU, in the recording */
    uint64_t returned[KDASH_REASONS]; /* how often KVM_RUN returned with each reason */
    uint8_t posted[KDASH_POSTED]; /* ports whose OUTs need no answer before the guest goes on */
    uint8_t claimed[KDASH_POSTED]; /* ports with a device; an IN from any other reads all ones */
    const struct kdash_range *claimed_mmio; /* and the addresses with one */
    uint32_t claimed_mmio_count;
    uint32_t stepping;        /* KVM_GUESTDBG_* flags of single-stepping; 0: at full speed */
    uint64_t armed[KDASH_ARMED]; /* handlers' entries in the debug registers while stepping */
    uint32_t armed_count;
    uint32_t spare;           /* the vector that has the last of them; others have theirs always */
    uint32_t harmless;        /* steps in a row that could raise no exception */
    int delivering;           /* the next step begins with an interrupt: the entries are not armed */
    int alike;                /* the last batch, but for an exit to be handled, is one access
                               * over and over: reason, port, size, direction and count */
};

/* An ioctl: its value, or -errno. */
int kdash_ioctl(int fd, unsigned long request, uint64_t argument);
int kdash_ioctl_pointer(int fd, unsigned long request, void *argument);

/* Maps kvm_run and asks for the synchronised registers; 0 or -errno. */
int kdash_vcpu_open(struct kdash_vcpu *vcpu, int fd, uint32_t run_size,
                    struct kdash_memory *memory);
/* Stops the ticks and unmaps; the descriptor stays with the caller. */
void kdash_vcpu_close(struct kdash_vcpu *vcpu);

/* One KVM_RUN: 0, KDASH_KICKED or -errno. With complete_only the pending access is
 * finished and no instruction executed after it; -EINTR is then the normal answer. */
int kdash_enter(struct kdash_vcpu *vcpu, int complete_only);

/* The same, but for so many microseconds at most: for a VCPU that halted, when another one
 * could run in the meantime. */
int kdash_enter_briefly(struct kdash_vcpu *vcpu, uint32_t microseconds);

/* Runs until the records are full, or something needs an answer. */
int kdash_run(struct kdash_vcpu *vcpu, struct kdash_record *records, uint32_t capacity,
              uint32_t *filled);
/* The same with single-stepping on: one record a step. */
int kdash_step(struct kdash_vcpu *vcpu, struct kdash_record *records, uint32_t capacity,
               uint32_t *filled);
/* Whether KVM_RUN returned at the entry of a handler, or where IRET returned to, with nothing
 * executed there: the step of the instruction that led there is complete. */
int kdash_caught(const struct kdash_vcpu *vcpu);
/* Describes the state in which KVM_RUN last returned. */
void kdash_record_fill(struct kdash_vcpu *vcpu, struct kdash_record *record);

/* What is at CS:IP: KDASH_PLAIN ..., and for HLT its length. */
int kdash_classify(const uint8_t *code, uint32_t length, int bits, uint32_t *instruction_length);

/* Default size of the code that runs with these registers: 16, 32 or 64. */
int kdash_code_bits(const struct kvm_sregs *sregs);
/* Whether a byte is a prefix before an opcode. */
int kdash_is_prefix(uint8_t byte, int bits);

/* Makes the running thread return from KVM_RUN soon; from any thread. */
int kdash_kick(struct kdash_vcpu *vcpu);
/* Kicks the calling thread so many times a second, until stopped. 0 or -errno. */
int kdash_tick_start(struct kdash_vcpu *vcpu, uint32_t hertz);
void kdash_tick_stop(struct kdash_vcpu *vcpu);

/* kvm_run, field by field. */
uint32_t kdash_exit_reason(const struct kdash_vcpu *vcpu);
uint8_t *kdash_exit_union(const struct kdash_vcpu *vcpu);    /* 256 bytes */
uint8_t *kdash_io_data(const struct kdash_vcpu *vcpu);       /* NULL where out of the mapping */
/* Puts the answer to an IN or MMIO read where KVM takes it on the next entry, and into the
 * record where one is given; 0, or -1 where it has no place. */
int kdash_answer(struct kdash_vcpu *vcpu, struct kdash_record *record, const uint8_t *data,
                 uint32_t length);
uint64_t *kdash_sync_registers(const struct kdash_vcpu *vcpu);
struct kvm_sregs *kdash_sync_sregs(const struct kdash_vcpu *vcpu);
/* Moves the writes that KVM coalesced, in order, out of the ring `offset` bytes into the run
 * mapping; how many there were. One thread at a time. */
uint32_t kdash_take_coalesced(struct kdash_vcpu *vcpu, uint32_t offset, uint8_t *writes,
                              uint32_t capacity);
/* Whether the guest could take an interrupt when KVM_RUN last returned; only without interrupt
 * controllers in the kernel. */
int kdash_interruptible(const struct kdash_vcpu *vcpu);
/* Asks for an exit as soon as it can, or not. */
void kdash_request_window(struct kdash_vcpu *vcpu, int wanted);
/* Reads the registers anew, after they were set by ioctl; 0 or -errno. */
int kdash_refresh(struct kdash_vcpu *vcpu);

/* Guest-physical address of a linear one: 0, or -1 where nothing is mapped. */
int kdash_translate(const struct kdash_memory *memory, const struct kdash_paging *paging,
                    uint64_t linear, uint64_t *physical);
/* Copies from linear addresses up to the first byte that can't be reached; returns the
 * bytes copied. */
uint32_t kdash_read(const struct kdash_memory *memory, const struct kdash_paging *paging,
                    uint64_t linear, uint8_t *to, uint32_t length);

/* Expands one LZ4 block into `room` bytes; the bytes written, or -EINVAL. */
int64_t kdash_lz4(const uint8_t *data, size_t size, uint8_t *into, size_t room);

/* Takes the watched bytes as they are now for what the next step is compared with. */
void kdash_stops_begin(struct kdash_stops *stops, const struct kdash_memory *memory,
                       const struct kdash_paging *paging);
/* Whether a stop is met after a step: at a breakpoint, or watched bytes changed. */
int kdash_stops_met(struct kdash_stops *stops, const struct kdash_memory *memory,
                    const struct kdash_paging *paging, uint64_t linear_ip, uint64_t sp);
/* The same two, with the registers of a VCPU. */
void kdash_vcpu_stops_begin(struct kdash_vcpu *vcpu);
int kdash_vcpu_stops_met(struct kdash_vcpu *vcpu);

/* Host address of a guest-physical one and the bytes left there; NULL where no memory is. */
uint8_t *kdash_host(const struct kdash_memory *memory, uint64_t guest, uint64_t *left);

/* A guest that unicorn executes. */
struct kdash_emulation {
    int (*stop)(void *engine); /* uc_emu_stop */
    int wanted;               /* stop before the next instruction; set from any thread */
    int left;                 /* instructions to begin; below 0: all until `wanted` */
    uint64_t linear;          /* of the instruction begun last */
};

/* A hook of kind UC_HOOK_CODE; `data` is a struct kdash_emulation. */
void kdash_on_code(void *engine, uint64_t linear, uint32_t size, void *data);

/* CDEF END */

#endif
