// Mounts of type overlay in config.json: layers are directories of the host.
#define _GNU_SOURCE
#include "launcher.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// An overlay of the host's, as runc mounts it, but where nobody else sees it. The layers' names may be longer than fsconfig(2) takes.
int make_overlay(const char *path, const char *data) {
  int link[2], tree, status;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0) die("socketpair");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("cannot copy the mounts");
    if (mount("overlay", path, "overlay", 0, data) < 0) die("cannot mount an overlay (%s)", data);
    tree = open_path_tree(path, true);
    send_fds(link[1], &tree, 1);
    _exit(0);
  }
  close(link[1]);
  if (waitpid(child, &status, 0) != child || status != 0) _exit(EXIT_CANNOT_START); // it has said why
  receive_fds(link[0], &tree, 1);
  close(link[0]);
  return tree;
}
