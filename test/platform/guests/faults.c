#include "guest.h"
void start(void) {
  __asm__ volatile("movl $1, 0x1230" ::: "memory");
  __asm__ volatile("movq $0x400000, %%rax; .byte 0x0f, 0x0b" ::: "rax");
  __asm__ volatile("xor %%edx, %%edx; xor %%eax, %%eax; xor %%ecx, %%ecx; .byte 0xf7, 0xf1" ::: "rax", "rcx", "rdx");
  __asm__ volatile("int3");
  // General protection: non-canonical address.
  __asm__ volatile("mov $0x8000000000000000, %%rax; movl (%%rax), %%eax" ::: "rax");
  __asm__ volatile("int $0x80" ::"a"(20) : "memory");
  long (*vsyscall)(long *) = (long (*)(long *))0xffffffffff600400;
  vsyscall((long *)0);
  quit(3);
}
