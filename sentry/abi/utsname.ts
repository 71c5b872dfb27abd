/** What uname(2) and /proc say the kernel is. The release decides which features programs try: it names a Linux that has them. */
export const UTS_SYSNAME = 'Linux';
export const UTS_RELEASE = '6.12.0-runsc-ts';
export const UTS_VERSION = '#1 SMP PREEMPT_DYNAMIC';
export const UTS_MACHINE = 'x86_64';
/** What personality UNAME26 makes of it: 60 more than the patch level of the real one (kernel/sys.c override_release). */
export const UTS_RELEASE_26 = '2.6.72-runsc-ts';
