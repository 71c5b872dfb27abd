// Which requests of rtnetlink N passes on: those that change addresses, routes, rules, neighbours and links; new links of a few kinds, which
// have both their ends in namespaces of the sandbox's.
#define _GNU_SOURCE
#include "launcher.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

static const struct rtattr *find(const void *from, int left, int type) {
  for (const struct rtattr *a = from; RTA_OK(a, left); a = RTA_NEXT(a, left))
    if ((a->rta_type & NLA_TYPE_MASK) == type) return a;
  return NULL;
}

static bool known_kind(const struct nlmsghdr *h) {
  static const char *const kinds[] = {"dummy", "veth", "bridge", "ifb"};
  const int fixed = NLMSG_LENGTH(sizeof(struct ifinfomsg));
  const struct rtattr *info = find((const char *)h + fixed, (int)h->nlmsg_len - fixed, IFLA_LINKINFO);
  if (info == NULL) return false;
  const struct rtattr *kind = find(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND);
  if (kind == NULL) return false;
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    unsigned n = strlen(kinds[i]);
    if (RTA_PAYLOAD(kind) >= n && RTA_PAYLOAD(kind) <= n + 1 && memcmp(RTA_DATA(kind), kinds[i], n) == 0) return true;
  }
  return false;
}

bool may_change_network(const struct nlmsghdr *h, int n) {
  if (n < (int)NLMSG_LENGTH(sizeof(struct rtgenmsg)) || h->nlmsg_len != (unsigned)n) return false;
  switch (h->nlmsg_type) {
    case RTM_NEWLINK: return !(h->nlmsg_flags & NLM_F_CREATE) || known_kind(h);
    case RTM_DELLINK:
    case RTM_NEWLINKPROP:
    case RTM_DELLINKPROP:
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
    case RTM_NEWNSID:
    case RTM_GETNSID:
    case RTM_NEWRULE:
    case RTM_DELRULE: return true;
    default: return false;
  }
}
