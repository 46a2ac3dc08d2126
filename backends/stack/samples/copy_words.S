/* gcc: -g
 *
 * An assembly copy routine with an exception table. When the copy faults, the fixup returns
 * without restoring rbx. The helper below it was never given a function symbol.
 */
#include "frames.h"

SYM_FUNC_START copy_words
	push %rbx
	mov %rdx, %rbx
	mov %rdx, %rcx
	shr $3, %rcx
1:	rep movsq
	mov %ebx, %ecx
	and $7, %ecx
2:	rep movsb
	xor %eax, %eax
	pop %rbx
	ret
3:	lea (%rcx), %rax
	ret
SYM_FUNC_END copy_words

	.p2align 4, 0x90
	.globl copy_byte
copy_byte:
	mov (%rsi), %al
	mov %al, (%rdi)
	ret

.section __ex_table, "a"
	.p2align 2
	.long 1b - ., 3b - ., 0
	.long 2b - ., 3b - ., 0
