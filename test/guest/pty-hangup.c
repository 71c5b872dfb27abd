// What a hang-up does to a session: leader first, its foreground job when the leader ends.
#include "guest.h"
#include <pty.h>
#include <sys/ioctl.h>

static int out[2];

static void note(const char *s) { write(out[1], s, strlen(s)); }

static void on_hup(int s) {
  note(s == SIGHUP ? "job HUP\n" : "job CONT\n");
  if (s == SIGHUP) _exit(0);
}

static volatile sig_atomic_t hup, cont;
static void on_leader(int s) {
  if (s == SIGHUP) hup++;
  else cont++;
}

static void drain(const char *name) {
  char buf[4096];
  long n, all = 0;
  close(out[1]);
  while ((n = read(out[0], buf + all, sizeof buf - 1 - all)) > 0) all += n;
  buf[all] = 0;
  close(out[0]);
  say("== %s", name);
  fputs(buf, stdout);
  fflush(stdout);
}

static void hangup_by_master(void) {
  int master, slave, go[2], ready[2];
  pipe(out);
  pipe(go);
  pipe(ready);
  openpty(&master, &slave, NULL, NULL, NULL);
  pid_t leader = fork();
  if (leader == 0) {
    close(master);
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    signal(SIGHUP, on_leader);
    signal(SIGCONT, on_leader);
    pid_t job = fork();
    if (job == 0) {
      setpgid(0, 0);
      signal(SIGHUP, on_hup);
      signal(SIGCONT, SIG_DFL);
      write(go[1], "x", 1);
      for (;;) pause();
    }
    char c;
    setpgid(job, job);
    signal(SIGTTOU, SIG_IGN);
    note(tcsetpgrp(slave, job) == 0 ? "foreground given\n" : "tcsetpgrp failed\n");
    read(go[0], &c, 1);
    write(ready[1], "y", 1);
    for (int i = 0; i < 400 && !(hup && cont); i++) usleep(5000);
    note(hup == 1 && cont == 1 ? "leader HUP and CONT\n" : "leader missed it\n");
    note(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO ? "no /dev/tty\n" : "still a /dev/tty\n");
    note(read(slave, &c, 1) == 0 ? "slave at its end\n" : "slave reads\n");
    note(write(slave, "x", 1) == -1 && errno == EIO ? "slave EIO\n" : "slave writes\n");
    usleep(50000);
    note("leader ends\n");
    _exit(0);
  }
  char c;
  close(slave);
  read(ready[0], &c, 1);
  close(master);
  waitpid(leader, NULL, 0);
  drain("master closed");
}

static void leader_exits(void) {
  int master, slave;
  pipe(out);
  openpty(&master, &slave, NULL, NULL, NULL);
  int go[2];
  pipe(go);
  pid_t leader = fork();
  if (leader == 0) {
    close(master);
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    pid_t job = fork();
    if (job == 0) {
      setpgid(0, 0);
      signal(SIGHUP, on_hup);
      write(go[1], "x", 1);
      for (;;) pause();
    }
    char c;
    setpgid(job, job);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(slave, job);
    read(go[0], &c, 1);
    note("leader ends\n");
    _exit(0);
  }
  waitpid(leader, NULL, 0);
  drain("leader ended");
  int n = 0;
  ret("TIOCGSID of the master", ioctl(master, TIOCGSID, &n));
  close(master);
  close(slave);
}

static void give_up(void) {
  int master, slave;
  pipe(out);
  openpty(&master, &slave, NULL, NULL, NULL);
  pid_t leader = fork();
  if (leader == 0) {
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    signal(SIGHUP, on_leader);
    signal(SIGCONT, on_leader);
    note(ioctl(slave, TIOCNOTTY) == 0 ? "given up\n" : "TIOCNOTTY failed\n");
    for (int i = 0; i < 400 && !(hup && cont); i++) usleep(5000);
    note(hup == 1 && cont == 1 ? "HUP and CONT\n" : "missed it\n");
    note(ioctl(slave, TIOCNOTTY) == -1 && errno == ENOTTY ? "ENOTTY\n" : "again\n");
    note(ioctl(slave, TIOCSCTTY, 0) == 0 ? "taken again\n" : "not taken\n");
    _exit(0);
  }
  waitpid(leader, NULL, 0);
  drain("given up");
}

static void orphan(void) {
  int master, slave;
  pipe(out);
  openpty(&master, &slave, NULL, NULL, NULL);
  pid_t leader = fork();
  if (leader == 0) {
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    pid_t middle = fork();
    if (middle == 0) {
      setpgid(0, 0);
      pid_t job = fork();
      if (job == 0) {
        char c;
        usleep(100000);
        note(read(slave, &c, 1) == -1 && errno == EIO ? "orphan reads: EIO\n" : "orphan reads\n");
        signal(SIGTTIN, SIG_IGN);
        note(read(slave, &c, 1) == -1 && errno == EIO ? "ignoring: EIO\n" : "ignoring: read\n");
        note(write(slave, "x", 1) == 1 ? "writes\n" : "cannot write\n");
        _exit(0);
      }
      _exit(0);
    }
    waitpid(middle, NULL, 0);
    usleep(300000);
    _exit(0);
  }
  waitpid(leader, NULL, 0);
  drain("orphaned group");
}

int main(void) {
  signal(SIGHUP, SIG_IGN);
  hangup_by_master();
  leader_exits();
  give_up();
  orphan();
  return 0;
}
