/**
 * The one description of what stub and sentry share: where the stub lives in a guest address space, the layout of the
 * slot area and the words exchanged there. build.js turns every number exported here into a #define for the stub's parts
 * and zygote.h, so the two sides cannot drift apart.
 *
 * Guests own everything below STUB_BASE. Above it lie, in every guest process: the stub's text, the publish pages, the
 * slot area, and (wherever the host kernel put them) [vvar] and [vdso].
 */

/** Text of the stub; its first instruction is the one `syscall` that the guest filter admits. */
export const STUB_BASE = 0x7fff00000000;
/** Instruction pointer that the kernel reports for a call from that `syscall`. */
export const SYSCALL_RETURN_IP = 0x7fff00000002;
/** An int3: a tracer has a thread make a call at STUB_BASE with this address in rbx, and gets it back here. */
export const STUB_TRAP = 0x7fff00000004;
/** `lock cmpxchg %esi, (%rdi)` and a jump to rbx. */
export const STUB_CMPXCHG = 0x7fff00000008;
/** In place of a system call's number in an order: compare-and-swap of a word of the guest's. */
export const ORDER_CMPXCHG = 0x10000;
/**
 * Where patched syscall sites enter, without a signal: rax is the number, rcx the address behind the site's `syscall`, the
 * arithmetic flags and r11 are free. See docs/systrap.md.
 */
export const STUB_FAST = 0x7fff00000010;
/** Read-only pages that all address spaces share (a sealed memfd). */
export const PUBLISH_ADDR = 0x7fff08000000;
export const PUBLISH_SIZE = 0x8000;
/** Slot area: one memfd per address space, mapped shared. */
export const AREA_ADDR = 0x7fff10000000;
export const AREA_SIZE = 0x7c00000;
export const SLOT_SIZE = 0x8000;
/** The sentry maps the area in chunks; slot 0 of a chunk is its header. */
export const CHUNK_SIZE = 0x100000;
export const SLOTS_PER_CHUNK = 32;
/** As many threads as have descriptors of their own to map files from, where the hard limit is Linux's 4096. */
export const CHUNKS_PER_AREA = 124;
/** First-past-the-end address for guest mappings, and the lowest one. */
export const GUEST_MAX = STUB_BASE;
export const GUEST_MIN = 0x10000;

// Chunk header (offsets in bytes from the start of the chunk).
/** Bit n: slot n has something for the sentry. */
export const CHUNK_PENDING = 0;
/** Bit n: the thread of slot n waits in a futex call of its own on the host. */
export const CHUNK_WAITING = 64;
/** First chunk only: 1 if threads make futex calls on private words themselves (stub-futex.c). */
export const AREA_OWN_FUTEXES = 128;
/** First chunk only: 1 if memory of this space has protection keys, or somebody denies itself key 0. */
export const AREA_KEYS = 132;
/**
 * First chunk only: answers that threads may repeat (stub-names.c). NAMES entries of generation, epoch, result and length with
 * NUL, 32 bits each, and the name, NAME_MAX bytes with NUL and zeros behind. Those of other epochs than this are void.
 */
export const AREA_EPOCH = 192;
export const AREA_NAMES = 0x2000;
export const NAMES = 256;
export const NAME_ENTRY_SIZE = 96;
export const NAME_MAX = 80;
// Zygote only: handshake with its spawner, and what it found out about the host.
export const ZYGOTE_READY = 256;
export const ZYGOTE_TAKEN = 260;
export const ZYGOTE_VVAR = 264;
export const ZYGOTE_VDSO = 272;
export const ZYGOTE_VDSO_END = 280;
/** Offset of PKRU in an XSAVE area, 0 on a CPU without protection keys; and 1 if all keys are the zygote's. */
export const ZYGOTE_PKRU = 288;
export const ZYGOTE_KEYS = 292;

// Slot: line 0 carries a whole syscall there and its result back.
export const SLOT_STATE = 0;
/** To the sentry: event kind and the CPU the guest thread is on (<<8). To the stub: command. */
export const SLOT_EVENT = 4;
/** To the sentry: syscall number (EVENT_SYSCALL). To the stub: result, 64 bits. */
export const SLOT_NR = 8;
/** Six 64-bit arguments of a syscall; of a fault: si_addr, si_code, trapno, error code. */
export const SLOT_ARGS = 16;
// Line 1 and further: touched by one side only in the ordinary case.
/** Address of the kernel's rt_sigframe. */
export const SLOT_FRAME = 64;
export const SLOT_FS_BASE = 72;
export const SLOT_GS_BASE = 80;
export const SLOT_ORDER_COUNT = 92;
export const SLOT_COPYOUT_COUNT = 96;
/** Bytes fetched into the prefetch window per argument, one after the other, each rounded up to 8. */
export const SLOT_PREFETCH_LEN = 104;
// Line 2: the stub's own while a call from a patched site is under way; the sentry reads what `regs()` needs.
/** Address of this slot: tells a GS base that is the platform's from any other. */
export const SLOT_SELF = 128;
/** The guest's stack pointer and the address behind its `syscall`. */
export const SLOT_FAST_RSP = 136;
export const SLOT_FAST_RIP = 144;
/** What the frame's rax is to be, and the event to publish, when the stub leaves the call by a trap. */
export const SLOT_FAST_RAX = 152;
export const SLOT_FAST_EVENT = 160;
/** Set by the interrupt signal: a call that is on its way out leaves by a trap. */
export const SLOT_FAST_INTERRUPT = 164;
/**
 * What is lent to the thread (stub-lent.c). Low half of its signal mask, 0 if nothing is lent: SIGKILL's bit says that it is,
 * SIGSTOP's which of the two words behind it is the other half.
 */
export const SLOT_MASK = 168;
export const SLOT_MASK_HIGH = 172;
export const MASK_LENT = 0x100;
export const MASK_SECOND = 0x40000;
export const SLOT_ROBUST_LIST = 184;
/** The answer to this call may be repeated while this is the generation of names, and behind it the area's epoch; 0: not. */
export const SLOT_LENT_ANSWER = 192;
export const SLOT_LENT_EPOCH = 196;
/** The guest's PKRU at a call from a patched site, if AREA_KEYS is set. */
export const SLOT_PKRU = 200;
/** Whether the thread may register a restartable sequence's area itself, and the one that it has: address (0: none), length, signature. */
export const SLOT_MAY_RSEQ = 204;
export const SLOT_RSEQ = 208;
export const SLOT_RSEQ_LEN = 216;
export const SLOT_RSEQ_SIG = 220;
export const SLOT_COPYOUTS = 256;
/** What the host said of the thread's CPU time: struct timespec, and struct rusage of the thread and of its process. */
export const SLOT_CLOCK = 512;
export const SLOT_THREAD_USAGE = 528;
export const SLOT_USAGE = 672;
/** struct rusage */
export const USAGE_SIZE = 144;
export const SLOT_ORDERS = 1024;
export const ORDERS_MAX = 32;
export const ORDER_SIZE = 64;
export const COPYOUTS_MAX = 16;
export const COPYOUT_SIZE = 16;
/** Top of the stack on which the stub handles calls from patched sites, outside the alternate signal stack. */
export const SLOT_FAST_STACK = 0x1000;
/** Input window, filled by the stub before it publishes a syscall. */
export const SLOT_PREFETCH = 0x1000;
export const PREFETCH_SIZE = 0x2000;
/** Output window, copied out by the stub at resume. */
export const SLOT_DATA = 0x3000;
export const DATA_SIZE = 0x2000;
/** Alternate signal stack: holds the guest's frame, the handler, and one nested frame. */
export const SLOT_STACK = 0x5000;
export const STACK_SIZE = 0x3000;

// Values of SLOT_STATE.
export const STATE_RUNNING = 0;
/** The stub has published an event and spins. */
export const STATE_TRAPPED = 1;
/** The same, and the stub sleeps in a notification or is about to. */
export const STATE_SLEEPING = 2;
/** The sentry has answered. */
export const STATE_GO = 3;
/** The thread has left: the slot may be reused. */
export const STATE_FREE = 4;
/** The answer will take a while (the call blocks): a stub that still spins goes to sleep. */
export const STATE_PARKED = 5;

// Values of SLOT_EVENT (low byte), stub to sentry. Faults use their signal number, all below 32.
export const EVENT_SYSCALL = 32;
export const EVENT_INTERRUPT = 33;
export const EVENT_ORDERS_DONE = 34;
/** Arguments 0 and 1: index of the failed order, errno. */
export const EVENT_ORDER_FAILED = 35;

/** EVENT_SYSCALL from a patched site: there is no frame. */
export const EVENT_FAST_SYSCALL = 36;
/** Along with EVENT_SYSCALL: the guest's PKRU denies key 0. */
export const EVENT_KEY_DENIED = 0x40000000;

// Commands, sentry to stub.
export const COMMAND_RESUME_SYSCALL = 1;
export const COMMAND_RESUME = 2;
export const COMMAND_REPORT = 3;
export const COMMAND_EXIT_THREAD = 4;
/** Of a call from a patched site: trap for real, as if the site's `syscall` had, and report EVENT_ORDERS_DONE. */
export const COMMAND_COMPLETE = 5;

// Publish pages.
export const PUBLISH_SENTRY_CPU = 0;
export const PUBLISH_ASLEEP = 4;
/** How many rounds of the waiting loop a stub spins for an answer. */
export const PUBLISH_SPIN = 8;
/** Generation of names. */
export const PUBLISH_NAMES = 12;
/** ZYGOTE_PKRU */
export const PUBLISH_PKRU = 16;
/** Bit per syscall number: calls that patched sites may make without a frame. */
export const PUBLISH_FAST = 0x4000;
/** Copy plan: PLAN_SYSCALLS rows of six words, see copy-plan.ts. */
export const PUBLISH_PLAN = 64;
export const PLAN_SYSCALLS = 512;
export const PLAN_KIND_STRING = 1;
export const PLAN_KIND_IN = 2;
export const PLAN_KIND_IN_BUF = 3;

/** PKRU of new programs and of signal handlers (arch/x86/mm/pkeys.c init_pkru_value): nothing but key 0. */
export const INIT_PKRU = 0x55555554;
/** Keys of a process, 0 among them. */
export const KEYS = 16;
/** XFEATURE_PKRU */
export const XFEATURE_PKRU = 9;

/** Host signal that stops a running guest thread (SIGURG). */
export const INTERRUPT_SIGNAL = 23;
/** The syscall number by which a guest thread sleeps: no kernel has it, the filter turns it into a notification. */
export const SLEEP_SYSCALL = 0x52535453;

/** clone(2) flags of a new process (CLONE_PARENT|SIGCHLD) and of a new thread (VM|FS|FILES|SIGHAND|THREAD|SYSVSEM). */
export const CLONE_FLAGS_PROCESS = 0x8011;
export const CLONE_FLAGS_THREAD = 0x50f00;
/** The descriptor number at which the gate installs files to be mapped, and the area of a newborn process. */
export const GATE_FD = 1;
/**
 * On systrap the thread of slot i gets files to be mapped at MAP_FD + i: threads share descriptors, and at a number of its own no
 * sibling's file can take the place of the one that the gate has agreed to.
 */
export const MAP_FD = 2;
