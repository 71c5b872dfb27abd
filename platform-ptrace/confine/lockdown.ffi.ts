/** Installing a seccomp filter on all threads, if wanted with a handler that names the call which raised SIGSYS. */
import { atStart } from '../../sentry/host/at-start.ts';
import { nativeFunction } from '../../sentry/host/koffi.ffi.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import type { BpfInstruction } from '../seccomp/bpf.ts';

const SYS_prctl = 157;
const SYS_seccomp = 317;
const PR_SET_DUMPABLE = 4;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;

let reportForbidden: () => number;

/** Nobody may ptrace this process or read its /proc entries. 0 or −errno. */
export function clearDumpable(): number {
  return hostSyscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
}

/** Preconditions: no_new_privs is set (the launcher does). 0, −errno, or the tid of a thread that could not follow. */
export function installFilter(program: readonly BpfInstruction[], report: boolean): number {
  const handler = report ? reportForbidden() : 0;
  if (handler < 0) return handler;
  const code = new HostBuffer(program.length * 8);
  program.forEach((ins, i) => {
    code.view.setUint16(8 * i, ins.code, true);
    code.bytes[8 * i + 2] = ins.jt;
    code.bytes[8 * i + 3] = ins.jf;
    code.u32[2 * i + 1] = ins.k;
  });
  const fprog = new HostBuffer(16); // struct sock_fprog
  fprog.view.setUint16(0, program.length, true);
  fprog.view.setBigUint64(8, BigInt(code.addr), true);
  return hostSyscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, fprog.addr, 0, 0, 0);
}

atStart(() => {
  reportForbidden = nativeFunction('shim_report_forbidden_calls', 'int', []);
});
