// Rings of packet sockets (packet_mmap) on the loopback interface of a network namespace of the program's own.
#include "guest.h"
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { PAGE = 4096, PORT = 4711 };

static int lo;
static int sender;
static struct sockaddr_in target;

static void lo_up(void) {
  struct ifreq r = {.ifr_name = "lo"};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCGIFFLAGS, &r);
  r.ifr_flags |= IFF_UP;
  ret("lo up", ioctl(s, SIOCSIFFLAGS, &r));
  close(s);
  lo = if_nametoindex("lo");
}

static int packet_socket(int type, int version) {
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = lo};
  int s = socket(AF_PACKET, type, 0);
  if (setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) ret("version", -1);
  // Each packet of the loopback interface is seen twice: as it leaves and as it comes.
  int one = 1;
  setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  if (bind(s, (void *)&a, sizeof a) < 0) ret("bind", -1);
  return s;
}

static void put(const char *text) { sendto(sender, text, strlen(text), 0, (void *)&target, sizeof target); }

static int readable(int fd, int ms) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, ms);
}

static void test_arguments(void) {
  int s = socket(AF_PACKET, SOCK_RAW, 0), v;
  socklen_t l;
  for (int i = -1; i <= 3; i++) {
    v = i, l = sizeof v;
    int r = getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &v, &l);
    say("header of version %d: %d %d", i, r, v);
  }
  v = 3, ret("version 3", setsockopt(s, SOL_PACKET, PACKET_VERSION, &v, sizeof v));
  v = -1, ret("reserve -1", setsockopt(s, SOL_PACKET, PACKET_RESERVE, &v, sizeof v));
  v = 16, ret("reserve 16", setsockopt(s, SOL_PACKET, PACKET_RESERVE, &v, sizeof v));
  ret("short reserve", setsockopt(s, SOL_PACKET, PACKET_RESERVE, &v, 2));
  v = 7, l = sizeof v, getsockopt(s, SOL_PACKET, PACKET_RESERVE, &v, &l), say("reserve %d %d", v, l);
  v = 7, l = sizeof v, getsockopt(s, SOL_PACKET, PACKET_VERSION, &v, &l), say("version %d %d", v, l);
  v = 5, ret("loss", setsockopt(s, SOL_PACKET, PACKET_LOSS, &v, sizeof v));
  v = 7, l = sizeof v, getsockopt(s, SOL_PACKET, PACKET_LOSS, &v, &l), say("loss %d", v);
  ok("no ring", (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0));
  static const struct tpacket_req bad[] = {
      {PAGE, 1, 2048, 1}, {PAGE, 1, 2048, 3}, {1000, 1, 500, 2}, {PAGE, 1, 32, 128}, {PAGE, 1, 2040, 2},
      {0, 1, 2048, 2},    {PAGE, 0, 2048, 2}, {PAGE, 0, 0, 0},   {PAGE, 1, 8192, 0}, {0x80000000u, 1, 2048, 2},
  };
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
    ret("bad ring", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &bad[i], sizeof bad[i]));
  struct tpacket_req good = {PAGE, 2, 2048, 4};
  ret("short", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &good, sizeof good - 1));
  ret("ring", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &good, sizeof good));
  ret("another", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &good, sizeof good));
  v = 1, ret("version now", setsockopt(s, SOL_PACKET, PACKET_VERSION, &v, sizeof v));
  ret("reserve now", setsockopt(s, SOL_PACKET, PACKET_RESERVE, &v, sizeof v));
  ok("part", (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0));
  ok("too much", (long)mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0));
  ok("from the second page", (long)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, PAGE));
  void *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  is("whole", p != MAP_FAILED);
  struct tpacket_req none = {0};
  ret("away while mapped", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &none, sizeof none));
  ret("second ring while mapped", setsockopt(s, SOL_PACKET, PACKET_TX_RING, &good, sizeof good));
  munmap(p, 2 * PAGE);
  ret("away", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &none, sizeof none));
  v = TPACKET_V3, ret("version 3 again", setsockopt(s, SOL_PACKET, PACKET_VERSION, &v, sizeof v));
  ret("short for version 3", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &good, sizeof good));
  struct tpacket_req3 tx = {PAGE, 2, 2048, 4, 10, 0, 0};
  ret("sending with a time", setsockopt(s, SOL_PACKET, PACKET_TX_RING, &tx, sizeof tx));
  close(s);
}

static void show_address(const struct sockaddr_ll *a) {
  say(" from %d %x if %d type %d kind %d length %d", a->sll_family, ntohs(a->sll_protocol), a->sll_ifindex == lo,
      a->sll_hatype, a->sll_pkttype, a->sll_halen);
}

// What lies behind the headers of link, network and transport.
static void show_text(const unsigned char *network, int snap) { say(" text %.*s", snap - 28, network + 28); }

static void test_frames(int version, int type) {
  int s = packet_socket(type, version);
  struct tpacket_req req = {PAGE, 2, 2048, 4};
  int link = type == SOCK_RAW ? 14 : 0;
  say("version %d type %d", version + 1, type);
  put("lost");
  readable(s, 5000);
  ret("ring", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
  unsigned char *ring = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  if (ring == MAP_FAILED) ret("mmap", -1);
  say("at first %d", readable(s, 0));
  ret("nothing to receive", recv(s, ring, 0, MSG_DONTWAIT));
  put("first");
  put("second, longer");
  say("readable %d", readable(s, 5000));
  for (int i = 0; i < 2; i++) {
    unsigned char *f = ring + 2048 * i;
    unsigned len, snap, mac, net;
    volatile unsigned *status = (void *)f;
    for (int tries = 0; !*status && tries < 500; tries++) readable(s, 10), usleep(1000);
    if (version == TPACKET_V1) {
      struct tpacket_hdr *h = (void *)f;
      len = h->tp_len, snap = h->tp_snaplen, mac = h->tp_mac, net = h->tp_net;
      is("time", h->tp_sec > 1000000 && h->tp_usec < 1000000);
      show_address((void *)(f + TPACKET_ALIGN(sizeof *h)));
    } else {
      struct tpacket2_hdr *h = (void *)f;
      len = h->tp_len, snap = h->tp_snaplen, mac = h->tp_mac, net = h->tp_net;
      is("time", h->tp_sec > 1000000 && h->tp_nsec < 1000000000);
      say(" vlan %d %d", h->tp_vlan_tci, h->tp_vlan_tpid);
      show_address((void *)(f + TPACKET_ALIGN(sizeof *h)));
    }
    say(" user %d length %u snap %u link %u network %u", *status & TP_STATUS_USER, len, snap, mac, net);
    show_text(f + net, snap - link);
    *status = TP_STATUS_KERNEL;
  }
  say("all given back: %d", readable(s, 0));
  // Four frames fit, the rest is lost.
  struct tpacket_stats st;
  socklen_t l = sizeof st;
  getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l);
  for (int i = 0; i < 6; i++) put("fill");
  unsigned packets = 0, drops = 0;
  for (int tries = 0; packets < 6 && tries < 500; tries++) {
    if (tries) usleep(1000);
    getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l);
    packets += st.tp_packets, drops += st.tp_drops;
  }
  say("counted %u lost %u", packets, drops);
  int full = 0;
  for (int i = 0; i < 4; i++) full += *(volatile unsigned *)(ring + 2048 * i) & TP_STATUS_USER;
  say("full %d", full);
  munmap(ring, 2 * PAGE);
  close(s);
}

static void test_blocks(void) {
  int s = packet_socket(SOCK_RAW, TPACKET_V3);
  struct tpacket_req3 req = {2 * PAGE, 2, 2048, 8, 20, 24, 0};
  say("version 3");
  ret("ring", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
  unsigned char *ring = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  if (ring == MAP_FAILED) ret("mmap", -1);
  say("at first %d", readable(s, 0));
  int seen = 0, block = 0, lengths = 1, times = 1;
  put("one");
  put("two, longer");
  put("three");
  while (seen < 3) {
    volatile struct tpacket_block_desc *b = (void *)(ring + 2 * PAGE * block);
    if (readable(s, 10000) != 1) break;
    if (!(b->hdr.bh1.block_status & TP_STATUS_USER)) continue;
    if (seen == 0) say(" version %d private at %d first at %d sequence %lld", b->version, b->offset_to_priv,
                        b->hdr.bh1.offset_to_first_pkt, (long long)b->hdr.bh1.seq_num);
    unsigned char *f = (unsigned char *)b + b->hdr.bh1.offset_to_first_pkt, *end = f;
    times &= b->hdr.bh1.ts_last_pkt.ts_sec >= b->hdr.bh1.ts_first_pkt.ts_sec;
    for (unsigned i = 0; i < b->hdr.bh1.num_pkts; i++) {
      struct tpacket3_hdr *h = (void *)f;
      say(" user %d length %u snap %u link %u network %u", h->tp_status & TP_STATUS_USER, h->tp_len, h->tp_snaplen,
          h->tp_mac, h->tp_net);
      show_address((void *)(f + TPACKET_ALIGN(sizeof *h)));
      show_text(f + h->tp_net, h->tp_snaplen - 14);
      unsigned size = (h->tp_mac + h->tp_snaplen + 7) & ~7u;
      is("next", h->tp_next_offset == (i + 1 < b->hdr.bh1.num_pkts ? size : 0));
      end = f + size, f += h->tp_next_offset, seen++;
    }
    lengths &= end == (unsigned char *)b + b->hdr.bh1.blk_len;
    b->hdr.bh1.block_status = TP_STATUS_KERNEL;
    block = !block;
  }
  say("seen %d", seen);
  is("times", times), is("lengths", lengths);
  // More than both blocks can have.
  static char big[3000];
  memset(big, 'b', sizeof big - 1);
  for (int i = 0; i < 12; i++) put(big);
  unsigned packets = 0, drops = 0, freezes = 0;
  for (int tries = 0; packets < 15 && tries < 500; tries++) {
    struct tpacket_stats_v3 st;
    socklen_t l = sizeof st;
    getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l);
    packets += st.tp_packets, drops += st.tp_drops, freezes += st.tp_freeze_q_cnt;
    if (tries) usleep(1000);
  }
  say("counted %u", packets);
  is("lost some", drops > 0 && drops < 12);
  is("was frozen", freezes > 0);
  munmap(ring, 4 * PAGE);
  close(s);
}

static void test_filter(void) {
  // What comes for another port is not wanted, of the others 40 bytes.
  struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PORT, 0, 1),
                               BPF_STMT(BPF_RET | BPF_K, 44), BPF_STMT(BPF_RET | BPF_K, 0)};
  struct sock_fprog program = {4, code};
  int s = packet_socket(SOCK_RAW, TPACKET_V2);
  struct tpacket_req req = {PAGE, 2, 2048, 4};
  ret("filter", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
  ret("ring", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
  unsigned char *ring = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  target.sin_port = htons(PORT + 1);
  put("elsewhere");
  target.sin_port = htons(PORT);
  put("here and there");
  say("readable %d", readable(s, 5000));
  struct tpacket2_hdr *h = (void *)ring;
  say(" length %u snap %u", h->tp_len, h->tp_snaplen);
  show_text(ring + h->tp_net, h->tp_snaplen - 14);
  struct tpacket_stats st;
  socklen_t l = sizeof st;
  getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &l);
  say("counted %u of %u lost %u", l, st.tp_packets, st.tp_drops);
  munmap(ring, 2 * PAGE);
  close(s);
}

static void test_sending(int version, int both) {
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = lo};
  int in = socket(AF_PACKET, SOCK_RAW, 0), s = packet_socket(SOCK_RAW, version);
  bind(in, (void *)&a, sizeof a);
  int one = 1;
  setsockopt(in, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  struct tpacket_req3 req = {PAGE, 2, 2048, 4, 0, 0, 0};
  int size = version == TPACKET_V3 ? sizeof(struct tpacket_req3) : sizeof(struct tpacket_req);
  if (both) ret("ring to receive", setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, size));
  ret("ring to send", setsockopt(s, SOL_PACKET, PACKET_TX_RING, &req, size));
  unsigned char *all = mmap(NULL, (2 + 2 * both) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  if (all == MAP_FAILED) ret("mmap", -1);
  unsigned char *ring = all + 2 * both * PAGE;
  ret("nothing to send", send(s, NULL, 0, 0));
  int head = version == TPACKET_V3 ? sizeof(struct tpacket3_hdr) : sizeof(struct tpacket2_hdr);
  for (int i = 0; i < 5; i++) {
    unsigned char *f = ring + 2048 * (i % 4);
    struct tpacket2_hdr *h2 = (void *)f;
    struct tpacket3_hdr *h3 = (void *)f;
    memset(f + head, 0, 14);
    f[head + 12] = 0x88, f[head + 13] = 0xb5;
    int n = sprintf((char *)f + head + 14, "frame %d", i) + 14;
    volatile unsigned *status = version == TPACKET_V3 ? &h3->tp_status : &h2->tp_status;
    if (version == TPACKET_V3) h3->tp_len = n, h3->tp_next_offset = 0;
    else h2->tp_len = n;
    *status = TP_STATUS_SEND_REQUEST;
    if (i == 1) continue;
    ret("send", send(s, NULL, 0, 0));
    for (int k = i == 2 ? 2 : 1; k > 0; k--) {
      char text[100] = "";
      readable(in, 5000);
      int got = recv(in, text, sizeof text - 1, MSG_DONTWAIT);
      say(" came %d %.*s", got, got - 14, text + 14);
    }
    for (int tries = 0; *status && tries < 500; tries++) usleep(1000);
    say(" status %u", *status);
  }
  if (version != TPACKET_V3) {
    struct tpacket2_hdr *h = (void *)(ring + 2048);
    h->tp_len = 5000, h->tp_status = TP_STATUS_SEND_REQUEST;
    ret("too long", send(s, NULL, 0, 0));
    say(" status %u", h->tp_status);
  }
  munmap(all, (2 + 2 * both) * PAGE);
  close(s), close(in);
}

static void test_ethtool(void) {
  struct ethtool_ts_info ts = {.cmd = ETHTOOL_GET_TS_INFO};
  struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
  struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
  struct ifreq r = {.ifr_name = "lo", .ifr_data = (char *)&ts};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ret("times", ioctl(s, SIOCETHTOOL, &r));
  say("%x %d %x %x", ts.so_timestamping, ts.phc_index, ts.tx_types, ts.rx_filters);
  is("pointer", r.ifr_data == (char *)&ts);
  r.ifr_data = (char *)&link, ret("link", ioctl(s, SIOCETHTOOL, &r)), say("%d", link.data);
  r.ifr_data = (char *)&info, ret("driver", ioctl(s, SIOCETHTOOL, &r));
  r.ifr_data = BAD_PTR, ret("bad address", ioctl(s, SIOCETHTOOL, &r));
  strcpy(r.ifr_name, "none"), r.ifr_data = (char *)&link, ret("no interface", ioctl(s, SIOCETHTOOL, &r));
  close(s);
}

int main(void) {
  ret("unshare", unshare(CLONE_NEWNET));
  lo_up();
  target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  sender = socket(AF_INET, SOCK_DGRAM, 0);
  test_arguments();
  // Nobody listens; the answers that say so would be seen, too.
  int listener = socket(AF_INET, SOCK_DGRAM, 0);
  ret("listen", bind(listener, (void *)&target, sizeof target));
  test_frames(TPACKET_V1, SOCK_RAW);
  test_frames(TPACKET_V2, SOCK_RAW);
  test_frames(TPACKET_V2, SOCK_DGRAM);
  test_blocks();
  struct sockaddr_in beside = target;
  beside.sin_port = htons(PORT + 1);
  int second = socket(AF_INET, SOCK_DGRAM, 0);
  bind(second, (void *)&beside, sizeof beside);
  test_filter();
  test_sending(TPACKET_V2, 0);
  test_sending(TPACKET_V2, 1);
  test_sending(TPACKET_V3, 0);
  test_ethtool();
  return 0;
}
