// In S, before it becomes Node: starts Z, the parent image of all guest processes. See zygote.h.
#define _GNU_SOURCE
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "zygote-status.h"
#include "zygote.h"

struct started_zygote start_zygote(void) {
  struct zygote z;
  int stub = openat(dist_fd, "stub", O_RDONLY | O_CLOEXEC);
  if (stub < 0) die("cannot open %s/stub", opt.dist);
  int r = zygote_spawn(stub, &z, join_guest_groups);
  errno = 0;
  if (r == -ECHILD) die("guest processes cannot run here: %s (status %d)", zygote_reason(z.pid), z.pid);
  errno = -r;
  if (r < 0) die("cannot start the zygote");
  close(stub);
  return (struct started_zygote){z.pid, z.listener, z.area};
}
