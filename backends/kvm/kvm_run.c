/* A VCPU's run mapping, struct kvm_run, and the ioctls on it. */
#include "native_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct kvm_regs) == KDASH_REGISTERS * sizeof(uint64_t), "kvm_regs");

int kdash_ioctl(int fd, unsigned long request, uint64_t argument) {
    int value = ioctl(fd, request, (unsigned long)argument);

    return value < 0 ? -errno : value;
}

int kdash_ioctl_pointer(int fd, unsigned long request, void *argument) {
    int value = ioctl(fd, request, argument);

    return value < 0 ? -errno : value;
}

int kdash_vcpu_open(struct kdash_vcpu *vcpu, int fd, uint32_t run_size,
                    struct kdash_memory *memory) {
    void *run;
    int error = kick_install();

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
