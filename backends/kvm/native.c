/* The VCPU loop: KVM_RUN in batches, a record for each step or exit. */
#include "record.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Real-time signals carry no meaning of their own, and libraries take the first ones. */
#define KICK_SIGNAL (SIGRTMIN + 5)

#define STI 0xfb
#define INTERRUPTS 0x200 /* RFLAGS.IF */

_Static_assert(sizeof(struct kvm_regs) == KDASH_REGISTERS * sizeof(uint64_t), "kvm_regs");

static __thread struct kdash_vcpu *volatile running;

int kdash_ioctl(int fd, unsigned long request, uint64_t argument) {
    int value = ioctl(fd, request, (unsigned long)argument);

    return value < 0 ? -errno : value;
}

int kdash_ioctl_pointer(int fd, unsigned long request, void *argument) {
    int value = ioctl(fd, request, argument);

    return value < 0 ? -errno : value;
}

/* ---- the kick ---- */

static void on_kick(int number) {
    struct kdash_vcpu *vcpu = running;

    (void)number;
    if (vcpu == NULL)
        return;
    __atomic_store_n(&vcpu->kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static int install_handler(void) {
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_kick; /* no SA_RESTART: KVM_RUN has to come back with EINTR */
    return sigaction(KICK_SIGNAL, &action, NULL) ? -errno : 0;
}

int kdash_kick(struct kdash_vcpu *vcpu) {
    int thread;

    __atomic_store_n(&vcpu->kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    thread = __atomic_load_n(&vcpu->thread, __ATOMIC_SEQ_CST);
    if (thread == 0)
        return 0;
    return syscall(SYS_tgkill, getpid(), thread, KICK_SIGNAL) ? -errno : 0;
}

/* A timer that kicks the calling thread. */
static int create_timer(timer_t *timer) {
    struct sigevent event;

    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = KICK_SIGNAL;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    return timer_create(CLOCK_MONOTONIC, &event, timer) ? -errno : 0;
}

int kdash_tick_start(struct kdash_vcpu *vcpu, uint32_t hertz) {
    struct itimerspec period;
    timer_t timer;
    int error;

    if (vcpu->ticking)
        return 0;
    error = create_timer(&timer);
    if (error)
        return error;
    period.it_interval.tv_sec = 0;
    period.it_interval.tv_nsec = 1000000000L / (long)hertz;
    period.it_value = period.it_interval;
    if (timer_settime(timer, 0, &period, NULL)) {
        int error = errno;

        timer_delete(timer);
        return -error;
    }
    vcpu->timer = (void *)timer;
    vcpu->ticking = 1;
    return 0;
}

void kdash_tick_stop(struct kdash_vcpu *vcpu) {
    if (vcpu->ticking)
        timer_delete((timer_t)vcpu->timer);
    vcpu->ticking = 0;
}

/* ---- life ---- */

int kdash_vcpu_open(struct kdash_vcpu *vcpu, int fd, uint32_t run_size,
                    struct kdash_memory *memory) {
    void *run;
    int error = install_handler();

    if (error)
        return error;
    run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    memset(vcpu, 0, sizeof *vcpu);
    vcpu->fd = fd;
    vcpu->run = run;
    vcpu->run_size = run_size;
    vcpu->memory = memory;
    vcpu->out_rip_after = -1;
    vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    return 0;
}

void kdash_vcpu_close(struct kdash_vcpu *vcpu) {
    kdash_tick_stop(vcpu);
    if (vcpu->run != NULL)
        munmap(vcpu->run, vcpu->run_size);
    vcpu->run = NULL;
}

/* ---- kvm_run ---- */

uint32_t kdash_exit_reason(const struct kdash_vcpu *vcpu) { return vcpu->run->exit_reason; }

uint8_t *kdash_exit_union(const struct kdash_vcpu *vcpu) { return (uint8_t *)&vcpu->run->hw; }

uint8_t *kdash_io_data(const struct kdash_vcpu *vcpu) {
    const struct kvm_run *run = vcpu->run;
    uint64_t length = (uint64_t)run->io.size * run->io.count;

    if (run->io.data_offset > vcpu->run_size || length > vcpu->run_size - run->io.data_offset)
        return NULL;
    return (uint8_t *)run + run->io.data_offset;
}

int kdash_answer(struct kdash_vcpu *vcpu, struct kdash_record *record, const uint8_t *data,
                 uint32_t length) {
    struct kvm_run *run = vcpu->run;
    uint8_t *place = NULL;

    if (run->exit_reason == KVM_EXIT_IO && length == (uint64_t)run->io.size * run->io.count)
        place = kdash_io_data(vcpu);
    else if (run->exit_reason == KVM_EXIT_MMIO && length <= sizeof run->mmio.data)
        place = run->mmio.data;
    if (place == NULL)
        return -1;
    memcpy(place, data, length);
    if (record != NULL && length <= KDASH_DATA)
        memcpy(record->data, data, length);
    return 0;
}

uint64_t *kdash_sync_registers(const struct kdash_vcpu *vcpu) {
    return (uint64_t *)&vcpu->run->s.regs.regs;
}

struct kvm_sregs *kdash_sync_sregs(const struct kdash_vcpu *vcpu) {
    return &vcpu->run->s.regs.sregs;
}

uint32_t kdash_take_coalesced(struct kdash_vcpu *vcpu, uint32_t offset, uint8_t *writes,
                              uint32_t capacity) {
    struct kvm_coalesced_mmio_ring *ring = (void *)((uint8_t *)vcpu->run + offset);
    uint32_t size = 4096 - sizeof(uint32_t) * 2, entries, taken = 0, first, last;

    if (offset + 4096 > vcpu->run_size)
        return 0;
    entries = size / sizeof(struct kvm_coalesced_mmio);
    first = ring->first;
    last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
    while (first != last && first < entries && taken < capacity) {
        memcpy(writes + taken++ * sizeof(struct kvm_coalesced_mmio),
               (uint8_t *)ring + 8 + first * sizeof(struct kvm_coalesced_mmio),
               sizeof(struct kvm_coalesced_mmio));
        first = (first + 1) % entries;
        __atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
    }
    return taken;
}

int kdash_interruptible(const struct kdash_vcpu *vcpu) {
    return vcpu->run->ready_for_interrupt_injection && vcpu->run->if_flag;
}

void kdash_request_window(struct kdash_vcpu *vcpu, int wanted) {
    vcpu->run->request_interrupt_window = (uint8_t)wanted;
}

int kdash_refresh(struct kdash_vcpu *vcpu) {
    int result = kdash_ioctl_pointer(vcpu->fd, KVM_GET_REGS, &vcpu->run->s.regs.regs);

    if (result < 0)
        return result;
    return kdash_ioctl_pointer(vcpu->fd, KVM_GET_SREGS, &vcpu->run->s.regs.sregs);
}

/* ---- what is at CS:IP ---- */

int kdash_is_prefix(uint8_t byte, int bits) {
    switch (byte) {
    case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
    case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
        return 1;
    default:
        return bits == 64 && (byte & 0xf0) == 0x40; /* REX */
    }
}

static int is_string(uint8_t opcode) {
    return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
           (opcode >= 0xaa && opcode <= 0xaf);
}

int kdash_classify(const uint8_t *code, uint32_t length, int bits, uint32_t *instruction_length) {
    int repeated = 0;
    uint32_t i = 0;

    *instruction_length = 0;
    for (; i < length && kdash_is_prefix(code[i], bits); i++)
        repeated |= code[i] == 0xf2 || code[i] == 0xf3;
    if (i == length)
        return KDASH_UNKNOWN;
    if (code[i] == 0xf4) {
        *instruction_length = i + 1;
        return KDASH_HLT;
    }
    return repeated && is_string(code[i]) ? KDASH_REP : KDASH_PLAIN;
}

int kdash_code_bits(const struct kvm_sregs *sregs) {
    if (!(sregs->cr0 & 1))
        return 16;
    if ((sregs->efer & 0x400) && sregs->cs.l)
        return 64;
    return sregs->cs.db ? 32 : 16;
}

/* The code around RIP, as the VCPU's registers say now. */
static void fill_code(const struct kdash_vcpu *vcpu, struct kdash_record *record) {
    const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;
    struct kdash_paging paging = {sregs->cr0, sregs->cr3, sregs->cr4, sregs->efer};
    uint64_t linear = record->rip;
    uint32_t wanted = KDASH_WINDOW, got;

    record->bits = (uint16_t)kdash_code_bits(sregs);
    if (record->bits != 64)
        linear = (linear + sregs->cs.base) & 0xffffffff;
    record->code_length =
        (uint8_t)kdash_read(vcpu->memory, &paging, linear, record->code, KDASH_WINDOW);
    got = kdash_read(vcpu->memory, &paging, linear - wanted, record->before, wanted);
    if (got < wanted && (linear & 0xfff) < wanted) {
        /* The page before is not there; what is in this one will do. */
        wanted = linear & 0xfff;
        got = kdash_read(vcpu->memory, &paging, linear - wanted,
                         record->before + KDASH_WINDOW - wanted, wanted);
    }
    record->before_length = (uint8_t)(got == wanted ? wanted : 0);
}

static void fill_io(const struct kdash_vcpu *vcpu, struct kdash_record *record) {
    const struct kvm_run *run = vcpu->run;
    const uint8_t *data = kdash_io_data(vcpu);
    uint64_t length = (uint64_t)run->io.size * run->io.count;

    record->port = run->io.port;
    record->size = run->io.size;
    record->write = run->io.direction == KVM_EXIT_IO_OUT;
    record->count = run->io.count;
    if (data != NULL && length <= KDASH_DATA)
        memcpy(record->data, data, length);
}

static void fill_mmio(const struct kdash_vcpu *vcpu, struct kdash_record *record) {
    const struct kvm_run *run = vcpu->run;

    record->address = run->mmio.phys_addr;
    record->size = (uint8_t)run->mmio.len;
    record->write = run->mmio.is_write;
    record->count = 1;
    memcpy(record->data, run->mmio.data, sizeof run->mmio.data);
}

static void fill_exit(const struct kdash_vcpu *vcpu, struct kdash_record *record) {
    record->reason = vcpu->run->exit_reason;
    if (record->reason == KVM_EXIT_IO)
        fill_io(vcpu, record);
    else if (record->reason == KVM_EXIT_MMIO)
        fill_mmio(vcpu, record);
    memcpy(record->registers, &vcpu->run->s.regs.regs, sizeof record->registers);
}

void kdash_record_fill(struct kdash_vcpu *vcpu, struct kdash_record *record) {
    memset(record, 0, sizeof *record);
    record->rip = vcpu->run->s.regs.regs.rip;
    fill_code(vcpu, record);
    fill_exit(vcpu, record);
}

/* ---- running ---- */

static int take_kick(struct kdash_vcpu *vcpu) {
    if (!__atomic_load_n(&vcpu->kicked, __ATOMIC_SEQ_CST))
        return 0;
    /* In this order a signal in between leaves immediate_exit set and loses nothing. */
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->kicked, 0, __ATOMIC_SEQ_CST);
    return 1;
}

/* KVM_RUN: 0 or an errno. */
static int run_once(struct kdash_vcpu *vcpu) {
    uint32_t reason;

    if (ioctl(vcpu->fd, KVM_RUN, 0) != 0) {
        vcpu->returned[KVM_EXIT_INTR] += errno == EINTR;
        return errno;
    }
    reason = vcpu->run->exit_reason;
    vcpu->returned[reason < KDASH_REASONS ? reason : KDASH_REASONS - 1]++;
    return 0;
}

static int enter(struct kdash_vcpu *vcpu) {
    int error;

    if (take_kick(vcpu))
        return KDASH_KICKED;
    error = run_once(vcpu);
    if (error == 0)
        return vcpu->run->exit_reason == KVM_EXIT_INTR ? KDASH_KICKED : 0;
    if (error == EINTR || error == EAGAIN) {
        take_kick(vcpu);
        return KDASH_KICKED;
    }
    return -error;
}

static int complete(struct kdash_vcpu *vcpu) {
    int result;

    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    result = -run_once(vcpu);
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&vcpu->kicked, __ATOMIC_SEQ_CST))
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    return result;
}

static void begin(struct kdash_vcpu *vcpu) {
    running = vcpu;
    __atomic_store_n(&vcpu->thread, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
}

static void end(struct kdash_vcpu *vcpu) {
    __atomic_store_n(&vcpu->thread, 0, __ATOMIC_SEQ_CST);
    running = NULL;
}

int kdash_enter(struct kdash_vcpu *vcpu, int complete_only) {
    int result;

    begin(vcpu);
    result = complete_only ? complete(vcpu) : enter(vcpu);
    end(vcpu);
    return result;
}

int kdash_enter_briefly(struct kdash_vcpu *vcpu, uint32_t microseconds) {
    struct itimerspec once;
    timer_t timer;
    int result = create_timer(&timer);

    if (result)
        return result;
    memset(&once, 0, sizeof once);
    once.it_value.tv_sec = microseconds / 1000000;
    once.it_value.tv_nsec = (long)(microseconds % 1000000) * 1000;
    begin(vcpu);
    timer_settime(timer, 0, &once, NULL);
    result = enter(vcpu);
    timer_delete(timer);
    end(vcpu);
    return result;
}

static int has(const uint8_t *ports, uint16_t port) { return ports[port >> 3] >> (port & 7) & 1; }

static int is_claimed(const struct kdash_vcpu *vcpu, uint64_t address) {
    for (uint32_t i = 0; i < vcpu->claimed_mmio_count; i++)
        if (address >= vcpu->claimed_mmio[i].start && address < vcpu->claimed_mmio[i].end)
            return 1;
    return 0;
}

/* A read where nothing is: all ones, as on a bus without a card. */
static int answer_ones(struct kdash_vcpu *vcpu, struct kdash_record *record, uint32_t length) {
    static const uint8_t ones[KDASH_DATA] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return kdash_answer(vcpu, record, ones, length) == 0;
}

/* Deals with an access that no device needs to see before the guest goes on: an OUT that may
 * be told afterwards, or one to where nothing is. */
static int dealt_with(struct kdash_vcpu *vcpu, struct kdash_record *record) {
    uint64_t length = (uint64_t)record->size * record->count;

    if (length > KDASH_DATA)
        return 0;
    if (record->reason == KVM_EXIT_IO && record->write)
        return vcpu->out_rip_after >= 0 && has(vcpu->posted, record->port);
    if (record->reason == KVM_EXIT_IO)
        return !has(vcpu->claimed, record->port) && answer_ones(vcpu, record, (uint32_t)length);
    if (record->reason != KVM_EXIT_MMIO || is_claimed(vcpu, record->address))
        return 0;
    return record->write || answer_ones(vcpu, record, (uint32_t)length);
}

/* Whether two accesses are alike: reason, port, size, write and count lie side by side. */
static int is_like(const struct kdash_record *one, const struct kdash_record *other) {
    return memcmp(&one->reason, &other->reason, offsetof(struct kdash_record, code_length) -
                                                    offsetof(struct kdash_record, reason)) == 0;
}

int kdash_run(struct kdash_vcpu *vcpu, struct kdash_record *records, uint32_t capacity,
              uint32_t *filled) {
    int result = KDASH_FULL;

    begin(vcpu);
    vcpu->alike = 1;
    for (*filled = 0; *filled < capacity;) {
        struct kdash_record *record = &records[*filled];

        result = enter(vcpu);
        if (result != 0)
            break;
        kdash_record_fill(vcpu, record);
        ++*filled;
        if (vcpu->each_exit || !dealt_with(vcpu, record)) {
            result = KDASH_EXIT;
            break;
        }
        vcpu->alike &= is_like(record, records);
    }
    end(vcpu);
    return result;
}

static struct kdash_paging paging_of(const struct kdash_vcpu *vcpu) {
    const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;

    return (struct kdash_paging){sregs->cr0, sregs->cr3, sregs->cr4, sregs->efer};
}

void kdash_vcpu_stops_begin(struct kdash_vcpu *vcpu) {
    struct kdash_paging paging = paging_of(vcpu);

    if (vcpu->stops == NULL)
        return;
    kdash_stops_begin(vcpu->stops, vcpu->memory, &paging);
}

int kdash_vcpu_stops_met(struct kdash_vcpu *vcpu) {
    const struct kvm_regs *regs = &vcpu->run->s.regs.regs;
    const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;
    struct kdash_paging paging = paging_of(vcpu);
    uint64_t linear = regs->rip;

    if (vcpu->stops == NULL)
        return 0;
    if (kdash_code_bits(sregs) != 64)
        linear = (linear + sregs->cs.base) & 0xffffffff;
    return kdash_stops_met(vcpu->stops, vcpu->memory, &paging, linear, regs->rsp);
}

static int record_step(struct kdash_vcpu *vcpu, const struct kdash_record *record) {
    uint32_t changes = kdash_changes(record->code, record->code_length, record->bits);

    return kdash_recording_enter(vcpu->recording, vcpu->index, KDASH_STEP, changes, NULL, 0);
}

/* CLI, POPF, IRET, INT in all forms, and system instructions: they clear RFLAGS.IF themselves. */
static int may_mask(const struct kdash_record *record) {
    uint32_t i = 0;

    while (i < record->code_length && kdash_is_prefix(record->code[i], record->bits))
        i++;
    if (i == record->code_length)
        return 1;
    switch (record->code[i]) {
    case 0xfa: case 0x9d: case 0xcf: case 0xcc: case 0xcd: case 0xce: case 0xf1: case 0x0f:
        return 1;
    default:
        return 0;
    }
}

int kdash_step(struct kdash_vcpu *vcpu, struct kdash_record *records, uint32_t capacity,
               uint32_t *filled) {
    int result = KDASH_FULL;

    begin(vcpu);
    kdash_vcpu_stops_begin(vcpu);
    for (*filled = 0; *filled < capacity;) {
        struct kdash_record *record = &records[*filled];
        uint32_t length;
        int masked;

        memset(record, 0, sizeof *record);
        record->rip = vcpu->run->s.regs.regs.rip;
        fill_code(vcpu, record);
        result = kdash_classify(record->code, record->code_length, record->bits, &length);
        if (result == KDASH_HLT || result == KDASH_REP) {
            result = KDASH_SPECIAL;
            break;
        }
        masked = !(vcpu->run->s.regs.regs.rflags & INTERRUPTS);
        result = enter(vcpu);
        if (result != 0)
            break;
        fill_exit(vcpu, record);
        ++*filled;
        if (record->reason != KVM_EXIT_DEBUG) {
            result = KDASH_EXIT;
            break;
        }
        if (vcpu->recording != NULL) {
            result = record_step(vcpu, record);
            if (result != 0)
                break;
        }
        if (kdash_vcpu_stops_met(vcpu)) {
            result = KDASH_BREAKPOINT;
            break;
        }
        if (masked && vcpu->run->s.regs.regs.rflags & INTERRUPTS) {
            /* Who has an interrupt for the guest offers it between two batches. */
            result = record->code[0] == STI ? KDASH_SHADOW : KDASH_FULL;
            break;
        }
        if (!masked && !(vcpu->run->s.regs.regs.rflags & INTERRUPTS) && !may_mask(record)) {
            result = KDASH_DELIVERED;
            break;
        }
    }
    end(vcpu);
    return result;
}
