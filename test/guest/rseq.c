// rseq(2): registration, critical sections that signals and migration abort, fork and threads, areas that are no such thing.
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <ucontext.h>

struct section {
  uint32_t version, flags;
  uint64_t start, length, abort;
} __attribute__((aligned(32)));
struct area {
  uint32_t cpu_id_start, cpu_id;
  uint64_t section;
  uint32_t flags, node_id, mm_cid, padding;
} __attribute__((aligned(32)));

enum { LEN = 32, UNREGISTER = 1 };
static volatile int inside, aborted_at, handled;
static volatile uint64_t interrupted_at;
static struct section sec;
static struct area own;

static long rseq(void *a, unsigned len, int flags, unsigned sig) { return syscall(SYS_rseq, a, len, flags, sig); }
static struct area *libc_area(void) { return (struct area *)((char *)__builtin_thread_pointer() + __rseq_offset); }
static cpu_set_t only(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return one;
}
static long drop_libc(void) { return rseq(libc_area(), LEN, UNREGISTER, RSEQ_SIG); }
static long own_area(void) {
  drop_libc();
  memset(&own, 0, sizeof own);
  return rseq(&own, LEN, 0, RSEQ_SIG);
}

// Spins in a critical section until it is aborted. The abort handler's address is in sec.
static void spin_in(struct area *a, struct section *s) {
  uint64_t from, to, out;
  __asm__ volatile("lea 1f(%%rip), %0\n lea 2f(%%rip), %1\n lea 4f(%%rip), %2" : "=r"(from), "=r"(to), "=r"(out));
  s->version = s->flags = 0;
  s->start = from;
  s->length = to - from;
  s->abort = out;
  __asm__ volatile("movq %1, %0\n"
                   "1:\n"
                   "movl $1, %2\n"
                   "pause\n"
                   "jmp 1b\n"
                   "2:\n"
                   "jmp 5f\n"
                   ".long %c3\n"
                   "4:\n"
                   "movl $1, %4\n"
                   "5:\n"
                   : "=m"(a->section) : "r"(s), "m"(inside), "i"(RSEQ_SIG), "m"(aborted_at) : "memory");
}

static void on_signal(int sig, siginfo_t *info, void *uc) {
  (void)info, (void)sig;
  interrupted_at = ((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
  handled++;
}

static void catch(int sig) {
  struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(sig, &sa, NULL);
}

static void registration(void) {
  is("the C library has one", __rseq_size != 0);
  is("its size", getauxval(27) >= 20 && getauxval(28) >= 32);
  struct area *a = libc_area();
  cpu_set_t one, all;
  sched_getaffinity(0, sizeof all, &all);
  for (int i = 0; i < CPU_SETSIZE; i++) {
    if (!CPU_ISSET(i, &all)) continue;
    one = only(i);
    sched_setaffinity(0, sizeof one, &one);
    sched_yield();
    unsigned raw = 0;
    syscall(SYS_getcpu, &raw, NULL, NULL);
    if (a->cpu_id != (unsigned)i || a->cpu_id_start != (unsigned)i || raw != (unsigned)i) say("CPU differs");
  }
  sched_setaffinity(0, sizeof all, &all);
  ret("again", rseq(a, LEN, 0, RSEQ_SIG));
  ret("another", rseq(&own, LEN, 0, RSEQ_SIG));
  ret("another length", rseq(a, LEN * 2, 0, RSEQ_SIG));
  ret("another signature", rseq(a, LEN, 0, 1));
  ret("flags", rseq(a, LEN, 2, RSEQ_SIG));
  ret("flags and unregister", rseq(a, LEN, 3, RSEQ_SIG));
  ret("unregister another", rseq(&own, LEN, UNREGISTER, RSEQ_SIG));
  ret("unregister another length", rseq(a, LEN * 2, UNREGISTER, RSEQ_SIG));
  ret("unregister another signature", rseq(a, LEN, UNREGISTER, 1));
  ret("unregister", drop_libc());
  is("nobody's CPU", a->cpu_id == (uint32_t)-1 && a->cpu_id_start == 0);
  ret("unregister twice", drop_libc());
  ret("short", rseq(&own, LEN - 1, 0, RSEQ_SIG));
  ret("unaligned", rseq((char *)&own + 8, LEN, 0, RSEQ_SIG));
  ret("in the kernel", rseq((void *)0xffff800000000000, LEN, 0, RSEQ_SIG));
  ret("own", rseq(&own, LEN, 0, RSEQ_SIG));
  is("a CPU", own.cpu_id < CPU_SETSIZE && own.cpu_id_start == own.cpu_id);
}

static pthread_t target;
static void *sender(void *how) {
  while (!inside) sched_yield();
  if (how == NULL) {
    pthread_kill(target, SIGUSR1);
  } else {
    cpu_set_t all, one;
    pthread_getaffinity_np(target, sizeof all, &all);
    // Away from wherever it is.
    for (int n = 0; !aborted_at; n = (n + 1) % CPU_SETSIZE) {
      if (!CPU_ISSET(n, &all)) continue;
      one = only(n);
      pthread_setaffinity_np(target, sizeof one, &one);
      sched_yield();
    }
    pthread_setaffinity_np(target, sizeof all, &all);
  }
  return NULL;
}

static void sections(void) {
  pthread_t t;
  catch(SIGUSR1);
  target = pthread_self();
  for (int i = 0; i < 20; i++) {
    // A preemption may come before the signal does.
    inside = aborted_at = handled = 0;
    pthread_create(&t, NULL, sender, NULL);
    spin_in(&own, &sec);
    pthread_join(t, NULL);
    if (!aborted_at || handled != 1 || own.section != 0) say("aborted %d, handled %d", aborted_at, handled);
    if (interrupted_at >= sec.start && interrupted_at < sec.start + sec.length) say("interrupted inside");
  }
  say("by signals");
  inside = aborted_at = 0;
  pthread_create(&t, NULL, sender, "migrate");
  spin_in(&own, &sec);
  pthread_join(t, NULL);
  is("by migration", aborted_at && own.section == 0);
  // Not inside: the section is forgotten.
  own.section = (uintptr_t)&sec;
  raise(SIGUSR1);
  is("forgotten", own.section == 0);
}

static int child(int (*f)(void)) {
  pid_t p = fork();
  if (p == 0) _exit(f());
  int status;
  waitpid(p, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int inherits(void) {
  own.cpu_id = 12345;
  raise(SIGUSR1);
  return own.cpu_id < CPU_SETSIZE && rseq(&own, LEN, UNREGISTER, RSEQ_SIG) == 0 ? 7 : 1;
}

static int in_new_program(void) {
  execl("/proc/self/exe", "rseq", "again", NULL);
  return 1;
}

static void *in_thread(void *page) {
  drop_libc(); // The C library registers its own in threads of threads that have it.
  return (void *)(long)(rseq(page, LEN, 0, RSEQ_SIG) == 0);
}

static void *libc_thread(void *none) {
  (void)none;
  bool known = libc_area()->cpu_id < CPU_SETSIZE;
  return (void *)(long)(known && drop_libc() == 0);
}

static void libc_threads(void) {
  int failed = 0;
  for (int i = 0; i < 20; i++) {
    pthread_t t[3];
    void *r;
    for (int j = 0; j < 3; j++) pthread_create(&t[j], NULL, libc_thread, NULL);
    for (int j = 0; j < 3; j++) {
      pthread_join(t[j], &r);
      if (r == NULL) failed++;
    }
  }
  say("areas of threads, failed: %d", failed);
}

static void threads(void) {
  pthread_t t;
  void *r;
  int failed = 0;
  for (int i = 0; i < 100; i++) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_create(&t, NULL, in_thread, page);
    pthread_join(t, &r);
    munmap(page, 4096);
    if (r == NULL) failed++;
  }
  say("areas that outlive their threads, failed: %d", failed);
  is("fork", child(inherits) == 7);
  pid_t p = vfork();
  if (p == 0) _exit(rseq(&own, LEN, UNREGISTER, RSEQ_SIG) == -1 && errno == EINVAL ? 7 : 1);
  int status;
  waitpid(p, &status, 0);
  is("vfork", WEXITSTATUS(status) == 7);
  is("execve", child(in_new_program) == 7);
}

static int unmapped(void) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  rseq(&own, LEN, UNREGISTER, RSEQ_SIG);
  if (rseq(page, LEN, 0, RSEQ_SIG) != 0) return 1;
  munmap(page, 4096);
  raise(SIGUSR1);
  return 2;
}

static int read_only(void) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  rseq(&own, LEN, UNREGISTER, RSEQ_SIG);
  if (rseq(page, LEN, 0, RSEQ_SIG) != 0) return 1;
  ((struct area *)page)->section = (uintptr_t)&sec;
  mprotect(page, 4096, PROT_READ);
  raise(SIGUSR1);
  return 2;
}

static int nowhere(void) {
  catch(SIGSEGV);
  own.section = 0x10;
  raise(SIGUSR1);
  return 2;
}

static int in_kernel(void) {
  own.section = 0xffff800000000000;
  raise(SIGUSR1);
  return 2;
}

static int wrong_signature(void) {
  sec.start = (uintptr_t)nowhere;
  sec.length = 4;
  sec.abort = (uintptr_t)&own + 4;
  own.section = (uintptr_t)&sec;
  raise(SIGUSR1);
  return 2;
}

static int wrong_version(void) {
  sec.version = 1;
  own.section = (uintptr_t)&sec;
  raise(SIGUSR1);
  return 2;
}

static int abort_inside(void) {
  sec.abort = sec.start;
  own.section = (uintptr_t)&sec;
  raise(SIGUSR1);
  return 2;
}

static void barriers(void) {
  enum { BARRIER = 128, REGISTER = 256 };
  ret("barrier, unregistered", syscall(SYS_membarrier, BARRIER, 0, 0));
  ret("register", syscall(SYS_membarrier, REGISTER, 0, 0));
  ret("barrier", syscall(SYS_membarrier, BARRIER, 0, 0));
  ret("of a CPU", syscall(SYS_membarrier, BARRIER, 1, 0));
  ret("other flags", syscall(SYS_membarrier, BARRIER, 2, 0));
  ret("registrations", syscall(SYS_membarrier, 512, 0, 0));
  ret("plain barrier", syscall(SYS_membarrier, 8, 0, 0));
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return drop_libc() == 0 && rseq(&own, LEN, UNREGISTER, RSEQ_SIG) == -1 ? 7 : 1;
  libc_threads();
  registration();
  sections();
  threads();
  is("left unregistered", own_area() == -1);
  say("unmapped: %d", child(unmapped));
  say("read-only: %d", child(read_only));
  say("no such section: %d", child(nowhere));
  say("a section of the kernel's: %d", child(in_kernel));
  say("wrong signature: %d", child(wrong_signature));
  say("wrong version: %d", child(wrong_version));
  say("abort inside: %d", child(abort_inside));
  barriers();
  return 0;
}
