"""The guests of the pictures, built with gcc: one in C, a boot sector, one for two VCPUs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

#: Sums the digits of a number and prints the sum: source lines, calls and memory to step through.
DIGITS_C: Final = """\
static void put(char letter)
{
    asm volatile("outb %0, %1" : : "a"(letter), "Nd"((short)0x3f8));
}

static int digit_sum(unsigned number)
{
    int sum = 0;

    while (number) {
        sum += number % 10;
        number /= 10;
    }
    return sum;
}

void print(int number)
{
    if (number >= 10)
        print(number / 10);
    put('0' + number % 10);
}

void _start(void)
{
    for (unsigned year = 1991; year < 2026; year += 5)
        print(digit_sum(year));
    asm volatile("hlt");
}
"""

#: Paints the text screen, then waits for a key.
BOOT_ASM: Final = """\
    .code16
    .globl _start
_start:
    xorw %ax, %ax
    movw %ax, %ds
    movw $0xb800, %ax
    movw %ax, %es
    xorw %di, %di
    movw $0x1720, %ax
    movw $2000, %cx
    rep stosw
    movw $lines, %si
next:
    lodsw
    testw %ax, %ax
    jz wait
    movw %ax, %di
    lodsb
    movb %al, %ah
letter:
    lodsb
    testb %al, %al
    jz next
    stosw
    jmp letter
wait:
    movb $0, %ah
    int $0x16
    jmp wait
lines:
    .word 160 * 2 + 2 * 24
    .byte 0x1f
    .asciz "A BOOT SECTOR ON A REAL VCPU"
    .word 160 * 5 + 2 * 10
    .byte 0x1e
    .asciz "int 10h, 13h, 15h, 16h and 1Ah are served"
    .word 160 * 7 + 2 * 10
    .byte 0x1a
    .asciz "640 KiB conventional memory   [ ok ]"
    .word 160 * 8 + 2 * 10
    .byte 0x1a
    .asciz "text screen at 0xb8000        [ ok ]"
    .word 160 * 9 + 2 * 10
    .byte 0x1c
    .asciz "operating system              [none]"
    .word 160 * 12 + 2 * 10
    .byte 0x70
    .asciz " Press a key "
    .word 0
    .org 510
    .byte 0x55, 0xaa
"""

#: Two VCPUs count under a spin lock and print who did.
LOCK_ASM: Final = """\
    .intel_syntax noprefix
    .globl _start
_start:
    lea r8d, [rdi + 'A']
    mov r9d, 3
acquire:
    lock bts dword ptr [lock], 0
    jnc critical
    pause
    jmp acquire
critical:
    inc dword ptr [count]
    mov eax, r8d
    mov dx, 0x3f8
    out dx, al
release:
    mov dword ptr [lock], 0
    dec r9d
    jnz acquire
    hlt
    .data
lock:   .long 0
count:  .long 0
"""


def build(folder: Path) -> dict[str, Path]:
    """The guests' files in `folder`, by name: digits, boot, lock."""
    made = {}
    for name, suffix, text, options in (
        ("digits", "c", DIGITS_C, ("-O1", "-g", "-fno-inline", "-Wl,-Ttext=0x400000")),
        ("lock", "S", LOCK_ASM, ("-Wl,-Ttext=0x20000,-Tdata=0x21000",)),
        ("boot", "S", BOOT_ASM, ("-m16", "-Wl,-Ttext=0x7c00", "-Wl,--oformat=binary")),
    ):
        (folder / f"{name}.{suffix}").write_text(text)
        made[name] = folder / (f"{name}.img" if name == "boot" else f"{name}.elf")
        subprocess.run(
            ["gcc", *options, "-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie",
             "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none",
             "-mno-sse", "-Wl,--build-id=none", "-o", made[name].name, f"{name}.{suffix}"],
            cwd=folder, check=True,
        )  # fmt: skip
    return made
