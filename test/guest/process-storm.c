// Signals, stops, forks, threads and exec at random against each other; every process has to end as it was told.
#include "guest.h"
#include <pthread.h>
#include <sys/prctl.h>

static volatile int handled;

static void handler(int sig) {
  (void)sig;
  handled++;
}

static void *busy(void *arg) {
  (void)arg;
  for (;;) {
    for (volatile int i = 0; i < 20000; i++) {}
    getppid();
  }
  return NULL;
}

static void *forker(void *arg) {
  (void)arg;
  for (;;) {
    // Asked before: a child of fork may find the lock of rand() taken, by a thread that it does not have.
    int dice = rand();
    pid_t p = dice & 1 ? fork() : vfork();
    if (p == 0) {
      if (dice & 2) execl("/bin/true", "true", NULL);
      _exit(1);
    }
    if (p > 0) waitpid(p, NULL, 0);
  }
}

static void *nothing(void *arg) { return arg; }

static void *threader(void *arg) {
  (void)arg;
  for (;;) {
    pthread_t t;
    if (pthread_create(&t, NULL, nothing, NULL) == 0) pthread_join(t, NULL);
  }
  return NULL;
}

static void *sleeper(void *arg) {
  (void)arg;
  for (;;) {
    struct timespec ts = {0, 500000};
    nanosleep(&ts, NULL);
  }
  return NULL;
}

static void victim(int round) {
  void *(*bodies[])(void *) = {busy, forker, threader, sleeper};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 0; i < 4; i++) {
    pthread_t t;
    pthread_create(&t, NULL, bodies[i], NULL);
  }
  if (round % 5 == 4) {
    sleep_ms(rand() % 20);
    execl("/bin/sleep", "sleep", "100", NULL);
  }
  forker(NULL);
}

int main(void) {
  for (int round = 0; round < 15; round++) {
    // Inherited, so that no signal comes too early.
    struct sigaction sa = {.sa_handler = handler, .sa_flags = round & 1 ? SA_RESTART : 0};
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGRTMIN, &sa, NULL);
    pid_t p = fork();
    if (p == 0) victim(round);
    for (int i = 0; i < 40; i++) {
      const int sigs[] = {SIGUSR1, SIGRTMIN, SIGSTOP, SIGCONT, SIGCONT};
      // A program fresh from exec has no handlers.
      kill(p, sigs[round % 5 == 4 ? 2 + rand() % 3 : rand() % 5]);
      if (rand() % 3 == 0) sleep_ms(rand() % 3);
    }
    kill(p, SIGKILL);
    char name[32];
    snprintf(name, sizeof name, "round %d", round);
    wait_say(name, p);
  }
  return 0;
}
