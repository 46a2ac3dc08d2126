"""Builds the native module kdash.backends.kvm._native (cffi, API mode).

What cffi shall know is declared once, in native.h; the structures of <linux/kvm.h> that
Python fills itself are named here and completed by the compiler.
"""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

#: ioctls of <linux/kvm.h> that Python issues itself.
IOCTLS = (
    "KVM_GET_API_VERSION",
    "KVM_CREATE_VM",
    "KVM_CHECK_EXTENSION",
    "KVM_GET_VCPU_MMAP_SIZE",
    "KVM_SET_TSS_ADDR",
    "KVM_SET_IDENTITY_MAP_ADDR",
    "KVM_SET_USER_MEMORY_REGION",
    "KVM_CREATE_VCPU",
    "KVM_GET_REGS",
    "KVM_SET_REGS",
    "KVM_GET_SREGS",
    "KVM_SET_SREGS",
    "KVM_GET_XSAVE",
    "KVM_SET_XSAVE",
    "KVM_SET_GUEST_DEBUG",
    "KVM_GET_SUPPORTED_CPUID",
    "KVM_GET_MSR_INDEX_LIST",
    "KVM_GET_MSR_FEATURE_INDEX_LIST",
    "KVM_GET_MSRS",
    "KVM_GET_CPUID2",
    "KVM_SET_CPUID2",
    "KVM_GET_FPU",
    "KVM_GET_XSAVE2",
    "KVM_GET_XCRS",
    "KVM_GET_DEBUGREGS",
    "KVM_GET_VCPU_EVENTS",
    "KVM_GET_MP_STATE",
    "KVM_TRANSLATE",
    "KVM_ENABLE_CAP",
    "KVM_GET_STATS_FD",
    "KVM_GET_DIRTY_LOG",
    "KVM_SET_MP_STATE",
    "KVM_CREATE_IRQCHIP",
    "KVM_CREATE_PIT2",
    "KVM_IRQFD",
    "KVM_IOEVENTFD",
    "KVM_REGISTER_COALESCED_MMIO",
    "KVM_INTERRUPT",
    "KVM_SET_XCRS",
    "KVM_SET_MSRS",
    "KVM_SET_DEBUGREGS",
    "KVM_SET_VCPU_EVENTS",
    "KVM_SET_PIT2",
    "KVM_GET_PIT2",
    "KVM_SET_IRQCHIP",
    "KVM_GET_IRQCHIP",
    "KVM_SET_LAPIC",
    "KVM_GET_LAPIC",
)

CONSTANTS = (
    "KVM_API_VERSION",
    "KVM_GUESTDBG_ENABLE",
    "KVM_GUESTDBG_SINGLESTEP",
    "KVM_GUESTDBG_USE_HW_BP",
)

STRUCTURES = """
struct kvm_userspace_memory_region {
    uint32_t slot; uint32_t flags;
    uint64_t guest_phys_addr, memory_size, userspace_addr;
};
struct kvm_segment {
    uint64_t base; uint32_t limit; uint16_t selector;
    uint8_t type, present, dpl, db, s, l, g, avl;
    ...;
};
struct kvm_dtable { uint64_t base; uint16_t limit; ...; };
struct kvm_sregs {
    struct kvm_segment cs, ds, es, fs, gs, ss, tr, ldt;
    struct kvm_dtable gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
    ...;
};
struct kvm_guest_debug_arch { uint64_t debugreg[8]; };
struct kvm_guest_debug { uint32_t control; struct kvm_guest_debug_arch arch; ...; };
"""


def declarations() -> str:
    """The parts of the headers that cffi reads."""
    texts = [(HERE / header).read_text(encoding="utf-8") for header in ("native.h", "record.h")]
    return "".join(text.split("/* CDEF BEGIN */")[1].split("/* CDEF END */")[0] for text in texts)


SOURCE = """
#include "record.h"
#include <linux/version.h>
#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif
static const char *kdash_compiler(void) { return COMPILER; }
"""

ffibuilder = FFI()
ffibuilder.cdef(
    "".join(f"#define {name} ...\n" for name in IOCTLS + CONSTANTS)
    + STRUCTURES
    + declarations()
    + "const char *kdash_compiler(void);\n#define LINUX_VERSION_CODE ...\n"
)
ffibuilder.set_source(
    "kdash.backends.kvm._native",
    SOURCE,
    sources=[
        "backends/kvm/native.c",
        "backends/kvm/kick.c",
        "backends/kvm/kvm_run.c",
        "backends/kvm/instruction.c",
        "backends/kvm/faults.c",
        "backends/kvm/handlers.c",
        "backends/kvm/exit_record.c",
        "backends/kvm/pagewalk.c",
        "backends/kvm/stops.c",
        "backends/kvm/lz4.c",
        "backends/kvm/record.c",
        "backends/kvm/areas.c",
        "backends/kvm/entry.c",
        "backends/kvm/sums.c",
        "backends/kvm/history.c",
        "backends/kvm/search.c",
        "backends/kvm/emulation.c",
    ],
    depends=[
        "backends/kvm/native.h",
        "backends/kvm/native_inside.h",
        "backends/kvm/record.h",
        "backends/kvm/record_inside.h",
    ],
    include_dirs=["backends/kvm"],
    extra_compile_args=["-std=gnu11", "-O2", "-g0", "-Wall", "-Wextra"],
    libraries=["rt"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
