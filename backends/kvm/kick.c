/* The kick: how a VCPU's thread is made to leave KVM_RUN. */
#include "native_inside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Real-time signals carry no meaning of their own, and libraries take the first ones. */
#define KICK_SIGNAL (SIGRTMIN + 5)

static __thread struct kdash_vcpu *volatile running;

static void on_kick(int number) {
    struct kdash_vcpu *vcpu = running;

    (void)number;
    if (vcpu == NULL)
        return;
    __atomic_store_n(&vcpu->kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

int kick_install(void) {
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_kick; /* no SA_RESTART: KVM_RUN has to come back with EINTR */
    return sigaction(KICK_SIGNAL, &action, NULL) ? -errno : 0;
}

int kdash_kick(struct kdash_vcpu *vcpu) {
    int thread;

    __atomic_store_n(&vcpu->kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    thread = __atomic_load_n(&vcpu->thread, __ATOMIC_SEQ_CST);
    if (thread == 0)
        return 0;
    return syscall(SYS_tgkill, getpid(), thread, KICK_SIGNAL) ? -errno : 0;
}

int kick_timer(timer_t *timer) {
    struct sigevent event;

    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = KICK_SIGNAL;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    return timer_create(CLOCK_MONOTONIC, &event, timer) ? -errno : 0;
}

int kdash_tick_start(struct kdash_vcpu *vcpu, uint32_t hertz) {
    struct itimerspec period;
    timer_t timer;
    int error;

    if (vcpu->ticking)
        return 0;
    error = kick_timer(&timer);
    if (error)
        return error;
    period.it_interval.tv_sec = 0;
    period.it_interval.tv_nsec = 1000000000L / (long)hertz;
    period.it_value = period.it_interval;
    if (timer_settime(timer, 0, &period, NULL)) {
        int error = errno;

        timer_delete(timer);
        return -error;
    }
    vcpu->timer = (void *)timer;
    vcpu->ticking = 1;
    return 0;
}

void kdash_tick_stop(struct kdash_vcpu *vcpu) {
    if (vcpu->ticking)
        timer_delete((timer_t)vcpu->timer);
    vcpu->ticking = 0;
}

int kick_take(struct kdash_vcpu *vcpu) {
    if (!__atomic_load_n(&vcpu->kicked, __ATOMIC_SEQ_CST))
        return 0;
    /* In this order a signal in between leaves immediate_exit set and loses nothing. */
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->kicked, 0, __ATOMIC_SEQ_CST);
    return 1;
}

void kick_begin(struct kdash_vcpu *vcpu) {
    running = vcpu;
    __atomic_store_n(&vcpu->thread, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
}

void kick_end(struct kdash_vcpu *vcpu) {
    __atomic_store_n(&vcpu->thread, 0, __ATOMIC_SEQ_CST);
    running = NULL;
}
