// The launcher: the native processes that tie one sandbox together. This header is the protocol; the TypeScript side
// of the same numbers is platform-ptrace/confine/launcher-protocol.ts (a unit test compares the two files).
//
//   L  launcher  the process the caller started (the CLI becomes it by execve): signals in, exit status out
//   I  init      pid 1 of the sandbox's namespaces; its end is the end of every process inside
//   S  sentry    Node, child of I; no capability
//   Z  zygote    child of S, parent image of all guest processes
//   G  gofer     Node, child of L, pid 1 of namespaces of its own
//   R  remover   child of L, only with rmdir=: removes the sandbox's cgroups at the end
//   P  opener    child of L or I, only with raw=1: opens raw and packet sockets for S
//   N  networker child of I: makes the network namespaces that guests ask for, and sockets in them for S
//
// Start: L clones G and I. S and G load everything they need from the host's file system and send MSG_READY. L then has
// the root of each pivoted (I and S: empty read-only directory; G: the exported trees). G gets MSG_GO for its own pivot,
// S when both are done. Meanwhile S makes its kernel. Only then does the sentry lock itself in (seccomp, DUMPABLE=0) and start the guest.
//
// End: MSG_EXIT carries the container's wait status; L kills what is left and ends in exactly that way. If S, G or I
// end without it, L says so in one line and exits with EXIT_SANDBOX_GONE. If L is killed, I and G die of PDEATHSIG and of
// the closed sockets, and the PID namespaces take everything else along.
// A sentry that does not answer pings for 20 seconds (stuck in the host kernel, or in a loop of its own) is a dead one; while
// it boots, 120 seconds. One that gets little CPU time is given longer: see silence().
//
// For an engine's `create`, L is the container's stub, a member of the namespaces that config.json names: a child of the CLI, in a session of its own, which stays when the
// CLI ends. Over the socket `create=FD` the CLI first gets to place L (cgroup) and lets it go on; then L has its network
// namespace and the CLI runs the hooks; once the sentry has built the container, the CLI writes state and pid file and
// commits. If the CLI ends before, L takes everything down: a create that failed leaves nothing.
//
// With `join=FD`, a connection to the control socket of a sandbox that is already there, L is the stub of one more
// process in it (`exec`) or, with a gofer, of one more container (a pod's): it has neither I nor S.
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Messages: datagrams on SOCK_SEQPACKET sockets, two little-endian int32 each.
enum {
  MSG_READY = 1,    // S, G → L: everything is loaded, the host's file system is not needed any more
  MSG_EXIT = 2,     // S → L: the container has ended; value: wait status
  MSG_STOPPED = 3,  // S → L: job control has stopped the container's first process; value: signal
  MSG_PONG = 4,     // S → L: answer to MSG_PING
  MSG_CREATED = 5,  // S → L → CLI: the container is there, its program found; it waits for `start`
  MSG_FAILED = 6,   // S → L → CLI, L → CLI: it cannot be made; value: exit status, followed by text
  MSG_GO = 16,      // L → S, G: the root is pivoted
  MSG_SIGNAL = 17,  // L → S: deliver signal `value` to the container's first process
  MSG_PING = 18,    // L → S: are you there
  // Between the CLI and L:
  MSG_PLACED = 24,  // L → CLI: in its namespaces
  MSG_HOOKED = 25,  // CLI → L: the hooks have run (MSG_GO before: L is where it shall be)
  MSG_COMMIT = 26,  // CLI → L: state and pid file are written, the stub stands on its own
  MSG_STUB = 27,    // L → CLI: L's pid, which is another than that of the process started if namespaces need it so; where
                    // there is a new user namespace, the CLI maps its ids and sends a second MSG_GO
  // Between L and I:
  MSG_PIVOT = 32,   // L → I: change the root; answered by the same message
  MSG_DIED = 33,    // I → L: S has ended; value: wait status
};

struct msg {
  int32_t type;
  int32_t value;
};

// File descriptors of the sentry. 0 is /dev/null, 1 and 2 the log (or the launcher's standard error).
enum {
  SENTRY_CONTROL_FD = 3,   // messages above
  SENTRY_GOFER_FD = 4,     // SOCK_SEQPACKET to the gofer
  SENTRY_LISTENER_FD = 5,  // seccomp listener of the zygote and its descendants
  SENTRY_CONFIG_FD = 6,    // the CLI's JSON, read to end of file
  SENTRY_DIST_FD = 7,      // O_PATH directory of the program's files, closed when loaded
  SENTRY_STDIO_FD = 8,     // 8, 9, 10: the container's standard input, output, error
  SENTRY_AREA_FD = 11,     // memfd of the zygote's slot area
  SENTRY_RAW_FD = 12,      // SOCK_SEQPACKET to the opener of raw sockets, if there is one
  SENTRY_NETWORKS_FD = 13, // SOCK_SEQPACKET to the networker
  SENTRY_EXTRA_FD = 14,    // first of the further descriptors donated by `donate=`, in order
};

// File descriptors of the gofer; 0, 1, 2 as above.
enum {
  GOFER_CONTROL_FD = 3,
  GOFER_SENTRY_FD = 4,
  GOFER_CONFIG_FD = 5,
  GOFER_DIST_FD = 6,
};

// What engines know as the end by SIGKILL: a container whose sandbox is gone was killed.
enum { EXIT_SANDBOX_GONE = 128 + 9, EXIT_CANNOT_START = 125 };

#define MAX_TEXT 4096 // behind MSG_FAILED
#define MAX_ARGS 64
#define MAX_EXPORTS 128
#define MAX_VIEW 192
#define MAX_DONATED 64
#define MAX_GROUPS 32
#define MAX_NAMESPACES 8
#define MAX_RLIMITS 16
#define MAX_STUB_GROUPS 32

struct limit {
  int nr;
  uint64_t soft, hard;
};

// Arguments, `key=value`, in any order:
struct options {
  const char *node;                  // node=PATH
  const char *dist;                  // dist=DIR holding stub, sentry.cjs, gofer.cjs, …
  bool has_stub;                     // stub=1: start the zygote (dist/stub)
  uid_t uid;                         // uid=N gid=N: host ids of S and I when started by root
  gid_t gid;
  bool host_network;                 // net=host: stay in the caller's network namespace (default: empty one)
  bool new_network;                  // net=new: L itself moves to an empty network namespace, and I stays in it
  int network_fd;                    // netns=FD: L moves to this network namespace, and I stays in it
  bool raw_sockets;                  // raw=1: S may have raw and packet sockets, unless in the caller's network namespace
  bool terminal;                     // terminal=1: standard input becomes the controlling terminal
  int create_fd;                     // create=FD: socket to the CLI
  int join_fd;                       // join=FD: connection to a sandbox's control socket
  int gofer_link_fd;                 // gofer-link=FD: with join=, the gofer's end of its socket to the sentry
  int log_fd;                        // log=FD
  int sentry_config_fd;              // sentry-config=FD
  int gofer_config_fd;               // gofer-config=FD; none: no gofer
  const char *sentry_argv[MAX_ARGS]; // sentry-arg=ARG, repeated: arguments of node
  int sentry_argc;
  const char *gofer_argv[MAX_ARGS];  // gofer-arg=ARG, repeated
  int gofer_argc;
  const char *sentry_snapshot;       // sentry-snapshot=NAME, gofer-snapshot=NAME: start from dist/NAME-STAMP.blob if
  const char *gofer_snapshot;        // it was made by this Node on such a CPU
  const char *exports[MAX_EXPORTS];  // export=ro:PATH or export=rw:PATH, repeated: /0, /1, … in the gofer's root
  int nexports;
  struct {
    bool recursive;
    const char *uids, *gids;         // lines of /proc/PID/uid_map and gid_map; NULL: ids as they are
  } idmaps[MAX_EXPORTS];             // idmap=INDEX:R:UIDS:GIDS, repeated: ids of an export's files
  const char *alone[MAX_EXPORTS];    // alone=INDEX:LETTERS, repeated: one mount, without those below it; w, x: files of a read-only or
                                     // noexec mount of the host may be written, executed; n, d, s, r: its atimes
  const char *overlays[MAX_EXPORTS]; // overlay=INDEX:DATA, repeated: what mount(2) is told of an overlay on an export's path
  const char *title[MAX_ARGS];       // title=ARG, repeated: what ps(1) shows as L's arguments; none: its own
  int ntitle;
  const char *user;                  // user=UID:GID:UMASK:GROUP,… with create=: whose process L seems to be (launcher-identity.c)
  const char *cwd;                   // cwd=PATH: where
  struct limit rlimits[MAX_RLIMITS]; // rlimit=NR:SOFT:HARD, repeated
  int nrlimits;
  int donated[MAX_DONATED];          // donate=FD, repeated
  int ndonated;
  int join_procs[MAX_GROUPS];        // join-procs=FD, repeated: tasks or cgroup.procs files of the groups to be in
  int njoin_procs;
  int late_procs[MAX_GROUPS];        // late-procs=FD, repeated: of groups that L alone has to be in, some time
  int nlate_procs;
  int guest_procs[MAX_GROUPS];       // guest-procs=FD, repeated: of groups that L and the guests are in instead
  int nguest_procs;
  int leave_procs[MAX_GROUPS];       // leave-procs=FD, repeated: those of the groups that the caller is in
  int nleave_procs;
  const char *rmdirs[MAX_GROUPS];    // rmdir=PATH, repeated: groups to be removed at the end
  int nrmdirs;
  // With create=: the namespaces that L is in (launcher-namespaces.c). The network's are above.
  unsigned new_namespaces;           // new-ns=N: CLONE_NEW*
  struct {
    int type, fd;
  } joined[MAX_NAMESPACES];          // join-ns=TYPE:FD, repeated: CLONE_NEW* and the namespace
  int njoined;
  const char *hostname;              // hostname=NAME domainname=NAME: of the UTS namespace
  const char *domainname;
  const char *time_offsets;          // time-offsets=TEXT: of the new time namespace, as /proc/PID/timens_offsets takes it
  const char *root;                  // root=PATH: the container's root, which becomes L's
  const char *view[MAX_VIEW];        // view=[+-]KIND:PATH, repeated: its mounts (launcher-view.c). KIND: index of an export, t (a tmpfs),
  int nview;                         // r (PATH is read-only in the end)
};

// launcher-options.c
extern struct options opt;
void parse_options(int argc, char **argv);

// launcher.c
extern bool privileged; // started with CAP_SYS_ADMIN: ids are mapped and capabilities kept for the gofer
extern int sentry_ctl[2], gofer_ctl[2], gofer_link[2], init_ctl[2]; // [0] is L's, or the sentry's, end
extern int node_fd, dist_fd;                                        // O_PATH: Node's program, our directory
void close_launcher_ends(void);                                     // in I and G

// launcher-userns.c
void write_file(int pid, const char *name, const char *text); // of /proc/PID
int number_in_proc(pid_t pid);
void write_id_maps(pid_t child);
bool drop_groups(void);

// launcher-util.c
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
bool send_msg(int fd, int type, int value);
int recv_msg(int fd, struct msg *m); // 1 message, 0 end of file
void send_text(int fd, int type, int value, const char *text);
struct place {
  int from, to;
};
void place_fds(const struct place *places, int n); // moves descriptors to their numbers and closes all others
void drop_caps(uint64_t keep);                     // bounding, permitted, effective, inheritable, ambient; no_new_privs
void set_core_limit(void);
void set_own_limits(void);
void ask_for_short_turns(void); // of the calling process, and of those it makes
void die_with_parent(void);
int move_root_into_tmpfs(int tmpfs_fd); // pivot_root, old root gone
int make_tmpfs(void);                   // a tmpfs attached on top of "/", its O_PATH descriptor
pid_t clone_into(unsigned long flags);
void exec_node(const char *const *args, int argc, const char *variable) __attribute__((noreturn));
void open_outer_null(void);
void open_null_and_log(int *null_fd, int *log_fd);

// launcher-network.c
extern bool own_network; // L is in the sandbox's network namespace, which is not the caller's
void set_up_network(void);
void enter_network(void);

// launcher-idmap.c
void map_tree(int tree, int index);

// launcher-namespaces.c
extern int root_fd, mount_space_fd; // held until enter_root()
extern int mover;                   // socket to the mover
extern bool in_user_namespace;      // L is in one of the container's
void become_stub(void);
void enter_namespaces(void);
void enter_cgroup_namespace(void);
int joined_mount_namespace(void); // -1: none
void clone_trees(int trees[MAX_EXPORTS]);
void send_fds(int to, const int *fds, int n);
void receive_fds(int from, int *fds, int n);
void take_names(void);
void enter_root(void);

// launcher-view.c
int make_proc(void);
void mount_view(void);     // below root_fd
void clone_view(int to);   // in the mover: sends the trees of the binds
void seal_view(void);

// launcher-identity.c
void take_identity(void);
void show_title(int argc, char **argv);

// launcher-enter.c
int enter_main(char **argv);

// launcher-opener.c: requests of S, answered with descriptors
struct request {
  int32_t op; // REQUEST_*
  int32_t network;
  int32_t args[3];
  unsigned char data[1024]; // as much of it as was sent
};
enum {
  REQUEST_SOCKET = 1,   // args: domain, type, protocol → a socket
  REQUEST_NETWORK = 2,  // a new network namespace gets the number `network`
  REQUEST_FORGET = 3,   // the number is free again
  REQUEST_BIND = 4,     // with a socket: binds it to the address `data`, whatever the port
  REQUEST_ROUTE = 5,    // data: a request of rtnetlink that changes something → the kernel's answer, an NLMSG_ERROR
  REQUEST_IFREQ = 6,    // args: SIOCSIF* and its kin, family; data: its argument
  REQUEST_OPTION = 7,   // with a socket; args: level, option; data: its value
  REQUEST_TUN = 8,      // data: struct ifreq of TUNSETIFF → the same, and a descriptor of /dev/net/tun
  REQUEST_TUN_SET = 9,  // with such a descriptor; args[0]: TUNSET*, data: its argument
  REQUEST_PROC = 10,    // data: a path below /proc/net, NUL at its end → that file, open for reading
};
enum {
  OWN_NETWORK = 64,   // the number of the sandbox's own, if its user namespace owns it
  NETWORK_FD = 100,   // N's descriptor of network 0: requests of rtnetlink name networks by these
  ANSWER_MAX = 256,   // bytes of an answer behind its result
};
// Waits for a request: the length of its data, or -1 if S is gone. A descriptor that came along is in *fd, else -1.
int next_request(int ctl, struct request *r, int *fd);
void answer_request(int ctl, int result, const void *data, int n, int fd); // 0 or -errno; fd -1: none
// Nothing else but 0, 1, 2, `ctl` and those of `also` that are not -1 stays open.
enum { ALSO_MAX = 3 };
void become_opener(int *ctl, int *const also[ALSO_MAX], uint64_t caps, const int *calls, int n);

// launcher-raw.c
extern int raw_ctl[2];        // [0] is S's end
pid_t start_raw_opener(void); // closes [1] in the caller

// launcher-networker.c
extern int networks_ctl[2];  // [0] is S's end
void start_networker(void); // closes [1] in the caller

// launcher-tun.c
extern int tun_dir;           // -1: no guest gets such interfaces
void make_tun_directory(void);
// TUNSETIFF on a new descriptor of the network namespace that the caller is in: that, or -errno; `ifreq` is filled in.
int open_tun(void *ifreq);
int set_tun(int fd, unsigned cmd, void *arg, int n);

// launcher-link.c
struct nlmsghdr;
bool may_change_network(const struct nlmsghdr *h, int n); // whether N passes a request of rtnetlink on

// launcher-cgroup.c
extern int remover_pipe; // -1: no remover
void join_groups(void);
void join_guest_groups(void);
void join_late_groups(void);
void start_remover(void);
void remove_own_groups(void);

// launcher-snapshot.c
void snapshot_stamp(char stamp[17]); // of node_fd and this CPU
void use_snapshots(void);            // puts node's options for them before the arguments

// launcher-overlay.c
int make_overlay(const char *path, const char *data); // a detached tree

// launcher-lock.c
void lock_calls(const int *calls, int n); // from now on only these system calls, anything else kills

// launcher-init.c, launcher-gofer.c, launcher-zygote.c
void init_main(void) __attribute__((noreturn));
void gofer_main(void) __attribute__((noreturn));
void pivot_gofer(pid_t gofer);
int clone_tree(int index);
int open_path_tree(const char *path, bool recursive);
struct started_zygote {
  pid_t pid; // in S's PID namespace
  int listener, area;
};
struct started_zygote start_zygote(void); // in S

#endif
