// Parent image of guest processes on the ptrace platform: one syscall instruction to borrow, and nothing else.
__asm__(".globl _start\n_start:\n  mov $34, %eax\n  syscall\n  jmp _start\n");
