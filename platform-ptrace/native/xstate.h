// The extended state of threads that have not asked for more (ARCH_REQ_XCOMP_PERM, which guests cannot): what Linux calls the
// default features. AT_MINSIGSTKSZ and ptrace's NT_X86_XSTATE count those that have to be asked for too (AMX: 8 KiB of tiles).
// Linux: arch/x86/kernel/fpu/xstate.c, Intel SDM volume 1, 13.14.
#ifndef XSTATE_H
#define XSTATE_H

struct xstate_sizes {
  unsigned all;               // bytes of the XSAVE area with everything that the host's kernel has enabled
  unsigned initial;           // bytes of it without what has to be asked for
  unsigned long long dynamic; // what has to be asked for (XFD)
  unsigned pkru;              // where PKRU is in it; 0: the host's kernel has not enabled protection keys
};

static inline void xstate_cpuid(unsigned leaf, unsigned subleaf, unsigned r[4]) {
  __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
}

static inline struct xstate_sizes xstate_sizes(void) {
  unsigned r[4], low, high;
  struct xstate_sizes sizes = {576, 576, 0, 0}; // legacy area and header
  xstate_cpuid(1, 0, r);
  if ((r[2] & 1u << 27) == 0) return sizes; // no XSAVE
  xstate_cpuid(0xd, 0, r);
  sizes.all = r[1];
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  unsigned long long enabled = (unsigned long long)high << 32 | low;
  for (unsigned i = 2; i < 63; i++) {
    if ((enabled >> i & 1) == 0) continue;
    xstate_cpuid(0xd, i, r);
    if (r[2] & 4) sizes.dynamic |= 1ULL << i;
    else if (r[1] + r[0] > sizes.initial) sizes.initial = r[1] + r[0];
    if (i == 9 /* XFEATURE_PKRU */) sizes.pkru = r[1];
  }
  return sizes;
}

#endif
