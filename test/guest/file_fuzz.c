// link: -w
// Random arguments for the calls on pipes, sockets, events and files: whatever they answer, the next program runs. The calls
// are those that can reach nobody else (no fcntl owners, no internet addresses), because this runs on the host too.
#include "guest.h"

static const int calls[] = {SYS_read, SYS_write, SYS_poll, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_pipe, SYS_select,
    SYS_dup, SYS_dup2, SYS_sendfile, SYS_accept, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_shutdown, SYS_listen,
    SYS_getsockname, SYS_getpeername, SYS_socketpair, SYS_setsockopt, SYS_getsockopt, SYS_close, SYS_epoll_create, SYS_epoll_wait,
    SYS_epoll_ctl, SYS_inotify_init, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_pselect6, SYS_ppoll, SYS_splice, SYS_tee,
    SYS_vmsplice, SYS_epoll_pwait, SYS_signalfd, SYS_timerfd_create, SYS_eventfd, SYS_timerfd_settime, SYS_timerfd_gettime,
    SYS_accept4, SYS_signalfd4, SYS_eventfd2, SYS_epoll_create1, SYS_pipe2, SYS_inotify_init1, SYS_preadv, SYS_pwritev,
    SYS_recvmmsg, SYS_sendmmsg, SYS_copy_file_range, SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_ftruncate};
static uint64_t state;
static char *mem;

static uint64_t rnd(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state;
}

static long arg(void) {
  switch (rnd() % 14) {
    case 0: return 0;
    case 1: return -1;
    case 2: case 3: case 4: case 5: return rnd() % 24;
    case 6: case 7: case 8: return (long)(mem + rnd() % 8000);
    case 9: return (long)(mem + 8192 - rnd() % 20); // at the edge of what is mapped
    case 10: return rnd() % 70000;
    case 11: return 1L << (rnd() % 64);
    case 12: return (long)rnd();
    default: return (int)rnd();
  }
}

static void scribble(void) {
  for (int i = 0; i < 40; i++) {
    char *at = mem + rnd() % 1000 * 8;
    switch (rnd() % 5) {
      case 0: *(long *)at = arg(); break;
      case 1: *(int *)at = rnd() % 20; break;
      case 2: *(short *)at = 1; break; // AF_UNIX, SOL_SOCKET, SCM_RIGHTS
      case 3: *(long *)at = (long)mem + rnd() % 8000; break;
      default: memcpy(at, (long[]){20, 1 | 1L << 32}, 16);
    }
  }
}

static void tick(int s) { (void)s; }

static void child(int seed) {
  state = seed * 2654435761u + 1;
  mem = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(mem + 8192, 4096);
  int null = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3; i++) dup2(null, i);
  struct sigaction sa = {.sa_handler = tick};
  sigaction(SIGALRM, &sa, NULL);
  signal(SIGPIPE, SIG_IGN);
  ualarm(2000, 2000);
  for (int i = 0; i < 1500; i++) {
    if (i % 20 == 0) scribble();
    int nr = calls[rnd() % (sizeof calls / sizeof *calls)];
    if (nr == SYS_close && rnd() % 4) continue;
    long a[6];
    for (int k = 0; k < 6; k++) a[k] = arg();
    if (nr == SYS_socketpair) a[0] = 1, a[1] = rnd() % 6, a[2] = 0;
    if (nr == SYS_setsockopt || nr == SYS_getsockopt) a[1] = 1, a[2] = rnd() % 70;
    syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
  _exit(0);
}

int main(void) {
  for (int seed = 1; seed <= 8; seed++) {
    pid_t pid = fork();
    if (pid == 0) child(seed);
    char name[20];
    snprintf(name, sizeof name, "seed %d", seed);
    wait_say(name, pid);
  }
  return 0;
}
