/* What an instruction is and does, seen by its bytes before it is stepped. */
#include "native_inside.h"
#include "record.h"

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

/* ---- what it changes beside registers and memory ---- */

static int is_fpu_0f(uint8_t second) {
    /* SSE and MMX by their rows of the opcode map (SDM vol. 2D, A.3); conditional moves,
     * jumps, SETcc and the integer instructions among them left out. */
    return (second >= 0x10 && second <= 0x17) || (second >= 0x28 && second <= 0x2f) ||
           second == 0x38 || second == 0x3a || (second >= 0x50 && second <= 0x7f) ||
           second == 0x77 || second == 0xae || second == 0xc2 || (second >= 0xc4 && second <= 0xc7) ||
           second >= 0xd0 || second == 0x0e;
}

static uint32_t changes_0f(const uint8_t *code, uint32_t left) {
    if (left == 0)
        return 0;
    switch (code[0]) {
    case 0x01: /* XSETBV, SWAPGS, VM and SGX instructions: the ModRM byte says which */
        return left > 1 && code[1] >= 0xc0 ? KDASH_CHANGES_MSR | KDASH_CHANGES_FPU : 0;
    case 0x05: case 0x07: case 0x34: case 0x35: /* SYSCALL, SYSRET, SYSENTER, SYSEXIT */
    case 0x30: /* WRMSR */
        return KDASH_CHANGES_MSR | KDASH_CHANGES_FPU;
    case 0x21: case 0x23: /* MOV from or to a debug register */
        return KDASH_CHANGES_DEBUG;
    default:
        return is_fpu_0f(code[0]) ? KDASH_CHANGES_FPU : 0;
    }
}

uint32_t kdash_changes(const uint8_t *code, uint32_t length, int bits) {
    uint32_t i = 0;

    while (i < length && kdash_is_prefix(code[i], bits))
        i++;
    if (i == length)
        return 0;
    if (code[i] == 0x0f)
        return changes_0f(code + i + 1, length - i - 1);
    if ((code[i] >= 0xd8 && code[i] <= 0xdf) || code[i] == 0x9b) /* x87, FWAIT */
        return KDASH_CHANGES_FPU;
    if (code[i] == 0xc4 || code[i] == 0xc5 || code[i] == 0x62) /* VEX and EVEX, or LES, LDS, BOUND */
        return bits == 64 || (i + 1 < length && code[i + 1] >= 0xc0) ? KDASH_CHANGES_FPU : 0;
    return 0;
}

int instruction_may_mask(const struct kdash_record *record) {
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

int instruction_is_high_int(const struct kdash_record *record) {
    uint32_t i = 0;

    while (i < record->code_length && kdash_is_prefix(record->code[i], record->bits))
        i++;
    return i + 1 < record->code_length && record->code[i] == 0xcd && record->code[i + 1] >= 0x80;
}
