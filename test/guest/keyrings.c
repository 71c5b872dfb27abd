// Keys and keyrings: add_key(2), request_key(2), keyctl(2).
#include "guest.h"
#include <grp.h>
#include <sys/prctl.h>

enum {
  GET_ID, JOIN, UPDATE, REVOKE, CHOWN, SETPERM, DESCRIBE, CLEAR, LINK, UNLINK, SEARCH, READ, INSTANTIATE, NEGATE,
  SET_REQKEY, SET_TIMEOUT, ASSUME, GET_SECURITY, TO_PARENT, REJECT, INSTANTIATE_IOV, INVALIDATE, PERSISTENT,
  RESTRICT = 29, MOVE = 30, CAPABILITIES = 31
};
enum { THREAD = -1, PROCESS = -2, SESSION = -3, USER = -4, USER_SESSION = -5, GROUP = -6, AUTH = -7 };

#define K(op, ...) syscall(SYS_keyctl, op, ##__VA_ARGS__)
static long add(const char *type, const char *desc, const void *p, size_t n, int ring) {
  return syscall(SYS_add_key, type, desc, p, n, ring);
}
static long request(const char *type, const char *desc, const char *info, int ring) {
  return syscall(SYS_request_key, type, desc, info, ring);
}

static void describe(const char *what, long id) {
  char b[200] = {0};
  long n = K(DESCRIBE, id, b, sizeof b);
  if (n < 0) say("%s: %s", what, strerrorname_np(errno));
  else say("%s: %s", what, b);
}

static void in_session(const char *name, void (*fn)(void)) {
  pid_t p = fork();
  if (p == 0) {
    K(JOIN, NULL);
    fn();
    _exit(0);
  }
  wait_say(name, p);
}

static void making(void) {
  static char big[40000];
  ok("user", add("user", "one", "payload", 7, SESSION));
  ok("logon", add("logon", "pre:one", "secret", 6, SESSION));
  ok("keyring", add("keyring", "ring", NULL, 0, SESSION));
  ok("logon without a prefix", add("logon", "one", "secret", 6, SESSION));
  ok("logon with an empty prefix", add("logon", ":one", "secret", 6, SESSION));
  ok("user without payload", add("user", "two", NULL, 0, SESSION));
  ok("user with a bad payload", add("user", "two", NULL, 7, SESSION));
  ok("user at most", add("user", "big", big, 32767, SESSION));
  ok("user too large", add("user", "big", big, 32768, SESSION));
  ok("larger than any", add("user", "big", big, 1 << 20, SESSION));
  ok("keyring with payload", add("keyring", "ring", "x", 1, SESSION));
  ok("unknown type", add("nonsense", "x", "x", 1, SESSION));
  ok("empty type", add("", "x", "x", 1, SESSION));
  ok("hidden type", add(".user", "x", "x", 1, SESSION));
  ok("bad type", add(BAD_PTR, "x", "x", 1, SESSION));
  ok("hidden keyring", add("keyring", ".x", NULL, 0, SESSION));
  ok("no description", add("user", NULL, "x", 1, SESSION));
  ok("empty description", add("user", "", "x", 1, SESSION));
  ok("bad description", add("user", BAD_PTR, "x", 1, SESSION));
  ok("group keyring", add("user", "x", "x", 1, GROUP));
  ok("no keyring", add("user", "x", "x", 1, 0));
  ok("unknown keyring", add("user", "x", "x", 1, 1));
  long id = add("user", "one", "other", 5, SESSION);
  ok("into a key", add("user", "x", "x", 1, id));
  char b[64] = {0};
  ret("read", K(READ, id, b, sizeof b));
  say("%s", b);
  ret("read size", K(READ, id, NULL, 0));
  memset(b, 0, sizeof b);
  ret("read short", K(READ, id, b, 2));
  say("[%s]", b);
  ret("read bad", K(READ, id, BAD_PTR, 9));
  describe("user", id);
  describe("logon", request("logon", "pre:one", NULL, 0));
  describe("ring", request("keyring", "ring", NULL, 0));
  ret("read logon", K(READ, request("logon", "pre:one", NULL, 0), b, sizeof b));
  is("found", request("user", "one", NULL, 0) == id);
  is("searched", K(SEARCH, SESSION, "user", "one", 0) == id);
  ret("not found", request("user", "nobody", NULL, 0));
  ret("type not known", request("nonsense", "nobody", NULL, 0));
  ret("search not found", K(SEARCH, SESSION, "user", "nobody", 0));
  ret("search of a key", K(SEARCH, id, "user", "one", 0));
  ret("request bad type", request(BAD_PTR, "x", NULL, 0));
  ret("request bad description", request("user", BAD_PTR, NULL, 0));
  ret("request bad keyring", request("user", "one", NULL, 1));
  is("request and link", request("user", "one", NULL, PROCESS) == id);
  is("found there", K(SEARCH, PROCESS, "user", "one", 0) == id);
}

static void life(void) {
  long id = add("user", "k", "x", 1, SESSION), r = add("keyring", "r", NULL, 0, SESSION);
  ret("update", K(UPDATE, id, "yy", 2));
  ret("update too large", K(UPDATE, id, "yy", 5000));
  ret("update keyring", K(UPDATE, r, "yy", 2));
  char b[16] = {0};
  ret("read", K(READ, id, b, sizeof b));
  say("%s", b);
  ret("link", K(LINK, id, r));
  ret("link again", K(LINK, id, r));
  ret("link to a key", K(LINK, id, id));
  ret("link to itself", K(LINK, r, r));
  int got[4] = {0};
  ret("read ring", K(READ, r, got, sizeof got));
  is("its content", got[0] == id && got[1] == 0);
  ret("unlink", K(UNLINK, id, r));
  ret("unlink again", K(UNLINK, id, r));
  ret("read empty ring", K(READ, r, got, sizeof got));
  ret("clear a key", K(CLEAR, id));
  ret("link for clear", K(LINK, id, r));
  ret("clear", K(CLEAR, r));
  ret("read cleared ring", K(READ, r, NULL, 0));
  ret("move", K(MOVE, id, SESSION, r, 0));
  ret("move back", K(MOVE, id, r, SESSION, 0));
  ret("move flags", K(MOVE, id, SESSION, r, 8));
  ret("unlink from session", K(UNLINK, id, SESSION));
  id = add("user", "k", "x", 1, SESSION);
  ret("revoke", K(REVOKE, id));
  describe("revoked", id);
  ret("read revoked", K(READ, id, b, sizeof b));
  ret("request revoked", request("user", "k", NULL, 0));
  ret("revoke again", K(REVOKE, id));
  ok("make it anew", id = add("user", "k", "x", 1, SESSION));
  ret("timeout", K(SET_TIMEOUT, id, 1000));
  ret("no timeout", K(SET_TIMEOUT, id, 0));
  ret("invalidate", K(INVALIDATE, id));
  describe("invalidated", id);
  long nested = add("keyring", "nested", NULL, 0, r);
  ret("cycle", K(LINK, r, nested));
  ok("deep", id = add("user", "deep", "x", 1, nested));
  is("found deep", request("user", "deep", NULL, 0) == id);
  ret("restrict", K(RESTRICT, r, NULL, NULL));
  ok("add to restricted", add("user", "z", "x", 1, r));
  ret("restrict again", K(RESTRICT, r, NULL, NULL));
  ret("restrict a key", K(RESTRICT, id, NULL, NULL));
}

static void permissions(void) {
  long id = add("user", "k", "x", 1, SESSION);
  char b[8];
  ret("setperm beyond", K(SETPERM, id, 0x40000000));
  ret("no possessor rights", K(SETPERM, id, 0x00010000));
  describe("view by user", id);
  ret("read denied", K(READ, id, b, 8));
  ret("update denied", K(UPDATE, id, "x", 1));
  ret("revoke denied", K(REVOKE, id));
  ret("link denied", K(LINK, id, PROCESS));
  id = add("user", "l", "x", 1, SESSION);
  ret("group", K(CHOWN, id, -1, 5));
  ret("user", K(CHOWN, id, 1000, -1));
  describe("given away", id);
  ret("security", K(GET_SECURITY, id, NULL, 0) > 0 ? 0 : -1);
  ret("setperm for others", K(SETPERM, id, 0x3f00003f));
  setgroups(0, NULL);
  if (setresgid(7, 7, 7) || setresuid(1001, 1001, 1001)) return;
  ret("read as another", K(READ, id, b, 8));
  ret("setperm as another", K(SETPERM, id, 0x3f3f3f3f));
  ret("chown as another", K(CHOWN, id, 1001, -1));
}

static void special(void) {
  ret("no thread keyring", K(GET_ID, THREAD, 0));
  long t = K(GET_ID, THREAD, 1);
  is("thread keyring", t > 0 && K(GET_ID, THREAD, 0) == t);
  describe("thread", THREAD);
  long p = K(GET_ID, PROCESS, 1);
  is("process keyring", p > 0 && p != t);
  describe("process", PROCESS);
  describe("session", SESSION);
  describe("user", USER);
  describe("user session", USER_SESSION);
  ret("group", K(GET_ID, GROUP, 0));
  ret("authority", K(GET_ID, AUTH, 0));
  ret("beyond", K(GET_ID, -20, 0));
  long s = K(GET_ID, SESSION, 0);
  pid_t c = fork();
  if (c == 0) {
    is("child: same session", K(GET_ID, SESSION, 0) == s);
    ret("child: no process keyring", K(GET_ID, PROCESS, 0));
    ret("child: no thread keyring", K(GET_ID, THREAD, 0));
    long n = K(JOIN, "named");
    is("child: another session", n > 0 && n != s);
    describe("child: session", SESSION);
    long again = K(JOIN, "named");
    is("child: not found without permission", again > 0 && again != n);
    ret("child: hidden", K(JOIN, ".hidden"));
    ret("child: bad name", K(JOIN, BAD_PTR));
    _exit(0);
  }
  wait_say("child", c);
  is("session kept", K(GET_ID, SESSION, 0) == s);
  ret("reqkey default", K(SET_REQKEY, -1));
  ret("reqkey thread", K(SET_REQKEY, 1));
  ret("reqkey told", K(SET_REQKEY, -1));
  ret("reqkey group", K(SET_REQKEY, 6));
  ret("reqkey unknown", K(SET_REQKEY, 9));
  ret("assume none", K(ASSUME, 0));
  ret("assume negative", K(ASSUME, -1));
  ret("assume another's", K(ASSUME, s));
  ret("instantiate", K(INSTANTIATE, s, "x", 1, 0));
  ret("negate", K(NEGATE, s, 1, 0));
  ret("unknown operation", K(999));
  ret("keyring of nobody", K(GET_ID, 1, 0));
  char caps[2] = {0};
  ret("capabilities", K(CAPABILITIES, caps, 2) >= 1 ? 0 : -1);
}

int main(void) {
  in_session("making", making);
  in_session("life", life);
  in_session("permissions", permissions);
  in_session("special", special);
  return 0;
}
