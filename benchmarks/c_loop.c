/*
 * The peer of benchmarks/vcpu_rates.py: the shortest C program that does the same ioctls.
 *
 *   c_loop out N    N port writes at full speed
 *   c_loop in N     N port reads at full speed, answered with all ones
 *   c_loop step N   N single steps, general registers read by SYNC_REGS
 *
 * Prints events a second of processor time.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHECK(call)                                                                                \
    ({                                                                                             \
        long result_ = (long)(call);                                                               \
        if (result_ == -1) {                                                                       \
            perror(#call);                                                                         \
            exit(3);                                                                               \
        }                                                                                          \
        result_;                                                                                   \
    })

/* 0x1000: out 0x80,al; jmp 0x1000 */
static const uint8_t out_guest[] = {0xe6, 0x80, 0xeb, 0xfc};
/* 0x1000: in al,0x80; jmp 0x1000 */
static const uint8_t in_guest[] = {0xe4, 0x80, 0xeb, 0xfc};
/* 0x1000: inc ax; add bx,ax; jmp 0x1000 */
static const uint8_t step_guest[] = {0x40, 0x01, 0xc3, 0xeb, 0xfb};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int stepping = !strcmp(argv[1], "step"), reading = !strcmp(argv[1], "in");
    const uint8_t *guest = stepping ? step_guest : reading ? in_guest : out_guest;
    long wanted = atol(argv[2]);
    int kvm = CHECK(open("/dev/kvm", O_RDWR | O_CLOEXEC));
    int vm = CHECK(ioctl(kvm, KVM_CREATE_VM, 0));
    uint8_t *memory = mmap(NULL, 1 << 21, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(memory + 0x1000, guest, stepping ? sizeof step_guest : sizeof out_guest);
    struct kvm_userspace_memory_region region = {
        .memory_size = 1 << 21,
        .userspace_addr = (uintptr_t)memory,
    };
    CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
    int vcpu = CHECK(ioctl(vm, KVM_CREATE_VCPU, 0));
    int size = CHECK(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    struct kvm_sregs sregs;
    CHECK(ioctl(vcpu, KVM_GET_SREGS, &sregs));
    sregs.cs.base = sregs.cs.selector = 0;
    CHECK(ioctl(vcpu, KVM_SET_SREGS, &sregs));
    struct kvm_regs regs = {.rip = 0x1000, .rsp = 0x8000, .rflags = 2};
    CHECK(ioctl(vcpu, KVM_SET_REGS, &regs));
    uint64_t sum = 0;
    if (stepping) {
        struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
        CHECK(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug));
        run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    }
    double begin = now();
    for (long done = 0; done < wanted; done++) {
        CHECK(ioctl(vcpu, KVM_RUN, 0));
        if (run->exit_reason != (stepping ? KVM_EXIT_DEBUG : KVM_EXIT_IO)) {
            fprintf(stderr, "unexpected exit %u\n", run->exit_reason);
            return 1;
        }
        if (reading)
            *((uint8_t *)run + run->io.data_offset) = 0xff;
        sum += stepping ? run->s.regs.regs.rip : run->io.port;
    }
    printf("%.0f %llu\n", wanted / (now() - begin), (unsigned long long)sum);
    return 0;
}
