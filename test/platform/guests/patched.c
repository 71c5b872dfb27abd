#include "guest.h"
// Calls as patched text makes them.
long fast(u64 nr, u64 a, u64 b, u64 c, u64 d);
__asm__(".text\n.globl fast\nfast:\n push %rbx\n mov $0x1234, %ebx\n mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n"
        " mov %rcx, %rdx\n mov %r8, %r10\n movabs $0x7fff00000010, %r11\n lea 1f(%rip), %rcx\n jmp *%r11\n syscall\n"
        "1: cmp $0x1234, %ebx\n je 2f\n mov $-99, %rax\n2: pop %rbx\n ret\n");
void start(void) {
  sys(SYS_GETPPID, 0, 0, 0, 0, 0, 0); // from here on there is a GS base
  report(fast(SYS_GETPPID, 0, 0, 0, 0));
  report(fast(T_MMAP, 1, 2, 3, 4)); // orders that fail
  report(fast(T_CHANGE_FP, 0, 0, 0, 0)); // completed, then answered
  report(fast(T_TWO_PATHS, (u64) "/a", (u64) "/bc", 0, 0));
  quit((u64)fast(SYS_GETPPID, 0, 0, 0, 0));
}
