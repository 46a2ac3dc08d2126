/* gcc: -g
 *
 * A checksum with a faster replacement for machines with ERMS. The replacement saves r12 and
 * forgets it: behind the alternative there are two stacks.
 */
#include "frames.h"
#define X86_FEATURE_ERMS (9 * 32 + 9)

SYM_FUNC_START checksum_block
	xor %eax, %eax
	mov %rsi, %rcx
661:	call checksum_slow
	.nops 4
662:
	add %rdx, %rax
	adc $0, %rax
	ret
SYM_FUNC_END checksum_block

.section .altinstr_replacement, "ax"
663:	push %r12
	mov %rdi, %r12
	call checksum_fast
664:

.section .altinstructions, "a"
	.long 661b - ., 663b - .
	.word X86_FEATURE_ERMS
	.byte 662b - 661b, 664b - 663b
