/* gcc: -g
 *
 * A cipher's rounds: rbp serves as a sixth state word though the kernel walks stacks by frame
 * pointers, the direction flag stays set on one way out, and a table lies among the code.
 */
#include "frames.h"

SYM_FUNC_START cipher_rounds
	push %rbp
	push %rbx
	mov (%rdi), %rbx
	mov 8(%rdi), %rbp
1:	xor %rbp, %rbx
	rol $13, %rbx
	add %rbx, %rbp
	dec %esi
	jnz 1b
	mov %rbx, (%rdi)
	mov %rbp, 8(%rdi)
	pop %rbx
	pop %rbp
	ret
SYM_FUNC_END cipher_rounds

SYM_FUNC_START reverse_copy
	push %rbp
	mov %rsp, %rbp
	mov %rdx, %rcx
	std
	rep movsb
	test %rax, %rax
	jz 1f
	cld
1:	call copy_done
	pop %rbp
	ret
SYM_FUNC_END reverse_copy

SYM_FUNC_START select_round
	cmp $2, %edi
	jae round_constants + 1
	ret
round_constants:
	.byte 0x06, 0x1e, 0x27, 0x2f
SYM_FUNC_END select_round
