/* Names of the kernel's assembly annotations, as far as the samples use them. */
.macro SYM_FUNC_START name
	.globl \name
	.type \name, @function
	.p2align 4, 0x90
\name:
.endm
.macro SYM_FUNC_END name
	.size \name, . - \name
.endm
.section .note.GNU-stack, "", @progbits
.text
