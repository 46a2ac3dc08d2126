/* Where a step may lead but to the next instruction: the handler of an exception, or where IRET
 * returns. Hosts that emulate deliver an exception, or do IRET, without the trap of the single
 * step, which comes one instruction too late then; others let a whole handler run. So execution
 * breakpoints in the debug registers are at the handlers' entries while single-stepping.
 *
 * Gates: Intel SDM vol. 3A, 7.11 and 7.14.1; vol. 3A, 22.1.4 for real mode. */
#include "native_inside.h"

#include <string.h>
#include <sys/ioctl.h>

/* Entering a guest with breakpoints costs as much as half a step more, and so does changing
 * them: they go when none was needed for so many steps. */
#define PATIENCE 4

#define DIVIDE 0
#define BOUND_RANGE 5
#define INVALID_OPCODE 6
#define NO_DEVICE 7
#define NOT_PRESENT 11
#define STACK 12
#define PROTECTION 13
#define PAGE_FAULT 14
#define SPARE_OF_IRET 0x100 /* no vector: the return address */

#define CR0_PE 1ull
#define CR0_EM_TS 0xcull
#define EFER_LMA (1ull << 10)
#define RFLAGS_VM (1ull << 17)
#define DR6_HIT 0xf        /* B0 to B3 */
#define DR6_SINGLE (1 << 14) /* BS */
#define DR7_FIXED (1ull << 10)

struct entry {
    uint64_t linear;
    int there;
};

struct machine {
    const struct kdash_vcpu *vcpu;
    const struct kvm_sregs *sregs;
    struct kdash_paging paging;
    int real, vm86, is_long;
};

static uint64_t load(const uint8_t *from, unsigned bytes) {
    uint64_t value = 0;

    memcpy(&value, from, bytes);
    return value;
}

static uint32_t read_at(const struct machine *machine, uint64_t linear, uint8_t *to, uint32_t length) {
    return kdash_read(machine->vcpu->memory, &machine->paging, linear, to, length);
}

/* The base of a code segment, by its descriptor (SDM vol. 3A, 3.4.5). */
static struct entry in_segment(const struct machine *machine, uint16_t selector, uint64_t offset) {
    const struct kvm_sregs *sregs = machine->sregs;
    uint64_t table = selector & 4 ? sregs->ldt.base : sregs->gdt.base;
    uint8_t raw[8];
    uint64_t base;

    if (selector == sregs->cs.selector)
        base = machine->is_long && sregs->cs.l ? 0 : sregs->cs.base;
    else if (read_at(machine, table + (selector & ~7u), raw, 8) < 8)
        return (struct entry){0, 0};
    else if (machine->is_long && raw[6] & 0x20)
        base = 0;
    else
        base = load(raw + 2, 3) | (uint64_t)raw[7] << 24;
    if (base == 0 && machine->is_long)
        return (struct entry){offset, 1};
    return (struct entry){(base + offset) & 0xffffffff, 1};
}

static struct entry handler(const struct machine *machine, unsigned vector, const uint8_t *table,
                            uint32_t length) {
    unsigned size = machine->real ? 4 : machine->is_long ? 16 : 8;
    const uint8_t *gate = table + vector * size;

    if ((vector + 1) * size > length)
        return (struct entry){0, 0};
    if (machine->real)
        return (struct entry){load(gate + 2, 2) * 16 + load(gate, 2), 1};
    if (!(gate[5] & 0x80) || (gate[5] & 0x1f) == 5) /* not present, or a task gate */
        return (struct entry){0, 0};
    if (machine->is_long)
        return (struct entry){load(gate, 2) | load(gate + 6, 2) << 16 | load(gate + 8, 4) << 32, 1};
    return in_segment(machine, (uint16_t)load(gate + 2, 2),
                      load(gate, 2) | (gate[5] & 8 ? load(gate + 6, 2) << 16 : 0));
}

/* Where an IRET that is next returns to. */
static struct entry return_target(const struct machine *machine,
                                  const struct kdash_record *record) {
    const struct kvm_sregs *sregs = machine->sregs;
    unsigned size = record->bits == 16 ? 2 : 4;
    uint64_t stack = machine->vcpu->run->s.regs.regs.rsp;
    uint8_t raw[16];

    for (uint32_t i = 0; i < record->code_length && record->code[i] != 0xcf; i++) {
        if (record->code[i] == 0x66)
            size = record->bits == 16 ? 4 : 2;
        if (record->bits == 64 && (record->code[i] & 0xf8) == 0x48) /* REX.W */
            size = 8;
    }
    if (record->bits != 64) {
        stack &= sregs->ss.db ? 0xffffffff : 0xffff;
        stack = (stack + sregs->ss.base) & 0xffffffff;
    }
    if (read_at(machine, stack, raw, size * 2) < size * 2)
        return (struct entry){0, 0};
    if (machine->real || machine->vm86)
        return (struct entry){load(raw + size, 2) * 16 + load(raw, size), 1};
    return in_segment(machine, (uint16_t)load(raw + size, 2), load(raw, size));
}

/* The vector beside #UD, #GP and #PF that this instruction may raise most likely, SPARE_OF_IRET,
 * or -1: none of its own. */
static int spare_of(const struct machine *machine, const struct kdash_record *record) {
    uint32_t i = 0;
    uint8_t opcode, next;

    while (i < record->code_length && kdash_is_prefix(record->code[i], record->bits))
        i++;
    if (i + 1 >= record->code_length)
        return -1;
    opcode = record->code[i];
    next = record->code[i + 1];
    switch (opcode) {
    case 0xcf:
        return SPARE_OF_IRET;
    case 0xf6: case 0xf7: /* DIV and IDIV */
        return (next & 0x30) == 0x30 ? DIVIDE : -1;
    case 0xd4: /* AAM */
        return DIVIDE;
    case 0x62: /* BOUND */
        return record->bits == 64 ? -1 : BOUND_RANGE;
    case 0x8e: case 0x07: case 0x1f: case 0xea: case 0x9a: case 0xca: case 0xcb:
    case 0xc4: case 0xc5: /* segment loads */
        return machine->real ? -1 : NOT_PRESENT;
    case 0x9b: case 0xd8: case 0xd9: case 0xda: case 0xdb: case 0xdc: case 0xdd: case 0xde:
    case 0xdf:
        return machine->sregs->cr0 & CR0_EM_TS ? NO_DEVICE : -1;
    case 0xe8: case 0xc2: case 0xc3: case 0xc8: case 0xc9: case 0x9c: case 0x9d: case 0x68:
    case 0x6a: /* calls, returns, frames */
        return STACK;
    default:
        return opcode >= 0x50 && opcode <= 0x5f ? STACK : -1; /* PUSH and POP */
    }
}

static void want(const struct machine *machine, const struct kdash_record *record,
                 uint64_t *wanted, uint32_t *count) {
    static const uint8_t always[] = {INVALID_OPCODE, PROTECTION, PAGE_FAULT};
    struct kdash_vcpu *vcpu = (struct kdash_vcpu *)machine->vcpu;
    const struct kvm_sregs *sregs = machine->sregs;
    uint8_t table[16 * (PAGE_FAULT + 1)];
    uint32_t size = machine->real ? 4 : machine->is_long ? 16 : 8;
    uint32_t length = size * (PAGE_FAULT + 1);
    uint64_t here = vcpu->run->s.regs.regs.rip;
    struct entry entries[KDASH_ARMED];
    int spare = spare_of(machine, record);

    if (record->bits != 64)
        here = (here + sregs->cs.base) & 0xffffffff;
    /* Hosts without real mode of their own do not look at its limit. */
    if (!machine->real && length > sregs->idt.limit + 1u)
        length = sregs->idt.limit + 1u;
    length = read_at(machine, sregs->idt.base, table, length);
    if (spare >= 0 && spare != SPARE_OF_IRET)
        vcpu->spare = (uint32_t)spare; /* the next instruction has the same one most likely */
    for (unsigned i = 0; i < sizeof always; i++)
        entries[i] = handler(machine, always[i], table, length);
    entries[KDASH_ARMED - 1] = spare == SPARE_OF_IRET
                                   ? return_target(machine, record)
                                   : handler(machine, vcpu->spare, table, length);
    /* One where the guest is would stop it before this instruction. */
    for (unsigned i = 0; i < KDASH_ARMED; i++)
        if (entries[i].there && entries[i].linear != here)
            wanted[(*count)++] = entries[i].linear;
}

void handlers_arm(struct kdash_vcpu *vcpu, const struct kdash_record *record) {
    const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;
    struct machine machine = {
        vcpu, sregs, {sregs->cr0, sregs->cr3, sregs->cr4, sregs->efer}, 0, 0, 0};
    struct kvm_guest_debug debug;
    uint64_t wanted[KDASH_ARMED] = {0};
    uint32_t count = 0;

    if (!vcpu->stepping)
        return;
    vcpu->harmless = instruction_may_fault(vcpu, record) ? 0 : vcpu->harmless + 1;
    if (vcpu->harmless && vcpu->armed_count == 0)
        return;
    machine.real = !(sregs->cr0 & CR0_PE);
    machine.vm86 = !machine.real && vcpu->run->s.regs.regs.rflags & RFLAGS_VM;
    machine.is_long = (sregs->efer & EFER_LMA) != 0;
    if (!vcpu->delivering && vcpu->harmless < PATIENCE)
        want(&machine, record, wanted, &count);
    if (count == vcpu->armed_count && memcmp(wanted, vcpu->armed, sizeof wanted) == 0)
        return;
    memset(&debug, 0, sizeof debug);
    debug.control = KVM_GUESTDBG_ENABLE | vcpu->stepping | (count ? KVM_GUESTDBG_USE_HW_BP : 0);
    debug.arch.debugreg[7] = DR7_FIXED;
    for (uint32_t i = 0; i < count; i++) {
        debug.arch.debugreg[i] = wanted[i];
        debug.arch.debugreg[7] |= 1ull << 2 * i; /* local enable; R/W and LEN 0: execution */
    }
    if (ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug) != 0)
        return; /* it goes on with those of before, or single-stepping alone */
    vcpu->armed_count = count;
    memcpy(vcpu->armed, wanted, sizeof wanted);
}

int kdash_caught(const struct kdash_vcpu *vcpu) {
    const struct kvm_run *run = vcpu->run;

    return vcpu->armed_count && run->exit_reason == KVM_EXIT_DEBUG &&
           (run->debug.arch.dr6 & DR6_HIT) && !(run->debug.arch.dr6 & DR6_SINGLE);
}
