// What ends with a namespace, and what does not: mounts, segments, and files that are still open.
#include "guest.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>

static void child(void (*f)(void), const char *name) {
  pid_t pid = fork();
  if (pid == 0) f(), _exit(0);
  wait_say(name, pid);
}

static int pair[2];

static void mount_and_leave(void) {
  if (unshare(CLONE_NEWNS) < 0) _exit(1);
  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  if (mkdir("m", 0777) < 0 || mount("tmpfs", "m", "tmpfs", 0, "size=4m") < 0) _exit(2);
  int fd = open("m/f", O_RDWR | O_CREAT, 0666);
  char page[4096];
  memset(page, 'x', sizeof page);
  for (int i = 0; i < 200; i++)
    if (write(fd, page, sizeof page) != sizeof page) _exit(3);
  // Somebody outside gets the file.
  char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec iov = {"f", 1};
  struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&h);
  c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  if (sendmsg(pair[1], &h, 0) != 1) _exit(4);
}

static int receive(void) {
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
  struct iovec iov = {&byte, 1};
  struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fd = -1;
  if (recvmsg(pair[0], &h, 0) == 1 && CMSG_FIRSTHDR(&h) != NULL) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof fd);
  return fd;
}

static int handle = -1, segment;

static void segment_and_leave(void) {
  if (unshare(CLONE_NEWIPC) < 0) _exit(1);
  int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
  char *at = shmat(id, NULL, 0);
  if (id < 0 || at == (void *)-1) _exit(2);
  strcpy(at, "there");
}

// A handle of the namespace keeps it, and the segment in it.
static void come_back(void) {
  ret("setns", setns(handle, CLONE_NEWIPC));
  char *at = shmat(segment, NULL, 0);
  is("the segment is there", at != (void *)-1 && strcmp(at, "kept") == 0);
  struct shmid_ds ds;
  ret("remove it", shmctl(segment, IPC_RMID, &ds));
  ret("still there for those who map it", shmctl(segment, IPC_STAT, &ds) >= 0 ? 0 : -1);
}

int main(void) {
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0) return 1;
  child(mount_and_leave, "a mount namespace ends");
  int fd = receive();
  struct stat st;
  ret("its file is open here", fstat(fd, &st));
  say("size %ld, links %ld", (long)st.st_size, (long)st.st_nlink);
  char byte = 0;
  ret("read", pread(fd, &byte, 1, 700000));
  ret("write", pwrite(fd, "y", 1, 900000));
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int again = open(link, O_RDONLY);
  is("open it again", again >= 0);
  close(again);
  is("right byte", byte == 'x');
  ret("close", close(fd));
  is("the mount point here is empty", access("m/f", F_OK) < 0);
  child(segment_and_leave, "an IPC namespace ends");

  int go[2];
  if (pipe(go) < 0) return 1;
  pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWIPC) < 0) _exit(1);
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    char *at = shmat(id, NULL, 0);
    if (at == (void *)-1) _exit(2);
    strcpy(at, "kept");
    shmdt(at);
    if (write(go[1], &id, sizeof id) < 0) _exit(3);
    pause();
  }
  if (read(go[0], &segment, sizeof segment) != sizeof segment) return 1;
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/ns/ipc", pid);
  handle = open(path, O_RDONLY);
  is("a handle", handle >= 0);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  child(come_back, "come back");
  ret("close the handle", close(handle));
  return 0;
}
