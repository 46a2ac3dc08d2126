/* The VCPU loop: KVM_RUN in batches, a record for each step or exit. */
#include "native_inside.h"
#include "record.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define STI 0xfb
#define INTERRUPTS 0x200 /* RFLAGS.IF */
#define PROTECTED 1      /* CR0.PE */

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

    if (kick_take(vcpu))
        return KDASH_KICKED;
    error = run_once(vcpu);
    vcpu->delivering &= error != 0;
    if (error == 0)
        return vcpu->run->exit_reason == KVM_EXIT_INTR ? KDASH_KICKED : 0;
    if (error == EINTR || error == EAGAIN) {
        kick_take(vcpu);
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

int kdash_enter(struct kdash_vcpu *vcpu, int complete_only) {
    int result;

    kick_begin(vcpu);
    result = complete_only ? complete(vcpu) : enter(vcpu);
    kick_end(vcpu);
    return result;
}

int kdash_enter_briefly(struct kdash_vcpu *vcpu, uint32_t microseconds) {
    struct itimerspec once;
    timer_t timer;
    int result = kick_timer(&timer);

    if (result)
        return result;
    memset(&once, 0, sizeof once);
    once.it_value.tv_sec = microseconds / 1000000;
    once.it_value.tv_nsec = (long)(microseconds % 1000000) * 1000;
    kick_begin(vcpu);
    timer_settime(timer, 0, &once, NULL);
    result = enter(vcpu);
    timer_delete(timer);
    kick_end(vcpu);
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

    kick_begin(vcpu);
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
    kick_end(vcpu);
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

int kdash_step(struct kdash_vcpu *vcpu, struct kdash_record *records, uint32_t capacity,
               uint32_t *filled) {
    int result = KDASH_FULL;

    kick_begin(vcpu);
    kdash_vcpu_stops_begin(vcpu);
    for (*filled = 0; *filled < capacity;) {
        struct kdash_record *record = &records[*filled];
        uint32_t length;
        int masked;

        memset(record, 0, sizeof *record);
        record->rip = vcpu->run->s.regs.regs.rip;
        record_code(vcpu, record);
        handlers_arm(vcpu, record);
        result = kdash_classify(record->code, record->code_length, record->bits, &length);
        if (result == KDASH_HLT || result == KDASH_REP ||
            (!(vcpu->run->s.regs.sregs.cr0 & PROTECTED) && instruction_is_high_int(record))) {
            result = KDASH_SPECIAL;
            break;
        }
        masked = !(vcpu->run->s.regs.regs.rflags & INTERRUPTS);
        result = enter(vcpu);
        if (result != 0)
            break;
        record_exit(vcpu, record);
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
        if (!masked && !(vcpu->run->s.regs.regs.rflags & INTERRUPTS) &&
            !kdash_caught(vcpu) && !instruction_may_mask(record)) {
            result = KDASH_DELIVERED;
            break;
        }
    }
    kick_end(vcpu);
    return result;
}
