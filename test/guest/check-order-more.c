// More calls with several bad arguments (check-order.c): ranges of memory that go too far, System V IPC, keys, and numbers of which only a
// part counts.
#include "guest.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <grp.h>

#define T(name, ...) ret(name, syscall(__VA_ARGS__))

static char *page, *read_only; // behind both nothing can be touched
static char *area;             // sixteen pages, of which the last is not mapped
static int pipes[2], file;

static const struct { const char *name; long length; } lengths[] = {
  {"none", 0}, {"2^47", 1L << 47}, {"2^62", 1L << 62}, {"one below 2^47", (1L << 47) - 1}, {"-1", -1}, {"-4096", -4096}};

static void ranges(void) {
  char line[80];
  for (int i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    long n = lengths[i].length;
    // Of what lies behind: nothing that may end the program.
#define R(call, ...) snprintf(line, sizeof line, call ", %s", lengths[i].name), T(line, __VA_ARGS__)
    R("madvise", SYS_madvise, area + 14 * 4096, n, MADV_UNMERGEABLE);
    R("munlock", SYS_munlock, area, n);
    if (n != -4096) { R("munlock of an odd address", SYS_munlock, area + 1, n); }
    R("msync", SYS_msync, area, n, MS_ASYNC);
    R("mseal", 462, area + 14 * 4096, n, 0);
    R("mincore", SYS_mincore, area + 14 * 4096, n, page);
    R("mprotect of nothing", SYS_mprotect, area + 15 * 4096, n, PROT_READ);
    R("mprotect of nothing to nothing known", SYS_mprotect, area + 15 * 4096, n, 0x10);
    R("mremap", SYS_mremap, area, 4096, n, 0);
    R("mbind", SYS_mbind, area + 15 * 4096, n, 0, NULL, 0, 0);
    R("set_mempolicy_home_node", 450, area, n, 0, 0);
  }
  T("mincore, nothing mapped, bad vector", SYS_mincore, area + 15 * 4096, 4096, read_only);
  T("mincore, bad vector", SYS_mincore, area, 4096, read_only);
  T("mincore, a vector beyond all", SYS_mincore, area, 4096, -1L);
  T("mprotect, a long", SYS_mprotect, area, 4096, 1L << 32 | PROT_READ);
  ok("mmap, ints", syscall(SYS_mmap, NULL, 4096, 1L << 32 | PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  T("mmap, an odd offset near the end", SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, -1L);
  T("mmap, an odd offset near the end, no file", SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, -1, -1L);
  struct iovec *v = (void *)(page + 4096 - 32);
  v[0].iov_base = page, v[0].iov_len = 1, v[1].iov_base = page, v[1].iov_len = -1;
  T("process_madvise, no pidfd, negative", SYS_process_madvise, pipes[0], v, 2, MADV_COLD, 0);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitid(P_PID, pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
  T("move_pages of a zombie", SYS_move_pages, pid, 0, NULL, NULL, NULL, 0);
  waitpid(pid, NULL, 0);
}

static void ipc(void) {
  int sem = semget(IPC_PRIVATE, 3, 0600), queue = msgget(IPC_PRIVATE, 0600);
  struct timespec bad = {0, -1};
  T("semtimedop, too many, bad time", SYS_semtimedop, sem, BAD_PTR, 1000, &bad);
  T("semtimedop, none, bad time", SYS_semtimedop, sem, BAD_PTR, 0, &bad);
  T("semtimedop, bad operations, bad time", SYS_semtimedop, -1, BAD_PTR, 1, &bad);
  T("semtimedop, bad operations, no time", SYS_semtimedop, sem, BAD_PTR, 1, BAD_PTR);
  T("SETVAL, no set, bad value", SYS_semctl, 12345, 0, SETVAL, -1);
  T("SETVAL, no such, bad value", SYS_semctl, sem, 9, SETVAL, 40000);
  T("msgsnd, too large, bad address", SYS_msgsnd, queue, BAD_PTR, -1L, 0);
  T("msgsnd, no queue, bad address", SYS_msgsnd, -1, BAD_PTR, 8, 0);
  if (setgroups(0, NULL) == 0 && setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0) {
    T("GETVAL, another's, no such", SYS_semctl, sem, 9, GETVAL, 0);
    T("SETVAL, another's, no such", SYS_semctl, sem, 9, SETVAL, 0);
    memset(page, 0, 64);
    T("cachestat of another's", 451, pipes[0], page, page + 64, 1);
    T("cachestat of what is written to", 451, pipes[1], page, page + 64, 1);
  }
}

static void keys(void) {
  syscall(SYS_keyctl, 1, NULL);
  T("instantiate", SYS_keyctl, 12, 1, NULL, 0, 0);
  T("instantiate, too large", SYS_keyctl, 12, 1, page, 1 << 20, 0);
  T("instantiate, beyond all", SYS_keyctl, 12, 1, -8L, 1 << 20, 0);
  T("reject, no error", SYS_keyctl, 19, 1, 0, 0, 0);
  T("reject, an error of the kernel's own", SYS_keyctl, 19, 1, 0, 512, 0);
  T("reject", SYS_keyctl, 19, 1, 0, 126, 0);
  T("instantiate by vector, bad", SYS_keyctl, 20, 1, BAD_PTR, 1, 0);
  T("instantiate by vector, none", SYS_keyctl, 20, 1, NULL, 1, 0);
  T("restrict, no key, a type only", SYS_keyctl, 29, 0x7fffffff, "user", NULL, 0);
  T("restrict, a type only", SYS_keyctl, 29, -3, "user", NULL, 0);
  T("restrict, bad type", SYS_keyctl, 29, -3, BAD_PTR, "x", 0);
  T("read, no such number", SYS_keyctl, 11, 0, NULL, 0, 0);
  T("instantiate, no payload of any length", SYS_keyctl, 12, 1, NULL, -1L, 0);
  T("query, more to come", SYS_keyctl, 24, -2, 1, 0, 0);
}

static void others(void) {
  unsigned long ctx = 0;
  T("io_setup, more than fit", SYS_io_setup, 5000000, &ctx);
  T("io_setup, so many that twice as many are none", SYS_io_setup, 1u << 31, &ctx);
  struct { const void *mask; size_t size; } mask = {page, 3};
  T("io_pgetevents, bad time, bad size", SYS_io_pgetevents, 1, 0, 0, NULL, BAD_PTR, &mask);
  struct timeval carry = {-1, 1000000}, less = {0, -1}, whole = {1, -1000000};
  T("select, a second carried", SYS_select, 0, NULL, NULL, NULL, memcpy(page, &carry, 16));
  T("select, negative microseconds", SYS_select, 0, NULL, NULL, NULL, memcpy(page, &less, 16));
  T("select, a whole negative second", SYS_select, 0, NULL, NULL, NULL, memcpy(page, &whole, 16));
  int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  T("getdents64, a negative count", SYS_getdents64, dir, page, 0x80000000u);
  T("sync_file_range, a pipe, beyond all", SYS_sync_file_range, pipes[0], 1, 0x7fffffffffffffff, 0);
  T("sync_file_range, a pipe", SYS_sync_file_range, pipes[0], 0, 0, 0);
  T("renameat, a bad descriptor, a bad name", SYS_renameat, 999, "a", AT_FDCWD, BAD_PTR);
  T("sendfile, a pipe, may not be written", SYS_sendfile, file, pipes[0], read_only, 8);
  T("open_tree, no name", SYS_open_tree, AT_FDCWD, NULL, AT_EMPTY_PATH);
  T("listmount, bad request, may not be written", 458, page, read_only, 1, 0);
  T("ioprio_set, bits that do not count", SYS_ioprio_set, 1, 0, 0x80000000);
  T("ioprio_get", SYS_ioprio_get, 1, 0);
  struct { int type, pid; } owner = {9, 9};
  T("F_GETOWN_EX", SYS_fcntl, pipes[0], F_GETOWN_EX, &owner);
  say("%d %d", owner.type, owner.pid);
  stack_t zero = {0};
  T("sigaltstack, as it is", SYS_sigaltstack, &zero, NULL);
  zero.ss_sp = page;
  T("sigaltstack, too small", SYS_sigaltstack, &zero, NULL);
  ok("ioprio_get, a group", syscall(SYS_ioprio_get, 2, 0));
  ret("ioprio_get, a group, none of its own", setpgid(0, 0) == 0 ? syscall(SYS_ioprio_get, 2, 0) : -1);
  T("semop, 32 bits of the count", SYS_semop, -1, BAD_PTR, 1L << 32 | 1);
  struct { const void *mask; size_t size; } no_mask = {NULL, 8};
  struct timespec bad = {0, -1};
  T("pselect6, bad time, bad mask", SYS_pselect6, 0, NULL, NULL, NULL, memcpy(page, &bad, 16), BAD_PTR);
  T("pselect6, bad time", SYS_pselect6, 0, NULL, NULL, NULL, page, &no_mask);
  T("clock_nanosleep, a CPU clock of nobody, bad time", SYS_clock_nanosleep, -0x80000000, 0, BAD_PTR, NULL);
  T("recvfrom, no socket, beyond all", SYS_recvfrom, pipes[0], -1L, 8, 0, NULL, NULL);
  T("sendto, no socket, beyond all", SYS_sendto, -1, -1L, 8, 0, NULL, 0);
  int epoll = syscall(SYS_epoll_create1, 0);
  T("read of what cannot be read, beyond all", SYS_read, epoll, -1L, 8);
  T("write to what cannot be written, beyond all", SYS_write, epoll, -1L, 8);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  waitid(P_PID, pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
  T("kcmp of a zombie, no such thing", SYS_kcmp, pid, getpid(), 99, 0, 0);
  T("kcmp of a zombie, files", SYS_kcmp, pid, getpid(), 0, 0, 0);
  T("kcmp of a zombie, its memory", SYS_kcmp, pid, pid, 1, 0, 0);
  is("kcmp of a zombie, another's memory", syscall(SYS_kcmp, pid, getpid(), 1, 0, 0) > 0);
  T("kcmp of a zombie, what epoll watches", SYS_kcmp, pid, getpid(), 7, 0, page);
  waitpid(pid, NULL, 0);
  int s[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, s), write(s[1], "five!", 5);
  T("recvfrom, a size that is none", SYS_recvfrom, s[0], page, -1L, MSG_DONTWAIT, NULL, NULL);
}

static void parts(void) {
  int s[2], tcp = socket(AF_INET, SOCK_STREAM, 0);
  struct iovec *v = (void *)(page + 4096 - 32), plain = {page, 8};
  socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
  struct timeval *t = (void *)(page + 4096 - 16), no_time = {0, 0};
  T("poll of none, beyond all", SYS_poll, -1L, 0, 0);
  T("poll of none, in a hole", SYS_poll, page + 4096, 0, 0);
  *(int *)(page + 4096 - 4) = 0x40;
  T("capget, half a header of no version", SYS_capget, page + 4096 - 4, NULL);
  *(int *)(page + 4096 - 4) = 0x20080522;
  T("capget, half a header", SYS_capget, page + 4096 - 4, NULL);
  T("capget, half a header and a place", SYS_capget, page + 4096 - 4, page);
  T("readv, 32 bits of the count", SYS_readv, pipes[0], &plain, 1L << 32);
  T("pwritev2, 32 bits of the count", SYS_pwritev2, file, &plain, 5L << 32, 0, 1L << 63, 0);
  T("process_madvise, 32 bits of the count", SYS_process_madvise, -1, &plain, 1L << 32 | 1, 0, 0);
  v[0] = (struct iovec){(void *)0x6161616161616161, 8}, v[1] = (struct iovec){page, -1L};
  T("process_vm_readv, a place that is none", SYS_process_vm_readv, getpid(), v, 1, v + 1, 1, 0);
  T("process_vm_readv, 32 bits of the first count", SYS_process_vm_readv, getpid(), &plain, 1L << 32 | 1, &plain, 1, 0);
  T("process_vm_readv, 32 bits of the second count", SYS_process_vm_readv, getpid(), &plain, 1, &plain, 1L << 32 | 1, 0);
  T("mmap of what has no size, far away", SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, pipes[1], 1L << 63);
  T("mmap of a file, far away", SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, file, 1L << 63);
  T("sendto, urgent, from nowhere", SYS_sendto, s[0], NULL, 8, MSG_OOB, NULL, 0);
  T("sendto, from nowhere", SYS_sendto, s[0], NULL, 8, 0, NULL, 0);
  T("mmap of a socket, far away", SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, tcp, 1L << 63);
  *t = no_time;
  T("SO_SNDTIMEO, much longer than it is", SYS_setsockopt, tcp, SOL_SOCKET, SO_SNDTIMEO, t, 0x7fffffff);
  T("SO_SNDTIMEO, longer than what is there", SYS_setsockopt, tcp, SOL_SOCKET, SO_SNDTIMEO, (char *)t + 4, 16);
  T("SO_REUSEADDR, much longer than it is", SYS_setsockopt, tcp, SOL_SOCKET, SO_REUSEADDR, page + 4096 - 4, 4096);
  T("SO_REUSEADDR, much longer, of a UNIX socket", SYS_setsockopt, s[0], SOL_SOCKET, SO_REUSEADDR, page + 4096 - 4, 4096);
  T("SO_LINGER, longer than what is there", SYS_setsockopt, s[0], SOL_SOCKET, SO_LINGER, page + 4096 - 4, 8);
  mlock(area + 2 * 4096, 4096), munmap(area + 4096, 4096);
  T("msync, a hole before what is locked", SYS_msync, area, 4 * 4096, MS_INVALIDATE);
  T("msync, a hole", SYS_msync, area, 2 * 4096, MS_INVALIDATE);
  memset(page, 'a', 4096);
  struct msghdr m = {.msg_name = (void *)0x6161616161616161, .msg_namelen = 16, .msg_iovlen = 2000};
  T("sendmsg, a name from nowhere, too many ranges", SYS_sendmsg, s[0], &m, 0);
  m.msg_name = NULL, T("sendmsg, too many ranges", SYS_sendmsg, s[0], &m, 0);
  T("execveat, no name and no such flags", SYS_execveat, file, NULL, NULL, NULL, -1L);
  T("execveat, no name", SYS_execveat, file, NULL, NULL, NULL, AT_EMPTY_PATH);
  T("renameat2 from nowhere to no name", SYS_renameat2, AT_FDCWD, "nothing/x", AT_FDCWD, page, 0);
  T("renameat2 from somewhere to no name", SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, page, 0);
  T("renameat2 from nowhere to nowhere", SYS_renameat2, AT_FDCWD, "nothing/x", -1, "y", 0);
  T("lgetxattr, half a name, where there are none", SYS_lgetxattr, "/proc/self/status", "user.", NULL, 0);
  T("lgetxattr, half a name", SYS_lgetxattr, ".", "user.", NULL, 0);
  unsigned long nodes = 2;
  pid_t zombie = fork();
  if (zombie == 0) _exit(0);
  waitid(P_PID, zombie, &(siginfo_t){0}, WEXITED | WNOWAIT);
  T("migrate_pages of a zombie", SYS_migrate_pages, zombie, 64, &nodes, &nodes);
  setresuid(1000, 1000, 1000);
  T("migrate_pages to a node that is none", SYS_migrate_pages, 0, 64, &nodes, &nodes);
  T("mount_setattr, who may not, too much", 442, -1, "", 0, read_only, 4096);
  memset(page, 1, 64);
  T("mount_setattr, who may not, a longer one", 442, -1, "", 0, page, 64);
  T("open_tree_attr, who may not, a longer one", 467, AT_FDCWD, "/", 0, page, 64);
}

int main(void) {
  char *all = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  page = all, read_only = all + 2 * 4096;
  memset(read_only, 0, 4096);
  mprotect(page + 4096, 4096, PROT_NONE), mprotect(read_only, 4096, PROT_READ), mprotect(read_only + 4096, 4096, PROT_NONE);
  area = mmap((void *)0x200000000000, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  munmap(area + 15 * 4096, 4096);
  pipe(pipes), file = memfd_create("file", 0);
  in_child("ranges", ranges), in_child("ipc", ipc), in_child("keys", keys), in_child("others", others), in_child("parts", parts);
}
