/** What uname(2) and /proc say the kernel is. The release decides which features programs try: it names a Linux that has them. */
export const UTS_SYSNAME = 'Linux';
export const UTS_RELEASE = '6.12.0-runsc-ts';
export const UTS_VERSION = '#1 SMP PREEMPT_DYNAMIC';
export const UTS_MACHINE = 'x86_64';
