// Freestanding guests of the platform tests: flat binaries at GUEST_CODE, entered at _start with a stack. The test
// kernel (test/platform/harness.ts) answers their system calls.
#pragma once
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

static inline long sys(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  long ret;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return ret;
}
// A system call from the stub's own instruction, as a hostile guest makes it.
static inline long site(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  long ret;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("leaq 1f(%%rip), %%rbx\n mov $0x7fff00000000, %%rcx\n jmp *%%rcx\n 1:"
                   : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rbx", "rcx", "r11", "memory");
  return ret;
}

enum {
  T_OPEN = 2, T_FORK = 57, SYS_EXIT = 60, SYS_GETPPID = 110,
  T_REPORT = 480, T_MMAP = 481, T_SPAWN = 482, T_WAIT = 483, T_ECHO = 484, T_MUNMAP = 485, T_TWO_PATHS = 487, T_BUFFER = 488,
  T_STRUCT = 489, T_OUTPUT = 490, T_CHANGE_FP = 491, T_SET_FS = 492, T_GET_FS = 493,
};

#define report(v) sys(T_REPORT, (u64)(v), 0, 0, 0, 0, 0)
__attribute__((noreturn)) static inline void quit(u64 status) {
  for (;;) sys(SYS_EXIT, status, 0, 0, 0, 0, 0);
}
void start(void) __attribute__((noreturn));
__asm__(".section .start,\"ax\"\n.globl _start\n_start:\n and $-16,%rsp\n call start\n ud2\n.text\n");
