/** Host sockets. All are opened non-blocking and close-on-exec; addresses and values pass through private buffers. */
import { madeForGuest } from './descriptors.ffi.ts';
import { HostBuffer } from './memory.ffi.ts';
import { hostSyscall } from './sys.ffi.ts';

const NR_socket = 41;
const NR_connect = 42;
const NR_sendto = 44;
const NR_recvfrom = 45;
const NR_sendmsg = 46;
const NR_recvmsg = 47;
const NR_shutdown = 48;
const NR_bind = 49;
const NR_listen = 50;
const NR_getsockname = 51;
const NR_getpeername = 52;
const NR_setsockopt = 54;
const NR_getsockopt = 55;
const NR_accept4 = 288;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const ADDR_MAX = 128;
const CONTROL_MAX = 4096;
const VALUE_MAX = 4096;
/** Below vm.mmap_min_addr. */
const UNREADABLE = 8;
const address = new HostBuffer(ADDR_MAX);
const word = new HostBuffer(8);
const value = new HostBuffer(VALUE_MAX);
const control = new HostBuffer(CONTROL_MAX);
const iov = new HostBuffer(16);
const msghdr = new HostBuffer(56);

function putAddr(b: HostBuffer, at: number, v: number): void {
  b.u32[at / 4] = v >>> 0;
  b.u32[at / 4 + 1] = Math.floor(v / 0x100000000);
}

export function socket(domain: number, type: number, protocol: number): number {
  return madeForGuest(hostSyscall(NR_socket, domain, type | SOCK_NONBLOCK_CLOEXEC, protocol, 0, 0, 0));
}

function setAddress(addr: Uint8Array): number {
  const n = Math.min(addr.length, ADDR_MAX);
  address.bytes.set(addr.subarray(0, n));
  return n;
}

export function bind(fd: number, addr: Uint8Array): number {
  return hostSyscall(NR_bind, fd, address.addr, setAddress(addr), 0, 0, 0);
}

export function connect(fd: number, addr: Uint8Array): number {
  return hostSyscall(NR_connect, fd, address.addr, setAddress(addr), 0, 0, 0);
}

export function listen(fd: number, backlog: number): number {
  return hostSyscall(NR_listen, fd, backlog, 0, 0, 0, 0);
}

export function accept(fd: number): number {
  return madeForGuest(hostSyscall(NR_accept4, fd, 0, 0, SOCK_NONBLOCK_CLOEXEC, 0, 0));
}

export function shutdown(fd: number, how: number): number {
  return hostSyscall(NR_shutdown, fd, how, 0, 0, 0, 0);
}

function name(nr: number, fd: number): Uint8Array | number {
  word.u32[0] = ADDR_MAX;
  const r = hostSyscall(nr, fd, address.addr, word.addr, 0, 0, 0);
  return r < 0 ? r : Uint8Array.from(address.bytes.subarray(0, Math.min(word.u32[0]!, ADDR_MAX)));
}

export function getsockname(fd: number): Uint8Array | number {
  return name(NR_getsockname, fd);
}

export function getpeername(fd: number): Uint8Array | number {
  return name(NR_getpeername, fd);
}

/** Length of the value written to `out`, or −errno. `input`: how many bytes of `out` the option reads. */
export function getsockopt(
  fd: number,
  level: number,
  opt: number,
  out: Uint8Array,
  len: number,
  input = 0,
): number {
  const n = Math.min(len, VALUE_MAX);
  value.bytes.fill(0, 0, n);
  value.bytes.set(out.subarray(0, Math.min(input, n)));
  word.u32[0] = n;
  const r = hostSyscall(NR_getsockopt, fd, level, opt, value.addr, word.addr, 0);
  if (r < 0) return r;
  const got = Math.min(word.u32[0]!, n);
  out.set(value.bytes.subarray(0, got));
  return got;
}

export function setsockopt(fd: number, level: number, opt: number, v: Uint8Array): number {
  const n = Math.min(v.length, VALUE_MAX);
  value.bytes.set(v.subarray(0, n));
  return hostSyscall(NR_setsockopt, fd, level, opt, value.addr, n, 0);
}

/** The same with a value that cannot be read. */
export function setsockoptFault(fd: number, level: number, opt: number, len: number): number {
  return hostSyscall(NR_setsockopt, fd, level, opt, UNREADABLE, len, 0);
}

/** struct sock_fprog: a count and a pointer. */
const fprog = new HostBuffer(16);
/** BPF_MAXINSNS of struct sock_filter */
const PROGRAM_MAX = 4096;
const SOCK_FILTER = 8;
const SOL_SOCKET = 1;
const SO_GET_FILTER = 26;
let program: HostBuffer | null = null;

/** SO_ATTACH_FILTER and SO_ATTACH_REUSEPORT_CBPF: `code` is at most BPF_MAXINSNS instructions. */
export function attachFilter(fd: number, opt: number, code: Uint8Array): number {
  program ??= new HostBuffer(PROGRAM_MAX * SOCK_FILTER);
  program.bytes.set(code);
  fprog.bytes.fill(0);
  fprog.u32[0] = code.length / SOCK_FILTER;
  putAddr(fprog, 8, program.addr);
  return hostSyscall(NR_setsockopt, fd, SOL_SOCKET, opt, fprog.addr, 16, 0);
}

/** SO_GET_FILTER: the program as it was attached, or −errno. */
export function getFilter(fd: number): Uint8Array | number {
  program ??= new HostBuffer(PROGRAM_MAX * SOCK_FILTER);
  // The length of this option counts instructions.
  word.u32[0] = PROGRAM_MAX;
  const r = hostSyscall(NR_getsockopt, fd, SOL_SOCKET, SO_GET_FILTER, program.addr, word.addr, 0);
  return r < 0
    ? r
    : Uint8Array.from(program.bytes.subarray(0, Math.min(word.u32[0]!, PROGRAM_MAX) * SOCK_FILTER));
}

/** Sends memory at a host address. `to` null: the connected peer. */
export function send(fd: number, addr: number, len: number, flags: number, to: Uint8Array | null): number {
  const toLen = to === null ? 0 : setAddress(to);
  const f = flags | MSG_DONTWAIT | MSG_NOSIGNAL;
  return hostSyscall(NR_sendto, fd, addr, len, f, to === null ? 0 : address.addr, toLen);
}

/** send with control messages, which the caller has checked. */
export function sendControl(
  fd: number,
  addr: number,
  len: number,
  flags: number,
  to: Uint8Array | null,
  ctl: Uint8Array,
): number {
  if (ctl.length > CONTROL_MAX) return -105;
  const toLen = to === null ? 0 : setAddress(to);
  control.bytes.set(ctl);
  fillHeader(addr, len, toLen, ctl.length);
  return hostSyscall(NR_sendmsg, fd, msghdr.addr, flags | MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0);
}

function fillHeader(addr: number, len: number, nameLen: number, controlLen: number): void {
  msghdr.bytes.fill(0);
  putAddr(iov, 0, addr);
  putAddr(iov, 8, len);
  if (nameLen > 0) putAddr(msghdr, 0, address.addr);
  msghdr.u32[2] = nameLen;
  putAddr(msghdr, 16, iov.addr);
  msghdr.u32[6] = 1;
  if (controlLen > 0) putAddr(msghdr, 32, control.addr);
  msghdr.u32[10] = controlLen;
}

/** Plain receive to a host address. */
export function recv(fd: number, addr: number, len: number, flags: number): number {
  return hostSyscall(NR_recvfrom, fd, addr, len, flags | MSG_DONTWAIT, 0, 0);
}

export interface HostMessage {
  name: Uint8Array;
  control: Uint8Array;
  flags: number;
}

const NOTHING = new Uint8Array(0);

/** Receives with source address, up to `controlRoom` bytes of control data, and flags in `out`. */
export function recvMessage(
  fd: number,
  addr: number,
  len: number,
  flags: number,
  controlRoom: number,
  out: HostMessage,
): number {
  fillHeader(addr, len, ADDR_MAX, Math.min(controlRoom, CONTROL_MAX));
  const r = hostSyscall(NR_recvmsg, fd, msghdr.addr, flags | MSG_DONTWAIT, 0, 0, 0);
  if (r < 0) return r;
  const nameLen = Math.min(msghdr.u32[2]!, ADDR_MAX);
  const controlLen = Math.min(msghdr.u32[10]!, CONTROL_MAX);
  out.name = nameLen === 0 ? NOTHING : Uint8Array.from(address.bytes.subarray(0, nameLen));
  out.control = controlLen === 0 ? NOTHING : Uint8Array.from(control.bytes.subarray(0, controlLen));
  out.flags = msghdr.u32[12]!;
  return r;
}
