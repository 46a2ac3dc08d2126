/* gcc: -g
 *
 * Code around entering idle: a tail call that leaves its frame behind, an instruction that
 * leaves the kernel from a callable function, and code behind a jump that nothing reaches.
 */
#include "frames.h"

SYM_FUNC_START idle_enter
	push %rbp
	mov %rsp, %rbp
	push %rbx
	mov %rdi, %rbx
	call idle_prepare
	test %eax, %eax
	jnz idle_cancel
	mov %rbx, %rdi
	call idle_wait
	pop %rbx
	pop %rbp
	ret
SYM_FUNC_END idle_enter

SYM_FUNC_START resume_user
	mov %rdi, %rcx
	mov $0x202, %r11d
	sysretq
SYM_FUNC_END resume_user

SYM_FUNC_START idle_poll
	push %rbp
	mov %rsp, %rbp
1:	pause
	call need_resched
	test %eax, %eax
	jz 1b
	pop %rbp
	ret
	movl $0, idle_state(%rip)
	jmp 1b
SYM_FUNC_END idle_poll
