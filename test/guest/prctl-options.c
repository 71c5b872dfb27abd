// prctl(2): every option with all kinds of arguments, each in a process of its own.
#include "guest.h"
#include <linux/capability.h>
#include <sys/prctl.h>

static char page[4096];

static const char *outcome(long r) {
  static char text[24];
  if (r == -1) return strerrorname_np(errno);
  snprintf(text, sizeof text, "%ld", r);
  return text;
}

struct value { const char *name; unsigned long v; };

static const struct value second[] = {{"0", 0}, {"1", 1}, {"2", 2}, {"3", 3}, {"4", 4}, {"5", 5}, {"40", 40}, {"41", 41}, {"64", 64},
                                      {"65", 65}, {"256", 256}, {"2^32", 1ul << 32}, {"-1", -1ul}, {"page", (unsigned long)page},
                                      {"bad", 0x10}};
enum { SECONDS = sizeof second / sizeof *second };

// What `o` answers to the second argument `v` and every kind of further ones, in a process of its own.
static void answers(int o, unsigned long v, char *text) {
  const unsigned long third[] = {0, 1, 2, -1ul, (unsigned long)page};
  int out[2];
  if (pipe(out)) exit(1);
  pid_t p = fork();
  if (p == 0) {
    char line[200] = "";
    for (unsigned j = 0; j < 5; j++) strcat(strcat(line, " "), outcome(prctl(o, v, third[j], 0, 0)));
    strcat(strcat(line, " | "), outcome(prctl(o, v, 0, 1, 0)));
    strcat(strcat(line, " "), outcome(prctl(o, v, 0, 0, 1)));
    strcat(strcat(line, " "), outcome(prctl(o, v, 1, 1, 1)));
    _exit(write(out[1], line, strlen(line)) < 0);
  }
  close(out[1]);
  long n = read(out[0], text, 199);
  text[n < 0 ? 0 : n] = 0;
  close(out[0]);
  int st;
  waitpid(p, &st, 0);
  if (st != 0) sprintf(text, " ends with %x", st);
}

// One line for all values that are answered alike.
static void option(const char *name, int o) {
  char text[SECONDS][200];
  for (int i = 0; i < SECONDS; i++) answers(o, second[i].v, text[i]);
  for (int i = 0; i < SECONDS; i++) {
    if (text[i][0] == 0) continue;
    printf("%s(%s", name, second[i].name);
    for (int j = i + 1; j < SECONDS; j++) {
      if (strcmp(text[i], text[j])) continue;
      printf(" %s", second[j].name);
      text[j][0] = 0;
    }
    say("):%s", text[i]);
  }
}

// Not everywhere is root allowed what CAP_SYS_RESOURCE is for.
static void drop_resource(void) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  syscall(SYS_capget, &h, d);
  d[0].effective &= ~(1u << CAP_SYS_RESOURCE);
  d[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
  d[0].inheritable = d[1].inheritable = 0;
  is("capset", syscall(SYS_capset, &h, d) == 0);
}

int main(void) {
  drop_resource();
  for (int o = 0; o < 80; o++) {
    // What the CPU can do (PR_SET_TSC, speculation), and what the thread library has set (PR_FUTEX_HASH).
    if (o == 26 || o == 52 || o == 53 || o == 78) continue;
    char n[20];
    snprintf(n, sizeof n, "%d", o);
    option(n, o);
  }
  option("vma", 0x53564d41);
  option("ptracer", 0x59616d61);
  option("auxv", 0x41555856);
  option("-1", -1);
  return 0;
}
