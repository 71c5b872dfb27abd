/** ptrace(2), wait and remote memory access through shim.so. All of it must run on Node's main thread: the tracer. */
import { EINTR } from '../../sentry/abi/errno.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { atStart } from '../../sentry/host/at-start.ts';
import { nativeFunction } from '../../sentry/host/koffi.ffi.ts';
import { hi32, lo32 } from '../../sentry/lib/addr.ts';

type Fn = (...args: number[]) => number;

let ptrace4: Fn;
let sys3: Fn;
let wait5: Fn;
let vm7: Fn;
let waitAny: Fn;
let xstate1: Fn;

const SYS_kill = 62;
const SYS_wait4 = 61;
const SYS_ptrace = 101;
const SYS_sched_setaffinity = 203;
const SYS_process_vm_readv = 310;
const SYS_process_vm_writev = 311;
const WAIT_ALL = 0x40000000; // __WALL

export const PTRACE_PEEKUSER = 3;
export const PTRACE_POKEUSER = 6;
export const PTRACE_CONT = 7;
export const PTRACE_GETREGS = 12;
export const PTRACE_SETREGS = 13;
export const PTRACE_SYSEMU = 31;
export const PTRACE_GETEVENTMSG = 0x4201;
export const PTRACE_GETSIGINFO = 0x4202;
export const PTRACE_GETREGSET = 0x4204;
export const PTRACE_SETREGSET = 0x4205;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;

export const PTRACE_O_TRACESYSGOOD = 1;
export const PTRACE_O_TRACEFORK = 2;
export const PTRACE_O_TRACECLONE = 8;
export const PTRACE_O_EXITKILL = 0x100000;

export const PTRACE_EVENT_FORK = 1;
export const PTRACE_EVENT_CLONE = 3;
export const PTRACE_EVENT_STOP = 128;

export function ptrace(request: number, tid: number, addr: number, data: number): number {
  return ptrace4(SYS_ptrace, request, tid, addr, data);
}

export function kill(pid: number, signo: number): number {
  return sys3(SYS_kill, pid, signo, 0);
}

/** Fills `out`: bytes of extended state that a thread has without having asked for more, mask of the other features (64 bits). */
export function xstateSizes(out: HostBuffer): void {
  xstate1(out.addr);
}

const WNOHANG = 1;
const statusBuffer = new HostBuffer(8);

/** Wait status of the next event of one thread. Blocks; −errno if there is no such thread. */
export function waitFor(tid: number): number {
  let r: number;
  do r = wait5(SYS_wait4, tid, statusBuffer.addr, WAIT_ALL, 0);
  while (r === -EINTR);
  return r < 0 ? r : statusBuffer.i32[0]!;
}

/** The same without waiting: 0 if nothing has happened. */
export function pollFor(tid: number): number {
  const r = wait5(SYS_wait4, tid, statusBuffer.addr, WAIT_ALL + WNOHANG, 0);
  return r <= 0 ? r : statusBuffer.i32[0]!;
}

/** Lets a thread that stands at a syscall go on with `result`, to its next one: POKEUSER and SYSEMU in one call. */
export let returnFromSyscall: (tid: number, result: number) => number;

/** sched_setaffinity(2) of one thread to the CPUs in `mask`. 0 or −errno. */
export function setAffinity(tid: number, mask: HostBuffer): number {
  return sys3(SYS_sched_setaffinity, tid, mask.size, mask.addr);
}

/** struct shim_ptrace_event: status, then ptrace_syscall_info at 8. */
export const event = new HostBuffer(96);

/** Makes this thread the tracer. 0 or −errno. */
export let initTracer: () => number;

/** tid of the next event (details in `event`), 0 after the timeout, −1 when wakeFd is readable. */
export function waitForAny(wakeFd: number, timeoutNs: number): number {
  return waitAny(wakeFd, timeoutNs, event.addr);
}

const iovecs = new HostBuffer(32);

function setWord(index: number, value: number): void {
  iovecs.u32[2 * index] = lo32(value);
  iovecs.u32[2 * index + 1] = hi32(value);
}

function transfer(nr: number, tid: number, local: number, remote: number, len: number): number {
  setWord(0, local);
  setWord(1, len);
  setWord(2, remote);
  setWord(3, len);
  return vm7(nr, tid, iovecs.addr, 1, iovecs.addr + 16, 1, 0);
}

/** process_vm_readv(2) of one range into host memory at `local`. Bytes or −errno. */
export function processVmRead(tid: number, local: number, remote: number, len: number): number {
  return transfer(SYS_process_vm_readv, tid, local, remote, len);
}

export function processVmWrite(tid: number, local: number, remote: number, len: number): number {
  return transfer(SYS_process_vm_writev, tid, local, remote, len);
}

atStart(() => {
  ptrace4 = nativeFunction('shim_syscall', 'int', ['int', 'int', 'int', 'int64', 'int64']);
  sys3 = nativeFunction('shim_syscall', 'int', ['int', 'int', 'int', 'int64']);
  wait5 = nativeFunction('shim_syscall', 'int', ['int', 'int', 'int64', 'int', 'int64']);
  vm7 = nativeFunction('shim_syscall', 'int64', ['int', 'int', 'int64', 'int', 'int64', 'int', 'int']);
  waitAny = nativeFunction('shim_ptrace_wait', 'int', ['int', 'double', 'int64']);
  returnFromSyscall = nativeFunction('shim_ptrace_return', 'int64', ['int', 'int64']);
  xstate1 = nativeFunction('shim_xstate', 'void', ['int64']);
  initTracer = nativeFunction('shim_ptrace_init', 'int', []);
});
