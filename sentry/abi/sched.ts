/** Scheduling policies (include/uapi/linux/sched.h). */
export const SCHED_OTHER = 0;
export const SCHED_FIFO = 1;
export const SCHED_RR = 2;
export const SCHED_BATCH = 3;
export const SCHED_IDLE = 5;
export const SCHED_DEADLINE = 6;
export const SCHED_RESET_ON_FORK = 0x40000000;

/** The highest sched_priority of SCHED_FIFO and SCHED_RR (include/linux/sched/prio.h MAX_RT_PRIO − 1). */
export const RT_PRIORITY_MAX = 99;
