// Classic filters of unix and netlink sockets: each instruction, what is asked of messages besides their data, what is refused, and
// what is left of messages.
#include "guest.h"
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define LEN(a) ((int)(sizeof(a) / sizeof *(a)))
#define AD(what) (unsigned)(SKF_AD_OFF + SKF_AD_##what)
#define S(code, k) BPF_STMT(code, k)
#define J(code, k, t, f) BPF_JUMP(BPF_JMP | (code), k, t, f)
#define RET_A S(BPF_RET | BPF_A, 0)

static int pair[2];
static unsigned char data[64], buf[256];

static int attach(int s, int name, struct sock_filter *code, int n) {
  struct sock_fprog p = {n, code};
  return setsockopt(s, SOL_SOCKET, name, &p, sizeof p);
}

// What is left of 64 bytes; -1: nothing came.
static void run(const char *name, struct sock_filter *code, int n) {
  if (attach(pair[1], SO_ATTACH_FILTER, code, n) < 0) {
    ret(name, -1);
    return;
  }
  int sent = send(pair[0], data, sizeof data, 0);
  int got = recv(pair[1], buf, sizeof buf, MSG_DONTWAIT);
  say("%s: %d of %d%s", name, got, sent, got > 0 && memcmp(buf, data, got) ? " other data" : "");
}

#define RUN(name, ...)                           \
  do {                                           \
    struct sock_filter code[] = {__VA_ARGS__};   \
    run(name, code, LEN(code));                  \
  } while (0)

static void test_instructions(void) {
  RUN("nothing", S(BPF_RET | BPF_K, 0));
  RUN("ten", S(BPF_RET | BPF_K, 10));
  RUN("more than all", S(BPF_RET | BPF_K, 0xffffffff));
  RUN("length", S(BPF_LD | BPF_W | BPF_LEN, 0), S(BPF_ALU | BPF_SUB | BPF_K, 5), RET_A);
  RUN("length in x", S(BPF_LDX | BPF_W | BPF_LEN, 0), S(BPF_MISC | BPF_TXA, 0), S(BPF_ALU | BPF_RSH | BPF_K, 1), RET_A);
  RUN("byte", S(BPF_LD | BPF_B | BPF_ABS, 7), RET_A);
  RUN("half", S(BPF_LD | BPF_H | BPF_ABS, 7), S(BPF_ALU | BPF_AND | BPF_K, 63), RET_A);
  RUN("word", S(BPF_LD | BPF_W | BPF_ABS, 8), S(BPF_ALU | BPF_RSH | BPF_K, 24), RET_A);
  RUN("last byte", S(BPF_LD | BPF_B | BPF_ABS, 63), RET_A);
  RUN("beyond", S(BPF_LD | BPF_B | BPF_ABS, 64), S(BPF_RET | BPF_K, 9));
  RUN("word half beyond", S(BPF_LD | BPF_W | BPF_ABS, 61), S(BPF_RET | BPF_K, 9));
  RUN("indirect", S(BPF_LDX | BPF_IMM, 20), S(BPF_LD | BPF_B | BPF_IND, 3), RET_A);
  RUN("indirect half", S(BPF_LDX | BPF_IMM, 20), S(BPF_LD | BPF_H | BPF_IND, 3), S(BPF_ALU | BPF_AND | BPF_K, 63), RET_A);
  RUN("indirect word", S(BPF_LDX | BPF_IMM, 20), S(BPF_LD | BPF_W | BPF_IND, 3), S(BPF_ALU | BPF_AND | BPF_K, 63), RET_A);
  RUN("indirect beyond", S(BPF_LDX | BPF_IMM, 60), S(BPF_LD | BPF_W | BPF_IND, 3), RET_A);
  RUN("indirect back", S(BPF_LDX | BPF_IMM, 30), S(BPF_LD | BPF_B | BPF_IND, (unsigned)-10), RET_A);
  RUN("header length", S(BPF_LDX | BPF_B | BPF_MSH, 10), S(BPF_MISC | BPF_TXA, 0), RET_A);
  RUN("memory", S(BPF_LD | BPF_IMM, 33), S(BPF_ST, 15), S(BPF_LDX | BPF_MEM, 15), S(BPF_STX, 0), S(BPF_LD | BPF_MEM, 0), RET_A);
  RUN("add", S(BPF_LD | BPF_IMM, 33), S(BPF_LDX | BPF_IMM, 4), S(BPF_ALU | BPF_ADD | BPF_X, 0), S(BPF_ALU | BPF_ADD | BPF_K, 2), RET_A);
  RUN("subtract", S(BPF_LD | BPF_IMM, 33), S(BPF_LDX | BPF_IMM, 4), S(BPF_ALU | BPF_SUB | BPF_X, 0), RET_A);
  RUN("multiply", S(BPF_LD | BPF_IMM, 3), S(BPF_LDX | BPF_IMM, 4), S(BPF_ALU | BPF_MUL | BPF_X, 0), S(BPF_ALU | BPF_MUL | BPF_K, 5), RET_A);
  RUN("divide", S(BPF_LD | BPF_IMM, 100), S(BPF_LDX | BPF_IMM, 3), S(BPF_ALU | BPF_DIV | BPF_X, 0), RET_A);
  RUN("divide by 0", S(BPF_LD | BPF_IMM, 100), S(BPF_LDX | BPF_IMM, 0), S(BPF_ALU | BPF_DIV | BPF_X, 0), S(BPF_RET | BPF_K, 9));
  RUN("divide large", S(BPF_LD | BPF_IMM, 0xfffffff0), S(BPF_ALU | BPF_DIV | BPF_K, 0x8000000), RET_A);
  RUN("rest", S(BPF_LD | BPF_IMM, 100), S(BPF_LDX | BPF_IMM, 7), S(BPF_ALU | BPF_MOD | BPF_X, 0), RET_A);
  RUN("rest of k", S(BPF_LD | BPF_IMM, 100), S(BPF_ALU | BPF_MOD | BPF_K, 9), RET_A);
  RUN("rest of 0", S(BPF_LD | BPF_IMM, 100), S(BPF_LDX | BPF_IMM, 0), S(BPF_ALU | BPF_MOD | BPF_X, 0), S(BPF_RET | BPF_K, 9));
  RUN("and or xor", S(BPF_LD | BPF_IMM, 0xff), S(BPF_LDX | BPF_IMM, 0x18), S(BPF_ALU | BPF_AND | BPF_X, 0), S(BPF_ALU | BPF_OR | BPF_K, 3),
      S(BPF_ALU | BPF_XOR | BPF_K, 1), RET_A);
  RUN("or xor of x", S(BPF_LD | BPF_IMM, 5), S(BPF_LDX | BPF_IMM, 0x18), S(BPF_ALU | BPF_OR | BPF_X, 0), S(BPF_ALU | BPF_XOR | BPF_X, 0), RET_A);
  RUN("shifts", S(BPF_LD | BPF_IMM, 5), S(BPF_LDX | BPF_IMM, 3), S(BPF_ALU | BPF_LSH | BPF_X, 0), S(BPF_ALU | BPF_LSH | BPF_K, 4),
      S(BPF_ALU | BPF_RSH | BPF_X, 0), S(BPF_ALU | BPF_RSH | BPF_K, 1), RET_A);
  RUN("negate", S(BPF_LD | BPF_IMM, (unsigned)-17), S(BPF_ALU | BPF_NEG, 0), RET_A);
  RUN("wraps", S(BPF_LD | BPF_IMM, 0xffffffff), S(BPF_ALU | BPF_ADD | BPF_K, 21), RET_A);
  RUN("jump", S(BPF_JMP | BPF_JA, 1), S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 2));
  static const int ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
  for (int o = 0; o < LEN(ops); o++) {
    for (unsigned v = 11; v <= 13; v++) {
      RUN("compare", S(BPF_LD | BPF_IMM, v), J(ops[o] | BPF_K, 12, 0, 1), S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 2));
      RUN("compare with x", S(BPF_LD | BPF_IMM, v), S(BPF_LDX | BPF_IMM, 12), J(ops[o] | BPF_X, 0, 0, 1), S(BPF_RET | BPF_K, 1),
          S(BPF_RET | BPF_K, 2));
    }
  }
  RUN("unsigned", S(BPF_LD | BPF_IMM, 0x80000000), J(BPF_JGT | BPF_K, 1, 0, 1), S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 2));
  RUN("starts with 0", S(BPF_ALU | BPF_ADD | BPF_K, 4), S(BPF_ALU | BPF_ADD | BPF_X, 0), RET_A);
}

static void test_ancillary(void) {
  static const unsigned what[] = {AD(PROTOCOL), AD(PKTTYPE), AD(IFINDEX), AD(MARK), AD(QUEUE), AD(HATYPE),
                                  AD(VLAN_TAG), AD(VLAN_TAG_PRESENT), AD(VLAN_TPID)};
  for (int i = 0; i < LEN(what); i++) RUN("besides", S(BPF_LD | BPF_W | BPF_ABS, what[i]), S(BPF_ALU | BPF_ADD | BPF_K, 5), RET_A);
  RUN("xor x", S(BPF_LD | BPF_IMM, 0x21), S(BPF_LDX | BPF_IMM, 3), S(BPF_LD | BPF_W | BPF_ABS, AD(ALU_XOR_X)), RET_A);
  RUN("random", S(BPF_LD | BPF_W | BPF_ABS, AD(RANDOM)), S(BPF_RET | BPF_K, 5));
  // Attributes: one of type 7 with one of type 9 in it, from byte 32 on.
  static const unsigned char attributes[] = {8, 0, 5, 0, 1, 1, 1, 1, 12, 0, 7, 0, 8, 0, 9, 0, 2, 2, 2, 2};
  unsigned char before[64];
  memcpy(before, data, 64);
  memcpy(data + 32, attributes, sizeof attributes);
  RUN("attribute", S(BPF_LD | BPF_IMM, 32), S(BPF_LDX | BPF_IMM, 7), S(BPF_LD | BPF_W | BPF_ABS, AD(NLATTR)), RET_A);
  RUN("no attribute", S(BPF_LD | BPF_IMM, 32), S(BPF_LDX | BPF_IMM, 8), S(BPF_LD | BPF_W | BPF_ABS, AD(NLATTR)), RET_A);
  RUN("nested", S(BPF_LD | BPF_IMM, 40), S(BPF_LDX | BPF_IMM, 9), S(BPF_LD | BPF_W | BPF_ABS, AD(NLATTR_NEST)), RET_A);
  memcpy(data, before, 64);
}

static void test_refused(void) {
  RUN("no return", S(BPF_LD | BPF_IMM, 1));
  RUN("far jump", S(BPF_JMP | BPF_JA, 1), S(BPF_RET | BPF_K, 1));
  RUN("far branch", J(BPF_JEQ | BPF_K, 1, 0, 1), S(BPF_RET | BPF_K, 1));
  RUN("divided by 0", S(BPF_ALU | BPF_DIV | BPF_K, 0), S(BPF_RET | BPF_K, 1));
  RUN("rest of 0", S(BPF_ALU | BPF_MOD | BPF_K, 0), S(BPF_RET | BPF_K, 1));
  RUN("far shift", S(BPF_ALU | BPF_LSH | BPF_K, 32), S(BPF_RET | BPF_K, 1));
  RUN("word 16", S(BPF_ST, 16), S(BPF_RET | BPF_K, 1));
  RUN("never written", S(BPF_LD | BPF_MEM, 3), S(BPF_RET | BPF_K, 1));
  RUN("written on one way", J(BPF_JEQ | BPF_K, 1, 0, 1), S(BPF_ST, 3), S(BPF_LD | BPF_MEM, 3), S(BPF_RET | BPF_K, 1));
  RUN("written on both", J(BPF_JEQ | BPF_K, 1, 0, 2), S(BPF_ST, 3), S(BPF_JMP | BPF_JA, 1), S(BPF_STX, 3), S(BPF_LD | BPF_MEM, 3),
      S(BPF_RET | BPF_K, 6));
  RUN("unknown", S(0xff, 0), S(BPF_RET | BPF_K, 1));
  RUN("unknown of what", S(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + 61), S(BPF_RET | BPF_K, 1));
  RUN("beyond what", S(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_MAX), S(BPF_RET | BPF_K, 1));
  RUN("return x", S(BPF_RET | BPF_X, 0));
  struct sock_filter one[] = {S(BPF_RET | BPF_K, 7)}, back[4];
  ret("group of ports", attach(pair[1], SO_ATTACH_REUSEPORT_CBPF, one, 1));
  ret("attach", attach(pair[1], SO_ATTACH_FILTER, one, 1));
  socklen_t n = 4;
  ret("read", getsockopt(pair[1], SOL_SOCKET, SO_GET_FILTER, back, &n));
  is("the same", n == 1 && !memcmp(back, one, sizeof one));
  int v = 1;
  ret("lock", setsockopt(pair[1], SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof v));
  ret("attach locked", attach(pair[1], SO_ATTACH_FILTER, one, 1));
  ret("detach locked", setsockopt(pair[1], SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof v));
}

static void test_kinds(void) {
  static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
  struct sock_filter three[] = {S(BPF_RET | BPF_K, 3)}, none[] = {S(BPF_RET | BPF_K, 0)};
  for (int i = 0; i < LEN(types); i++) {
    int p[2], v = 0;
    socketpair(AF_UNIX, types[i], 0, p);
    ret("three", attach(p[1], SO_ATTACH_FILTER, three, 1));
    ret("send", send(p[0], data, 20, 0));
    ret("recv", recv(p[1], buf, sizeof buf, MSG_DONTWAIT));
    ret("none", attach(p[1], SO_ATTACH_FILTER, none, 1));
    ret("send", send(p[0], data, 20, 0));
    ret("recv", recv(p[1], buf, sizeof buf, MSG_DONTWAIT));
    ret("detach", setsockopt(p[1], SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof v));
    ret("send", send(p[0], data, 20, 0));
    ret("recv", recv(p[1], buf, sizeof buf, MSG_DONTWAIT));
    ret("detach again", setsockopt(p[1], SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof v));
    close(p[0]), close(p[1]);
  }
  // Of netlink's answers those about errors pass, cut to 20 bytes.
  struct sock_filter errors[] = {S(BPF_LD | BPF_H | BPF_ABS, 4), J(BPF_JEQ | BPF_K, 0x0200, 0, 1), S(BPF_RET | BPF_K, 20), S(BPF_RET | BPF_K, 0)};
  struct sock_filter protocol[] = {S(BPF_LD | BPF_W | BPF_ABS, AD(PROTOCOL)), S(BPF_ALU | BPF_ADD | BPF_K, 16), RET_A};
  struct {
    struct nlmsghdr h;
    struct ifinfomsg i;
  } m = {.h = {sizeof m, RTM_GETLINK, NLM_F_REQUEST, 1, 0}, .i = {.ifi_index = 1}};
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  ret("errors only", attach(s, SO_ATTACH_FILTER, errors, 4));
  ok("ask", send(s, &m, sizeof m, 0));
  ret("recv", recv(s, buf, sizeof buf, MSG_DONTWAIT));
  m.i.ifi_index = 0x7ffffff;
  ok("ask for none", send(s, &m, sizeof m, 0));
  ret("recv", recv(s, buf, sizeof buf, MSG_DONTWAIT));
  ret("protocol", attach(s, SO_ATTACH_FILTER, protocol, 3));
  ok("ask", send(s, &m, sizeof m, 0));
  ret("recv", recv(s, buf, sizeof buf, MSG_DONTWAIT));
  close(s);
}

int main(void) {
  for (int i = 0; i < 64; i++) data[i] = i;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  test_instructions();
  test_ancillary();
  test_kinds();
  test_refused();
  return 0;
}
