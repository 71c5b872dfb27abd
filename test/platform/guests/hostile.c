#include "guest.h"
// One hostile act per run: the test kernel answers call T_OPEN with the number of the act and its parameter.
enum { NR_exit = 60, NR_mmap = 9, NR_mprotect = 10, NR_munmap = 11, NR_rt_sigreturn = 15, NR_mremap = 25, NR_clone = 56,
       NR_futex = 202, NR_pkey_mprotect = 329, NR_exit_group = 231, NR_close = 3, NR_sched_yield = 24 };
#define STUB 0x7fff00000000UL
#define PUBLISH 0x7fff08000000UL
#define AREA 0x7fff10000000UL
#define SLOT 0x8000UL
#define SLEEP 0x52535453

static u8 stacks[4][8192] __attribute__((aligned(16)));
static volatile u32 go;

static void mutate(u64 from, u64 to) {
  u64 x = 88172645463325252UL;
  for (;;) {
    for (u64 p = from; p < to; p += 8) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      // Plausible words, extreme words, and single bits.
      u64 v = (x & 7) == 0 ? x : (x & 7) == 1 ? ~0UL : (x & 7) == 2 ? 0 : (x & 7) == 3 ? 0x41414141e282ac : x & 0xff;
      *(volatile u64 *)p = v;
    }
  }
}
static void mutator_all(void) { mutate(AREA, AREA + 8 * SLOT); }
static void mutator_lines(void) {
  for (;;)
    for (u64 s = 0; s < 8; s++)
      for (u64 w = 0; w < 64; w++) *(volatile u32 *)(AREA + s * SLOT + 4 * w) ^= 1u << ((w * 7 + s + go++) & 31);
}
static void mutator_window(void) {
  for (;;)
    for (u64 s = 1; s < 8; s++)
      for (u64 w = 0x1000; w < 0x5000; w += 4) *(volatile u32 *)(AREA + s * SLOT + w) = (go++ & 1) ? 0x41414141 : 0x82e282e2;
}
static void pending_flood(void) {
  for (;;) *(volatile u32 *)AREA = ~0u;
}
static void worker(void) {
  static char path[] = "/some/path";
  static u8 buf[512];
  for (;;) {
    sys(T_ECHO, 5, 0, 0, 0, 0, 0);
    sys(T_TWO_PATHS, (u64)path, (u64)path, 0, 0, 0, 0);
    sys(T_OUTPUT, (u64)buf, 0, 0, 0, 0, 0);
  }
}
// A call as patched text makes it. Anything else may be asked of the entry, too.
long fast(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 entry);
__asm__(".text\n.globl fast\nfast:\n mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n"
        " mov %r9, %r11\n lea 1f(%rip), %rcx\n jmp *%r11\n syscall\n1: ret\n");
#define FAST (STUB + 0x10)
static void fast_worker(void) {
  static char path[] = "/some/path";
  static u8 buf[512];
  for (;;) {
    fast(T_ECHO, 5, 0, 0, 0, FAST);
    fast(T_TWO_PATHS, (u64)path, (u64)path, 0, 0, FAST);
    fast(T_OUTPUT, (u64)buf, 0, 0, 0, FAST);
    fast(SYS_GETPPID, 0, 0, 0, 0, FAST);
  }
}
static void fast_lines(void) {
  for (;;)
    for (u64 s = 1; s < 4; s++)
      for (u64 w = 128; w < 176; w += 4) *(volatile u32 *)(AREA + s * SLOT + w) = go++ & 3 ? go : 0;
}
static void raw_exit(void) { site(NR_exit, 0, 0, 0, 0, 0, 0); }
static long spawn(void (*f)(void), int i) { return sys(T_SPAWN, (u64)f, (u64)(stacks[i] + 8192 - 8), 0, 0, 0, 0); }

struct frame {
  u64 ucflags, link, sp, spflags, spsize;
  u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags, cs, err, trapno, oldmask,
      cr2, fpstate, reserved[8], mask;
} __attribute__((packed));
static void after_forgery(void) {
  for (;;) sys(SYS_GETPPID, 0, 0, 0, 0, 0, 0);
}
#define PKRU(value) "mov $" #value ", %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n wrpkru\n"
#define CLOBBERED "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11", "memory"
// With a PKRU that denies the platform's memory, too: no memory is touched from then on.
static void without_keys(u64 kind) {
  switch (kind) {
    case 0: // calls
      __asm__ volatile(PKRU(0xffffffff) "1: mov $110, %%eax\n syscall\n jmp 1b" ::: CLOBBERED);
      break;
    case 1: // calls that may not write
      __asm__ volatile(PKRU(0xaaaaaaaa) "1: mov $110, %%eax\n syscall\n jmp 1b" ::: CLOBBERED);
      break;
    case 2: // calls of patched text
      __asm__ volatile(PKRU(0xffffffff) "1: mov $110, %%eax\n mov $0x7fff00000010, %%r11\n lea 2f(%%rip), %%rcx\n"
                       "jmp *%%r11\n syscall\n 2: jmp 1b" ::: CLOBBERED);
      break;
    case 3: // such calls that may not write
      __asm__ volatile(PKRU(0xaaaaaaaa) "1: mov $110, %%eax\n mov $0x7fff00000010, %%r11\n lea 2f(%%rip), %%rcx\n"
                       "jmp *%%r11\n syscall\n 2: jmp 1b" ::: CLOBBERED);
      break;
    case 4: // children
      __asm__ volatile(PKRU(0xffffffff) "1: mov $57, %%eax\n syscall\n test %%eax, %%eax\n jnz 2f\n"
                       "mov $60, %%eax\n xor %%edi, %%edi\n syscall\n 2: mov $110, %%eax\n syscall\n jmp 1b" ::: CLOBBERED);
      break;
    case 5: // a call with pointers
      __asm__ volatile(PKRU(0xffffffff) "1: mov $487, %%eax\n mov %%rsp, %%rdi\n mov %%rsp, %%rsi\n syscall\n jmp 1b" ::: CLOBBERED);
      break;
    case 6: // nothing but time
      __asm__ volatile(PKRU(0xffffffff) "1: pause\n jmp 1b" ::: CLOBBERED);
      break;
    case 7: // a fault
      __asm__ volatile(PKRU(0xffffffff) "push %%rax" ::: CLOBBERED);
      break;
    case 8: // the stub's entry, halfway
      __asm__ volatile(PKRU(0xffffffff) "mov $0x7fff10008000, %%rdi\n mov %%rdi, %%r11\n mov $0x7fff00000010, %%rbx\n"
                       "add $0x40, %%rbx\n jmp *%%rbx" ::: CLOBBERED);
      break;
  }
}
static volatile u64 spins;
static void spin(void) {
  for (;;) spins++;
}
// rt_sigreturn from the site with a frame of our making.
static void sigreturn(u64 kind) {
  static struct frame f;
  static u8 fp[4096] __attribute__((aligned(64)));
  f.rip = (u64)after_forgery;
  f.rsp = (u64)(stacks[1] + 8192 - 8);
  f.cs = 0x33 | 0x2bUL << 48;
  f.eflags = 0x202;
  f.spflags = 2;
  if (kind == 0) { f.mask = ~0UL; f.rip = (u64)spin; }         // everything blocked, then spin
  if (kind == 1) { f.mask = ~0UL; }                            // everything blocked, then a call
  if (kind == 2) f.rip = 0x8000000000000000;
  if (kind == 3) f.cs = 0x10;
  if (kind == 4) f.fpstate = 0xffff800000000000;
  if (kind == 5) f.fpstate = 1;
  if (kind == 6) { f.fpstate = (u64)fp; for (int i = 0; i < 4096; i++) fp[i] = 0xff; }
  if (kind == 7) f.eflags = ~0UL;
  if (kind == 8) { f.sp = 0x1000; f.spflags = 0; f.spsize = 1; }
  if (kind == 9) f.ucflags = ~0UL;
  if (kind == 10) f.cs = 0x23 | 0x2bUL << 48;                   // 32-bit code
  if (kind == 11) f.cs = 0x33;                                  // ss = 0
  if (kind == 12) f.eflags = 0x202 | 0x40000;                   // AC
  if (kind == 13) f.eflags = 0x202 | 0x400;                     // DF
  if (kind == 14) f.eflags = 0x202 | 0x100;                     // TF
  if (kind == 15) { f.sp = AREA + SLOT; f.spsize = 0x8000; f.spflags = 0; f.rsp = AREA + SLOT + 0x7000; } // stack in the slot
  __asm__ volatile("mov %0, %%rsp\n mov $15, %%eax\n lea 1f(%%rip), %%rbx\n mov $0x7fff00000000, %%rcx\n jmp *%%rcx\n1: ud2"
                   ::"r"((u64)&f) : "memory");
}

void start(void) {
  u64 act = (u64)sys(T_OPEN, 0, 0, 0, 0, 0, 0);
  u64 param = (u64)sys(T_OPEN, 1, 0, 0, 0, 0, 0);
  switch (act) {
    case 1: // any call from the stub's instruction
      report(site((long)param, 0x1000, 0, 0, 0, 0, 0));
      quit(0);
    case 2: { // rogue clones and mappings
      u64 bad = 0;
      for (u64 i = 0; i < param; i++) {
        if (site(NR_clone, 0x8011, 0, 0, 0, 0, 0) != -1) bad++;
        if (site(NR_clone, 0x50f00, (u64)stacks[0], 0, 0, 0, 0) != -1) bad++;
        if (site(NR_mmap, 0x900000, 4096, 1, 0x12, i & 3, 0) != -1) bad++;
        if (site(NR_mmap, AREA, 0x2000000, 3, 0x11, i << 32 | 1, 0) != -1) bad++;
      }
      report(bad);
      quit(0);
    }
    case 3: // a thread scribbles, siblings work
      spawn(worker, 0);
      spawn(worker, 1);
      spawn(param == 0 ? mutator_all : param == 1 ? mutator_lines : param == 2 ? mutator_window : pending_flood, 2);
      worker();
      break;
    case 4: // the leader's host thread leaves
      spawn(worker, 0);
      sys(T_ECHO, 0, 0, 0, 0, 0, 0);
      raw_exit();
      break;
    case 5: // all threads leave
      spawn(raw_exit, 0);
      raw_exit();
      break;
    case 6:
      sigreturn(param);
      break;
    case 7: // publish pages stay read-only
      report(site(NR_mprotect, PUBLISH, 4096, 3, 0, 0, 0));
      quit(0);
    case 8: // flood of sleeps
      for (;;) site(SLEEP, 0, 0, 0, 0, 0, 0);
    case 9: // the stub's instruction becomes int 0x80
      site(NR_mprotect, STUB, 4096, 7, 0, 0, 0);
      *(volatile u8 *)STUB = 0xcd;
      *(volatile u8 *)(STUB + 1) = 0x80;
      report(site(20, 0, 0, 0, 0, 0, 0));
      quit(0);
    case 10: // the area goes away
      site(NR_munmap, AREA, 0x2000000, 0, 0, 0, 0);
      sys(T_ECHO, 1, 0, 0, 0, 0, 0);
      quit(0);
    case 11: // forged trap of a running thread, in a loop, with every event kind
      for (u32 i = 0;; i++) {
        *(volatile u32 *)(AREA + SLOT + 4) = i & 0xff;
        *(volatile u32 *)(AREA + SLOT + 8) = SYS_GETPPID;
        *(volatile u32 *)(AREA + SLOT) = 1 + (i & 1);
        __atomic_fetch_or((volatile u32 *)AREA, 2, __ATOMIC_SEQ_CST);
      }
    case 12: // exit while another thread's fork is under way
      spawn(raw_exit, 0);
      for (int i = 0; i < 100; i++) {
        long r = sys(T_FORK, 0, 0, 0, 0, 0, 0);
        if (r == 0) site(NR_exit_group, 3, 0, 0, 0, 0, 0);
      }
      quit(0);
    case 13: // answers no order: the command is replaced
      go = 0;
      spawn(spin, 0);
      for (;;) {
        for (u64 s = 1; s < 4; s++) *(volatile u32 *)(AREA + s * SLOT + 92) = 0;
        for (u64 s = 2; s < 4; s++) *(volatile u32 *)(AREA + s * SLOT) = 0;
      }
    case 14: // calls as patched text makes them, under a scribbler
      sys(SYS_GETPPID, 0, 0, 0, 0, 0, 0);
      spawn(fast_worker, 0);
      if (param < 4) spawn(param == 0 ? mutator_all : param == 1 ? mutator_lines : param == 2 ? mutator_window : fast_lines, 1);
      fast_worker();
      break;
    case 15: // such a call for one that needs a trap, forged
      for (;;) {
        *(volatile u32 *)(AREA + SLOT + 4) = 36;
        *(volatile u32 *)(AREA + SLOT + 8) = 56;
        *(volatile u32 *)(AREA + SLOT) = 1;
        __atomic_fetch_or((volatile u32 *)AREA, 2, __ATOMIC_SEQ_CST);
      }
    case 16: // into the middle of the entry
      sys(SYS_GETPPID, 0, 0, 0, 0, 0, 0);
      fast(SYS_GETPPID, 0, 0, 0, 0, FAST + param);
      report(1);
      quit(0);
    case 17: // the entry rewritten: calls go nowhere, or to the sentry without end
      site(NR_mprotect, STUB, 4096, 7, 0, 0, 0);
      for (u64 i = 0x10; i < 0x200; i += param + 1) *(volatile u8 *)(STUB + i) = (u8)(0x90 + i * param);
      fast_worker();
      break;
    case 18:
      spawn(worker, 0);
      without_keys(param);
      break;
    case 19: // the platform's own memory gets a key
      spawn(worker, 0);
      site(NR_pkey_mprotect, param == 0 ? AREA : param == 1 ? PUBLISH : STUB, param == 0 ? SLOT * 4 : 4096,
           param == 0 ? 3 : param == 1 ? 1 : 5, 5, 0, 0);
      worker();
  }
  quit(99);
}
