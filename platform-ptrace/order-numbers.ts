/** Numbers of the host system calls that threads of guests are told to make (asm/unistd_64.h). */
export const CLOSE = 3;
export const MMAP = 9;
export const MPROTECT = 10;
export const MUNMAP = 11;
export const MREMAP = 25;
export const MADVISE = 28;
export const CLONE = 56;
export const EXIT = 60;
export const ARCH_PRCTL = 158;
export const MEMBARRIER = 324;
export const PKEY_MPROTECT = 329;
export const RSEQ = 334;
