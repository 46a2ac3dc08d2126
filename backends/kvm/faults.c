/* Whether an instruction may raise an exception, told before it is stepped: never no where it
 * may, as far as it concerns what KVM and processors check of plain instructions; yes where that
 * is not told simply. Opcodes: Intel SDM vol. 2D, A.3; addresses: vol. 2A, 2.1.5. */
#include "native_inside.h"

#include <string.h>

#define CR0_PE 1ull
#define CR0_PG (1ull << 31)
#define CR4_LA57 (1ull << 12)
#define CR4_SMAP_PKE_PKS 0x1600000ull
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)
#define RFLAGS_AC_VM 0x60000ull
#define ENTRY_LARGE (1ull << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define ENTRY_UNUSUAL 0x7ffffff000000000ull /* reserved on many, or ignored */
#define PRESENT 1ull
#define WRITABLE 2ull
#define USER 4ull
#define NO_EXECUTE (1ull << 63)
#define WIDEST 16 /* bytes of an operand */

struct instruction {
    const struct kdash_vcpu *vcpu;
    const struct kvm_sregs *sregs;
    const uint8_t *code;
    uint32_t length, at; /* at: of the opcode */
    int bits, address_bits, operand_prefix, segment;
    struct kdash_paging paging;
};

/* Four levels of tables that allow every access wanted; others are not looked at. */
static int allowed(const struct instruction *one, uint64_t linear, uint64_t rights, uint64_t not) {
    const struct kvm_sregs *sregs = one->sregs;
    uint64_t table = sregs->cr3 & ENTRY_ADDRESS;
    uint64_t top = linear >> 47;

    if (!(sregs->efer & EFER_LMA) || sregs->cr4 & (CR4_LA57 | CR4_SMAP_PKE_PKS) ||
        (top != 0 && top != 0x1ffff))
        return 0;
    not |= ENTRY_UNUSUAL | (sregs->efer & EFER_NXE ? 0 : NO_EXECUTE);
    for (int shift = 39; shift >= 12; shift -= 9) {
        uint64_t left, entry;
        const uint8_t *host =
            kdash_host(one->vcpu->memory, table + (linear >> shift & 0x1ff) * 8, &left);

        if (host == NULL || left < 8)
            return 0;
        memcpy(&entry, host, 8);
        if ((entry & rights) != rights || entry & not)
            return 0;
        if (entry & ENTRY_LARGE && shift < 39)
            return shift == 12 || !(entry & ((1ull << shift) - 0x2000));
        table = entry & ENTRY_ADDRESS;
    }
    return 1;
}

static int may_fault_at(const struct instruction *one, const struct kvm_segment *segment,
                        uint64_t offset, uint64_t bytes) {
    const struct kvm_sregs *sregs = one->sregs;
    uint64_t rights = PRESENT | WRITABLE | (sregs->ss.dpl == 3 ? USER : 0);
    uint64_t linear = offset;

    if (one->bits == 64) {
        if (segment == &sregs->fs || segment == &sregs->gs)
            linear += segment->base;
    } else {
        /* A data segment, writable and not expanding down. */
        if (segment->unusable || !segment->present || (segment->type & 0xe) != 2 ||
            offset + bytes - 1 > segment->limit)
            return 1;
        linear = (linear + segment->base) & 0xffffffff;
    }
    if (!(sregs->cr0 & CR0_PG))
        return 0;
    return !allowed(one, linear, rights, 0) ||
           ((linear ^ (linear + bytes - 1)) >> 12 && !allowed(one, linear + bytes - 1, rights, 0));
}

static int stack_may_fault(const struct instruction *one) {
    uint64_t rsp = one->vcpu->run->s.regs.regs.rsp;

    if (one->bits != 64)
        rsp &= one->sregs->ss.db ? 0xffffffff : 0xffff;
    return rsp < 8 || may_fault_at(one, &one->sregs->ss, rsp - 8, 16);
}

#define LOWER_HALF_END (1ull << 47) /* of canonical addresses; the upper half ends at 2^64 */
#define FARTHEST (1ull << 32)      /* more than a relative jump goes */

/* A target beyond the limit of CS, or that is not canonical (SDM vol. 2A, JMP). */
static int jump_may_fault(const struct instruction *one) {
    uint64_t rip = one->vcpu->run->s.regs.regs.rip, limit = one->sregs->cs.limit;

    if (one->bits == 64)
        return (rip > LOWER_HALF_END - FARTHEST && rip < 0 - LOWER_HALF_END + FARTHEST);
    /* In 16-bit code IP wraps unless the operand is one of 32 bits. */
    return limit < (one->bits == 16 && !one->operand_prefix ? 0xffffu : 0xffffffffu);
}

static int return_may_fault(const struct instruction *one) {
    uint64_t target;

    if (one->bits != 64)
        return jump_may_fault(one);
    if (kdash_read(one->vcpu->memory, &one->paging, one->vcpu->run->s.regs.regs.rsp,
                   (uint8_t *)&target, 8) < 8)
        return 1;
    return target >= LOWER_HALF_END && target < 0 - LOWER_HALF_END;
}

static uint64_t word_of(const struct kvm_regs *regs, unsigned number) {
    /* By the numbers of instructions; struct kvm_regs has RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP. */
    static const uint8_t places[] = {0, 2, 3, 1, 6, 7, 4, 5};
    uint64_t words[16];

    memcpy(words, regs, sizeof words);
    return words[number < 8 ? places[number] : number];
}

static const struct kvm_segment *segment_of(const struct instruction *one, int is_stack) {
    const struct kvm_sregs *sregs = one->sregs;

    switch (one->segment) {
    case 0x2e: return &sregs->cs;
    case 0x36: return &sregs->ss;
    case 0x3e: return &sregs->ds;
    case 0x26: return &sregs->es;
    case 0x64: return &sregs->fs;
    case 0x65: return &sregs->gs;
    default: return is_stack ? &sregs->ss : &sregs->ds;
    }
}

static int64_t displacement(const uint8_t *from, int bytes) {
    int8_t one;
    int16_t two;
    int32_t four;

    if (bytes == 1)
        return memcpy(&one, from, 1), one;
    if (bytes == 2)
        return memcpy(&two, from, 2), two;
    return bytes ? memcpy(&four, from, 4), four : 0;
}

static int operand_16(const struct instruction *one, const uint8_t *modrm) {
    static const int8_t bases[] = {3, 3, 5, 5, -1, -1, 5, 3}, indices[] = {6, 7, 6, 7, 6, 7, -1, -1};
    const struct kvm_regs *regs = &one->vcpu->run->s.regs.regs;
    int mod = *modrm >> 6, rm = *modrm & 7, none = mod == 0 && rm == 6;
    uint64_t offset = (uint64_t)displacement(modrm + 1, none ? 2 : mod);

    if (!none && bases[rm] >= 0)
        offset += word_of(regs, (unsigned)bases[rm]);
    if (!none && indices[rm] >= 0)
        offset += word_of(regs, (unsigned)indices[rm]);
    return may_fault_at(one, segment_of(one, !none && bases[rm] == 5), offset & 0xffff, WIDEST / 2);
}

static int operand(const struct instruction *one, uint32_t at) {
    const struct kvm_regs *regs = &one->vcpu->run->s.regs.regs;
    const uint8_t *modrm = one->code + at, *next = modrm + 1;
    uint8_t rex = one->bits == 64 && one->at && (one->code[one->at - 1] & 0xf0) == 0x40
                      ? one->code[one->at - 1] : 0;
    unsigned base = *modrm & 7, index = 4, scale = 0, mod = *modrm >> 6;
    uint64_t offset = 0;
    int is_stack;

    if (mod == 3)
        return 0;
    if (at + 10 > one->length)
        return 1;
    if (one->address_bits == 16)
        return operand_16(one, modrm);
    if (base == 4) {
        base = *next & 7;
        index = (*next >> 3 & 7) | (rex & 2) << 2;
        scale = *next++ >> 6;
    } else if (base == 5 && mod == 0 && one->bits == 64) {
        /* Relative to the end of the instruction, which may have four more bytes. */
        offset = regs->rip + at + 5 + (uint64_t)displacement(next, 4);
        return one->address_bits != 64 || may_fault_at(one, segment_of(one, 0), offset, WIDEST);
    }
    is_stack = base == 4 || base == 5;
    if (index != 4)
        offset = word_of(regs, index) << scale;
    if (base == 5 && mod == 0) {
        is_stack = 0;
        mod = 2;
    } else
        offset += word_of(regs, base | (rex & 1) << 3);
    offset += (uint64_t)displacement(next, mod == 2 ? 4 : (int)mod);
    if (one->address_bits == 32)
        offset &= 0xffffffff;
    return may_fault_at(one, segment_of(one, is_stack && !(rex & 1)), offset, WIDEST / 2);
}

/* A string instruction without REP, or LEAVE: by registers alone. */
static int may_by_register(const struct instruction *one, uint8_t opcode) {
    const struct kvm_regs *regs = &one->vcpu->run->s.regs.regs;
    uint64_t mask = one->address_bits == 64 ? ~0ull : (1ull << one->address_bits) - 1;

    if (opcode == 0xc9) {
        mask = one->bits == 64 ? ~0ull : one->sregs->ss.db ? 0xffffffff : 0xffff;
        return may_fault_at(one, &one->sregs->ss, regs->rbp & mask, WIDEST / 2);
    }
    return ((opcode <= 0xa7 || opcode == 0xac || opcode == 0xad) &&
            may_fault_at(one, segment_of(one, 0), regs->rsi & mask, WIDEST / 2)) ||
           (opcode != 0xac && opcode != 0xad &&
            may_fault_at(one, &one->sregs->es, regs->rdi & mask, WIDEST / 2));
}

static int may_0f(const struct instruction *one) {
    uint8_t opcode = one->code[one->at + 1];

    if (opcode >= 0x80 && opcode <= 0x8f)
        return jump_may_fault(one);
    if ((opcode >= 0xc8 && opcode <= 0xcf) || opcode == 0xa2)
        return 0;
    if ((opcode >= 0x40 && opcode <= 0x4f) || (opcode >= 0x90 && opcode <= 0x9f) ||
        opcode == 0xaf || opcode == 0xb6 || opcode == 0xb7 || opcode == 0xbe || opcode == 0xbf ||
        opcode == 0xb0 || opcode == 0xb1 || opcode == 0xc0 || opcode == 0xc1 || opcode == 0xbc)
        return operand(one, one->at + 2);
    return 1;
}

static int may_group(const struct instruction *one, uint8_t opcode) {
    unsigned kind = one->code[one->at + 1] >> 3 & 7;

    if (opcode <= 0xf7)
        return kind >= 6 || operand(one, one->at + 1); /* DIV and IDIV */
    return kind > (opcode == 0xfe ? 1 : 2) || (kind == 2 && stack_may_fault(one)) ||
           operand(one, one->at + 1);
}

static int may_opcode(const struct instruction *one) {
    uint8_t opcode = one->code[one->at];
    int user = one->sregs->ss.dpl != 0; /* whatever its IOPL */

    if (opcode < 0x40)
        return (opcode & 7) < 4 ? operand(one, one->at + 1)
                                : opcode == 0x0f ? may_0f(one) : (opcode & 7) > 5;
    switch (opcode) {
    case 0x69: case 0x6b: case 0x80: case 0x81: case 0x83: case 0x84: case 0x85: case 0x86:
    case 0x87: case 0x88: case 0x89: case 0x8a: case 0x8b: case 0xc0: case 0xc1: case 0xd0:
    case 0xd1: case 0xd2: case 0xd3:
        return operand(one, one->at + 1);
    case 0xc6: case 0xc7: /* beside MOV, /0, there are XABORT and XBEGIN */
        return (one->code[one->at + 1] >> 3 & 7) != 0 || operand(one, one->at + 1);
    case 0x8d:
        return one->code[one->at + 1] >= 0xc0;
    case 0x8e: /* in real mode any selector will do, in all but CS */
        return one->sregs->cr0 & CR0_PE || (one->code[one->at + 1] >> 3 & 7) == 1 ||
               (one->code[one->at + 1] >> 3 & 7) > 5 || operand(one, one->at + 1);
    case 0x9c: case 0x68: case 0x6a:
        return stack_may_fault(one);
    case 0xc2: case 0xc3:
        return stack_may_fault(one) || return_may_fault(one);
    case 0xe8:
        return stack_may_fault(one) || jump_may_fault(one);
    case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xe9: case 0xeb:
        return jump_may_fault(one);
    case 0xe4: case 0xe5: case 0xe6: case 0xe7: case 0xec: case 0xed: case 0xee: case 0xef:
    case 0xf4: case 0xfa: case 0xfb:
        return user;
    case 0xa8: case 0xa9: case 0x98: case 0x99: case 0xf5: case 0xf8: case 0xf9: case 0xfc:
    case 0xfd:
        return 0;
    case 0xa4: case 0xa5: case 0xa6: case 0xa7: case 0xaa: case 0xab: case 0xac: case 0xad:
    case 0xae: case 0xaf: case 0xc9:
        return may_by_register(one, opcode);
    case 0xf6: case 0xf7: case 0xfe: case 0xff:
        return may_group(one, opcode);
    default:
        if (opcode >= 0x70 && opcode <= 0x7f)
            return jump_may_fault(one);
        if (opcode <= 0x4f || (opcode >= 0x90 && opcode <= 0x97) ||
            (opcode >= 0xb0 && opcode <= 0xbf))
            return 0;
        return opcode >= 0x50 && opcode <= 0x5f ? stack_may_fault(one) : 1;
    }
}

int instruction_may_fault(const struct kdash_vcpu *vcpu, const struct kdash_record *record) {
    const struct kvm_sregs *sregs = &vcpu->run->s.regs.sregs;
    const struct kvm_regs *regs = &vcpu->run->s.regs.regs;
    struct instruction one = {
        vcpu, sregs, record->code, record->code_length, 0, record->bits, record->bits, 0, 0,
        {sregs->cr0, sregs->cr3, sregs->cr4, sregs->efer}};
    uint64_t user = sregs->ss.dpl == 3 ? USER : 0;
    uint64_t linear = regs->rip;

    /* The longest instruction must be there, in a page or two that may be executed. */
    if (record->code_length < KDASH_WINDOW || (sregs->cr0 & CR0_PE && regs->rflags & RFLAGS_AC_VM))
        return 1;
    if (record->bits != 64 && regs->rip + KDASH_WINDOW > sregs->cs.limit)
        return 1;
    if (record->bits != 64)
        linear = (linear + sregs->cs.base) & 0xffffffff;
    if (sregs->cr0 & CR0_PG &&
        (!allowed(&one, linear, PRESENT | user, NO_EXECUTE) ||
         ((linear & 0xfff) > 0x1000 - KDASH_WINDOW &&
          !allowed(&one, linear + KDASH_WINDOW, PRESENT | user, NO_EXECUTE))))
        return 1;
    for (; one.at < 8 && kdash_is_prefix(one.code[one.at], one.bits); one.at++) {
        /* LOCK; REP, whose later elements are not looked at. */
        if (one.code[one.at] == 0xf0 || (one.code[one.at] & 0xfe) == 0xf2)
            return 1;
        if (one.code[one.at] == 0x66)
            one.operand_prefix = 1;
        else if (one.code[one.at] == 0x67)
            one.address_bits = one.bits == 32 ? 16 : 32;
        else if ((one.code[one.at] & 0xe7) == 0x26 || (one.code[one.at] & 0xfe) == 0x64)
            one.segment = one.code[one.at];
    }
    if (one.at >= 8)
        return 1;
    return may_opcode(&one);
}
