"""Names of CPUID leaves and of the feature bits in them.

Sources: Intel SDM vol. 2A, CPUID, table 3-8 and following; AMD APM vol. 3, appendix E; for the
hypervisor leaves Linux Documentation/virt/kvm/x86/cpuid.rst. Where names differ, Linux' (of
arch/x86/include/asm/cpufeatures.h, 6.19) is taken, as /proc/cpuinfo shows it.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

from kdash.backends.kvm.state_facts import CpuidEntry

_LEAVES: Final[dict[int, str]] = {
    0x0: "vendor, highest leaf",
    0x1: "version and features",
    0x2: "cache and TLB descriptors",
    0x3: "serial number",
    0x4: "cache parameters",
    0x5: "MONITOR/MWAIT",
    0x6: "thermal and power",
    0x7: "extended features",
    0x9: "direct cache access",
    0xA: "performance monitoring",
    0xB: "topology",
    0xD: "XSAVE components",
    0xF: "resource monitoring",
    0x10: "resource allocation",
    0x12: "SGX",
    0x14: "processor trace",
    0x15: "TSC and crystal clock",
    0x16: "frequencies",
    0x17: "SoC vendor",
    0x18: "TLB parameters",
    0x19: "key locker",
    0x1A: "hybrid core",
    0x1C: "last branch records",
    0x1D: "AMX tiles",
    0x1E: "AMX TMUL",
    0x1F: "topology, version 2",
    0x20: "history reset",
    0x24: "AVX10",
    0x40000000: "hypervisor",
    0x40000001: "KVM features",
    0x40000010: "TSC and APIC frequency",
    0x80000000: "highest extended leaf",
    0x80000001: "extended features, AMD",
    0x80000002: "processor name, 1 of 3",
    0x80000003: "processor name, 2 of 3",
    0x80000004: "processor name, 3 of 3",
    0x80000005: "L1 caches and TLBs, AMD",
    0x80000006: "L2 and L3 caches",
    0x80000007: "power management",
    0x80000008: "address sizes",
    0x8000000A: "SVM",
    0x80000019: "1 GiB page TLBs, AMD",
    0x8000001A: "performance hints, AMD",
    0x8000001B: "instruction-based sampling",
    0x8000001C: "lightweight profiling",
    0x8000001D: "cache parameters, AMD",
    0x8000001E: "topology, AMD",
    0x8000001F: "memory encryption",
    0x80000020: "platform QoS, AMD",
    0x80000021: "extended features 2, AMD",
    0x80000022: "performance monitoring 2, AMD",
    0xC0000000: "highest Centaur leaf",
    0xC0000001: "Centaur features",
}

#: (leaf, subleaf, register) -> "bit:name ...".
_FEATURES: Final[dict[tuple[int, int, str], str]] = {
    (0x1, 0, "edx"): (
        "0:fpu 1:vme 2:de 3:pse 4:tsc 5:msr 6:pae 7:mce 8:cx8 9:apic 11:sep 12:mtrr 13:pge 14:mca"
        " 15:cmov 16:pat 17:pse36 18:pn 19:clflush 21:dts 22:acpi 23:mmx 24:fxsr 25:sse 26:sse2"
        " 27:ss 28:ht 29:tm 30:ia64 31:pbe"
    ),
    (0x1, 0, "ecx"): (
        "0:sse3 1:pclmulqdq 2:dtes64 3:monitor 4:ds_cpl 5:vmx 6:smx 7:est 8:tm2 9:ssse3 10:cid"
        " 11:sdbg 12:fma 13:cx16 14:xtpr 15:pdcm 17:pcid 18:dca 19:sse4_1 20:sse4_2 21:x2apic"
        " 22:movbe 23:popcnt 24:tsc_deadline_timer 25:aes 26:xsave 27:osxsave 28:avx 29:f16c"
        " 30:rdrand 31:hypervisor"
    ),
    (0x6, 0, "eax"): (
        "0:dtherm 1:ida 2:arat 4:pln 6:pts 7:hwp 8:hwp_notify 9:hwp_act_window 10:hwp_epp"
        " 11:hwp_pkg_req 19:hfi 23:thread_director"
    ),
    (0x6, 0, "ecx"): "0:aperfmperf 3:epb",
    (0x7, 0, "ebx"): (
        "0:fsgsbase 1:tsc_adjust 2:sgx 3:bmi1 4:hle 5:avx2 6:fdp_excptn_only 7:smep 8:bmi2 9:erms"
        " 10:invpcid 11:rtm 12:cqm 13:zero_fcs_fds 14:mpx 15:rdt_a 16:avx512f 17:avx512dq"
        " 18:rdseed 19:adx 20:smap 21:avx512ifma 23:clflushopt 24:clwb 25:intel_pt 26:avx512pf"
        " 27:avx512er 28:avx512cd 29:sha_ni 30:avx512bw 31:avx512vl"
    ),
    (0x7, 0, "ecx"): (
        "0:prefetchwt1 1:avx512vbmi 2:umip 3:pku 4:ospke 5:waitpkg 6:avx512_vbmi2 7:shstk 8:gfni"
        " 9:vaes 10:vpclmulqdq 11:avx512_vnni 12:avx512_bitalg 13:tme 14:avx512_vpopcntdq 16:la57"
        " 22:rdpid 23:key_locker 24:bus_lock_detect 25:cldemote 27:movdiri 28:movdir64b 29:enqcmd"
        " 30:sgx_lc 31:pks"
    ),
    (0x7, 0, "edx"): (
        "2:avx512_4vnniw 3:avx512_4fmaps 4:fsrm 5:uintr 8:avx512_vp2intersect 9:srbds_ctrl"
        " 10:md_clear 11:rtm_always_abort 13:tsx_force_abort 14:serialize 15:hybrid_cpu"
        " 16:tsxldtrk 18:pconfig 19:arch_lbr 20:ibt 22:amx_bf16 23:avx512_fp16 24:amx_tile"
        " 25:amx_int8 26:spec_ctrl 27:intel_stibp 28:flush_l1d 29:arch_capabilities"
        " 30:core_capabilities 31:spec_ctrl_ssbd"
    ),
    (0x7, 1, "eax"): (
        "0:sha512 1:sm3 2:sm4 4:avx_vnni 5:avx512_bf16 6:lass 7:cmpccxadd 8:arch_perfmon_ext"
        " 10:fzrm 11:fsrs 12:fsrc 17:fred 18:lkgs 19:wrmsrns 21:amx_fp16 22:hreset 23:avx_ifma"
        " 26:lam 27:msrlist"
    ),
    (0x7, 1, "edx"): (
        "4:avx_vnni_int8 5:avx_ne_convert 8:amx_complex 10:avx_vnni_int16 14:prefetchiti"
        " 15:user_msr 18:cet_sss 19:avx10"
    ),
    (0x7, 2, "edx"): "0:psfd 1:ipred_ctrl 2:rrsba_ctrl 3:ddpd_u 4:bhi_ctrl 5:mcdt_no",
    (0xD, 0, "eax"): (
        "0:x87 1:SSE 2:AVX 3:BNDREGS 4:BNDCSR 5:opmask 6:ZMM_Hi256 7:Hi16_ZMM 9:PKRU"
        " 17:XTILECFG 18:XTILEDATA 19:APX"
    ),
    (0xD, 1, "eax"): "0:xsaveopt 1:xsavec 2:xgetbv1 3:xsaves 4:xfd",
    (0x14, 0, "ebx"): "0:cr3_filter 1:psb_cyc 2:ip_filter 3:mtc 4:ptwrite 5:power_event",
    (0x40000001, 0, "eax"): (
        "0:clocksource 1:nop_io_delay 2:mmu_op 3:clocksource2 4:async_pf 5:steal_time 6:pv_eoi"
        " 7:pv_unhalt 9:pv_tlb_flush 10:async_pf_vmexit 11:pv_send_ipi 12:poll_control"
        " 13:pv_sched_yield 14:async_pf_int 15:msi_ext_dest_id 16:hc_map_gpa_range"
        " 17:migration_control 24:clocksource_stable"
    ),
    (0x40000001, 0, "edx"): "0:hints_realtime",
    (0x80000001, 0, "ecx"): (
        "0:lahf_lm 1:cmp_legacy 2:svm 3:extapic 4:cr8_legacy 5:abm 6:sse4a 7:misalignsse"
        " 8:3dnowprefetch 9:osvw 10:ibs 11:xop 12:skinit 13:wdt 15:lwp 16:fma4 17:tce"
        " 19:nodeid_msr 21:tbm 22:topoext 23:perfctr_core 24:perfctr_nb 26:bpext 27:ptsc"
        " 28:perfctr_llc 29:mwaitx 30:addrmaskext"
    ),
    (0x80000001, 0, "edx"): (
        "0:fpu 1:vme 2:de 3:pse 4:tsc 5:msr 6:pae 7:mce 8:cx8 9:apic 11:syscall 12:mtrr 13:pge"
        " 14:mca 15:cmov 16:pat 17:pse36 19:mp 20:nx 22:mmxext 23:mmx 24:fxsr 25:fxsr_opt"
        " 26:pdpe1gb 27:rdtscp 29:lm 30:3dnowext 31:3dnow"
    ),
    (0x80000007, 0, "edx"): (
        "0:ts 1:fid 2:vid 3:ttp 4:htc 6:100mhzsteps 7:hw_pstate 8:constant_tsc 9:cpb"
        " 10:eff_freq_ro 12:acc_power"
    ),
    (0x80000008, 0, "ebx"): (
        "0:clzero 1:irperf 2:xsaveerptr 4:rdpru 8:mcommit 9:wbnoinvd 12:amd_ibpb 14:amd_ibrs"
        " 15:amd_stibp 16:ibrs_always_on 17:amd_stibp_always_on 18:ibrs_preferred 19:ibrs_same_mode"
        " 20:no_efer_lmsle 23:amd_ppin 24:amd_ssbd 25:virt_ssbd 26:amd_ssb_no 27:cppc"
        " 28:amd_psfd 29:btc_no 30:ibpb_ret 31:brs"
    ),
    (0x8000000A, 0, "edx"): (
        "0:npt 1:lbrv 2:svm_lock 3:nrip_save 4:tsc_scale 5:vmcb_clean 6:flushbyasid"
        " 7:decodeassists 10:pausefilter 12:pfthreshold 13:avic 15:v_vmsave_vmload 16:vgif"
        " 18:x2avic 20:v_spec_ctrl 25:vnmi 28:svme_addr_chk"
    ),
    (0x8000001A, 0, "eax"): "0:fp128 1:movu 2:fp256",
    (0x8000001F, 0, "eax"): "0:sme 1:sev 2:vm_page_flush 3:sev_es 4:sev_snp 5:vmpl 10:sme_coherent",
    (0x80000021, 0, "eax"): (
        "0:no_nested_data_bp 1:wrmsr_xx_base_ns 2:lfence_rdtsc 3:smm_page_cfg_lock"
        " 5:verw_clear 6:null_sel_clr_base 7:upper_addr_ignore 8:autoibrs 9:no_smm_ctl_msr 10:fsrs"
        " 11:fsrc 13:prefetch_ctl_msr 17:gp_on_user_cpuid 18:epsf 20:prefetchi 22:fp512_downgrade"
        " 24:erapsf 27:sbpb 28:ibpb_brtype 29:srso_no 30:srso_user_kernel_no 31:srso_msr_fix"
    ),
    (0x80000021, 0, "ecx"): "1:tsa_sq_no 2:tsa_l1_no",
}

_REGISTERS: Final = ("eax", "ebx", "ecx", "edx")
_CACHE_TYPES: Final = {1: "data", 2: "instruction", 3: "unified"}


def leaf_name(leaf: int, subleaf: int) -> str:
    """What a leaf tells, a few words; empty where we know none."""
    name = _LEAVES.get(leaf, "")
    if leaf == 0xD and subleaf > 1:
        component = dict(_bits(0xD, 0, "eax")).get(subleaf, f"component {subleaf}")
        return f"XSAVE: {component}"
    return name


@cache
def _bits(leaf: int, subleaf: int, register: str) -> tuple[tuple[int, str], ...]:
    words = _FEATURES.get((leaf, subleaf, register), "").split()
    return tuple((int(bit), name) for bit, _, name in (word.partition(":") for word in words))


def features(entry: CpuidEntry) -> tuple[str, ...]:
    """Names of the feature bits set in `entry`, register by register."""
    return tuple(
        name
        for register in _REGISTERS
        for bit, name in _bits(entry.leaf, entry.subleaf, register)
        if getattr(entry, register) >> bit & 1
    )


def meaning(entry: CpuidEntry) -> str:
    """What the numbers of an entry say beyond feature bits; empty where we know nothing."""
    match entry.leaf:
        case 0x0 | 0x80000000:
            vendor = _text(entry.ebx, entry.edx, entry.ecx)
            return f"{vendor}, up to leaf {entry.eax:#x}" if vendor else f"up to {entry.eax:#x}"
        case 0x40000000:
            return f"{_text(entry.ebx, entry.ecx, entry.edx)}, up to leaf {entry.eax:#x}"
        case 0x1:
            return _version(entry)
        case 0x4 | 0x8000001D:
            return _cache(entry)
        case 0xD if entry.subleaf == 0:
            return f"{entry.ebx} bytes now, {entry.ecx} with all"
        case 0xD if entry.subleaf > 1:
            return f"{entry.eax} bytes at {entry.ebx}"
        case 0x15 if entry.ebx and entry.eax:
            return f"TSC = crystal * {entry.ebx}/{entry.eax}"
        case 0x16 if entry.eax:
            return f"base {entry.eax & 0xFFFF} MHz, most {entry.ebx & 0xFFFF} MHz"
        case 0x80000002 | 0x80000003 | 0x80000004:
            return _text(entry.eax, entry.ebx, entry.ecx, entry.edx)
        case 0x80000008:
            return f"physical {entry.eax & 0xFF} bits, linear {entry.eax >> 8 & 0xFF} bits"
    return ""


def _text(*registers: int) -> str:
    """ASCII in registers, as the processor's name; anything else as a dot."""
    data = struct.pack(f"<{len(registers)}I", *registers).rstrip(b"\0")
    return "".join(chr(code) if 0x20 <= code < 0x7F else "." for code in data)


def _version(entry: CpuidEntry) -> str:
    """Family, model and stepping as CPUID leaf 1 puts them together (SDM vol. 2A, figure 3-6)."""
    family, model = entry.eax >> 8 & 0xF, entry.eax >> 4 & 0xF
    if family in (0x6, 0xF):
        model += (entry.eax >> 16 & 0xF) << 4
    if family == 0xF:
        family += entry.eax >> 20 & 0xFF
    return (
        f"family {family:#x} model {model:#x} stepping {entry.eax & 0xF:#x}, "
        f"APIC id {entry.ebx >> 24}"
    )


def _cache(entry: CpuidEntry) -> str:
    kind = _CACHE_TYPES.get(entry.eax & 0x1F)
    if kind is None:
        return ""
    ways, parts = (entry.ebx >> 22 & 0x3FF) + 1, (entry.ebx >> 12 & 0x3FF) + 1
    line, sets = (entry.ebx & 0xFFF) + 1, entry.ecx + 1
    size = ways * parts * line * sets
    return f"L{entry.eax >> 5 & 7} {kind}, {size >> 10} KiB, {ways} ways, lines of {line} bytes"
