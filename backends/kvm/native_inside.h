/* What the files of the VCPU loop share. */
#ifndef KDASH_KVM_NATIVE_INSIDE_H
#define KDASH_KVM_NATIVE_INSIDE_H

#include "native.h"

#include <time.h>

/* kick.c */
int kick_install(void); /* the signal's handler: 0 or -errno */
/* A timer that kicks the calling thread: 0 or -errno. */
int kick_timer(timer_t *timer);
/* Whether there was a kick, which is done with then. */
int kick_take(struct kdash_vcpu *vcpu);
/* From here to the end kicks go to the calling thread. */
void kick_begin(struct kdash_vcpu *vcpu);
void kick_end(struct kdash_vcpu *vcpu);

/* exit_record.c */
/* The code around RIP, as the VCPU's registers say now. */
void record_code(const struct kdash_vcpu *vcpu, struct kdash_record *record);
/* With what KVM_RUN returned, and the registers after it. */
void record_exit(const struct kdash_vcpu *vcpu, struct kdash_record *record);

/* instruction.c */
/* CLI, POPF, IRET, INT in all forms, and system instructions: they clear RFLAGS.IF themselves. */
int instruction_may_mask(const struct kdash_record *record);
/* INT n with n above 0x7f, which KVM's own emulator executes again and again in real mode. */
int instruction_is_high_int(const struct kdash_record *record);

/* handlers.c */
/* Before a step of the instruction in the record: has KVM_RUN return before what an exception's
 * handler begins with, or where IRET returns to. */
void handlers_arm(struct kdash_vcpu *vcpu, const struct kdash_record *record);

/* faults.c */
/* Whether stepping the instruction in the record may raise an exception; 1 where in doubt. */
int instruction_may_fault(const struct kdash_vcpu *vcpu, const struct kdash_record *record);

#endif
