"""What `kdash vcpu` says of itself: the texts around its options."""

from __future__ import annotations

DESCRIPTION = "Run or trace a guest on /dev/kvm without a screen, or list KVM's capabilities."
EPILOG = """\
commands:
  run [GUEST]      run a guest to its end; its output on stdout, exits on stderr
  trace [GUEST]    the same step by step, each step and exit a line of JSON
  caps             every capability KVM_CHECK_EXTENSION knows

GUEST is a static ELF executable, a multiboot image, a Linux kernel (vmlinux or bzImage), a
boot sector or disk image, a BIOS image, or a flat binary; without one it is the 12-byte
sample that prints 4.

examples:
  kdash vcpu run
  kdash vcpu run boot.bin --mode long --timeout 5 --format json
  kdash vcpu trace --max-steps 100 boot.bin | jq -r .text
  kdash vcpu caps | grep SYNC
"""
RUN_EPILOG = """\
A flat binary has RAM from 0, is loaded and entered at 0x1000, with RSP 0x8000 - 0x400 * N
and RDI N on VCPU N; all of them start there. VCPUs of a boot sector or multiboot image but
the first wait for INIT and SIPI, with --irqchip. Several VCPUs run in a thread each, step by
step (--max-steps, trace) they take turns. The run ends with the first VCPU that ends
otherwise than by HLT, or when all have halted.
An ELF64 executable starts in long mode, ELF32 and multiboot in protected mode; a boot sector
(55 aa at 510) at 0:7c00 with BIOS services (what it writes to its disk stays in the run: the
image file is never changed); a BIOS image (64K to 16M with a jump in its
last 16 bytes) at the reset vector, mapped below 4 GiB and copied below 1 MiB.
A Linux kernel is entered by the 64-bit boot protocol, with 256M and its console on the serial
port unless --memory and --append say otherwise; out of a bzImage the kernel is taken first.
Ports: 0x3f8 serial output, 0xe9 and 0x402 debug output, 0xf4 ends the run. Serial output,
debug output and what is printed by BIOS calls go to stdout.
Numbers are decimal or 0x...; sizes take K, M, G.
A device is a class with ports and mmio (a range or None), read(address, size) -> int and
write(address, size, value); attach(machine) if it has it. It takes over built-in ports.
An answer that does not fit size ends the run; what it prints goes to stderr.

Stops end the run as "interrupted" and say what was met: --break main, --break '0x1008 if
rax == 5 && dword [rsp] != 0', --watch 0x2000:4 (the bytes change), --awatch 0x2000 (they are
read or written), --until-exit any, --until-exit IO:0x3f8. Addresses are linear, or symbols. Up
to four breakpoints leave the guest at full speed; more, and watched memory, make it run by steps.

With --record every step is kept in a file, with the registers and memory it changed; `kdash FILE`
goes through them, back and forth, without KVM. At most 512 MiB, or --record-memory; the oldest
steps are dropped first. A recording or snapshot as GUEST goes on from its last moment on KVM, on
the machine it was made on: --set, --stdin, --symbols and limits apply, other options of a guest
don't; devices of your own are given again. Steps and exits count on, output is what comes then.

With --gdb the guest waits for gdb (target remote) at its first instruction; its output stays
on stdout, exits are shown by `monitor exits`, other words by `monitor help`. A detached guest
runs on, a lost connection leaves it stopped for the next one, `kill` ends it.

examples:
  kdash vcpu run kernel.elf --cpuid 1.ecx=0x80000000
  kdash vcpu run adder.bin --set rax=2 --set rbx=0x10 --dump 0x2000:16 --format json
  kdash vcpu run kernel.elf --break 'panic if rdi != 0' --watch jiffies:8
  kdash vcpu run boot.img --record boot.kdash; kdash boot.kdash
  kdash vcpu run boot.kdash --timeout 5
  kdash vcpu run kernel.elf --gdb :1234    and then: gdb kernel.elf -ex 'target remote :1234'

Exit status: 0 the guest halted, or wrote 0 to port 0xf4; 1 any other end;
2 usage or a malformed guest; 3 KVM can't be used; 129, 130, 143 on a signal.
"""
TRACE_EPILOG = """\
A step is {"step": 0, "ip": "0x1000", "code": "baf803", "text": "mov dx,0x3f8", "changed": {...}};
an exit is {"exit": "IO", "index": 0, "step": 3, "ip": "0x1007", "meaning": "out 0x3f8, ..."} and
comes before the step it belongs to; a step also has "symbol" and "source" ({"file", "line"})
where they are known; the last line is the object of `vcpu run --format json`.

example:
  kdash vcpu trace boot.bin --max-steps 1000 > boot.jsonl

Exit status as of `kdash vcpu run`.
"""
CAPS_EPILOG = """\
example:
  kdash vcpu caps --format json | jq '.capabilities[] | select(.value > 1)'
"""
