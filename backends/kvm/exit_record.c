/* The record of a step or an exit: the code around RIP, the access, the registers. */
#include "native_inside.h"

#include <string.h>

void record_code(const struct kdash_vcpu *vcpu, struct kdash_record *record) {
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

void record_exit(const struct kdash_vcpu *vcpu, struct kdash_record *record) {
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
    record_code(vcpu, record);
    record_exit(vcpu, record);
}
