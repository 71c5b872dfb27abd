// sched_setaffinity(2): where threads run, and what threads, processes and programs inherit. Not on CPUs that are not seen.
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

static int first, last;

static void bind_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set)) say("cannot bind");
}

static int is_on(int cpu) {
  unsigned raw;
  cpu_set_t set;
  if (syscall(SYS_getcpu, &raw, NULL, NULL) || sched_getaffinity(0, sizeof set, &set)) return 0;
  return sched_getcpu() == cpu && (int)raw == cpu && CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
}

// "processor: CPU number last executed on" - proc_pid_stat(5)
static int in_stat(int cpu) {
  char text[600] = "", *at = text;
  int f = open("/proc/thread-self/stat", O_RDONLY);
  if (read(f, text, sizeof text - 1) < 0) return 0;
  close(f);
  for (int field = 1; field < 39; field++) at = strchr(at, ' ') + 1;
  return atoi(at) == cpu;
}

static int works_on(int cpu) {
  for (int i = 0; i < 300; i++) {
    if (!is_on(cpu)) return 0;
    getppid();
    if (i % 50 == 0) usleep(1);
  }
  return 1;
}

static void *inherits(void *cpu) { return (void *)(long)is_on(*(int *)cpu); }

static void *binds_itself(void *cpu) {
  bind_to(*(int *)cpu);
  return (void *)(long)works_on(*(int *)cpu);
}

static int in_thread(void *(*f)(void *), int cpu) {
  pthread_t t;
  void *r = NULL;
  pthread_create(&t, NULL, f, &cpu);
  pthread_join(t, &r);
  return r != NULL;
}

static void everything(int cpu) {
  bind_to(cpu);
  is("bound", works_on(cpu));
  is("in stat", in_stat(cpu));
  is("thread", in_thread(inherits, cpu));
  is("thread elsewhere", in_thread(binds_itself, cpu == first ? last : first));
  is("thread after it", in_thread(inherits, cpu));
  is("still bound", is_on(cpu));
  pid_t p = fork();
  if (p == 0) {
    int here = works_on(cpu);
    bind_to(cpu == first ? last : first);
    _exit(here && is_on(cpu == first ? last : first) ? 0 : 1);
  }
  wait_say("child", p);
  is("unlike the child", is_on(cpu));
  p = vfork();
  if (p == 0) {
    char arg[16];
    snprintf(arg, sizeof arg, "%d", cpu);
    execl("/proc/self/exe", "affinity", arg, NULL);
    _exit(127);
  }
  wait_say("program", p);
}

int main(int argc, char **argv) {
  if (argc > 1) return works_on(atoi(argv[1])) && in_thread(inherits, atoi(argv[1])) ? 0 : 1;
  cpu_set_t all, now;
  sched_getaffinity(0, sizeof all, &all);
  while (!CPU_ISSET(first, &all)) first++;
  for (last = CPU_SETSIZE - 1; !CPU_ISSET(last, &all);) last--;
  everything(first);
  everything(last);
  ret("all", sched_setaffinity(0, sizeof all, &all));
  sched_getaffinity(0, sizeof now, &now);
  is("same", CPU_EQUAL(&all, &now));
  int go[2];
  if (pipe(go)) return 1;
  pid_t p = fork();
  if (p == 0) {
    char c;
    if (read(go[0], &c, 1) != 1) _exit(1);
    _exit(works_on(last) ? 0 : 1);
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  ret("another's", sched_setaffinity(p, sizeof one, &one));
  if (write(go[1], "x", 1) != 1) return 1;
  wait_say("the other", p);
  CPU_ZERO(&one);
  ret("nowhere", sched_setaffinity(0, sizeof one, &one));
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  ret("half a word is there", syscall(SYS_sched_setaffinity, 0, 128, page + 4092));
  return 0;
}
