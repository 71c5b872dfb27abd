/** Other programs, without Node's child_process: loading it takes longer than starting one. Their environment is empty. */
import { atStart } from './at-start.ts';
import { nativeFunction } from './koffi.ffi.ts';
import { cString, hold, HostBuffer } from './memory.ffi.ts';
import { hostSyscall } from './sys.ffi.ts';

const SYS_execve = 59;
const SYS_exit_group = 231;

interface WaitChild {
  async(pid: number, done: (error: Error | null, status: number) => void): void;
}
let spawnFn: (
  path: number,
  argv: number,
  envp: number,
  fds: number,
  count: number,
  session: number,
) => number;
let waitChild: WaitChild;

atStart(() => {
  spawnFn = nativeFunction('shim_spawn', 'int', ['int64', 'int64', 'int64', 'int64', 'int', 'int']);
  waitChild = nativeFunction('shim_wait_child', 'int', ['int']);
});

/** A NULL-terminated array of C strings in one buffer. */
function stringArray(strings: readonly string[]): HostBuffer {
  const encoded = strings.map((s) => Buffer.from(`${s}\0`));
  const table = (strings.length + 1) * 8;
  const buffer = new HostBuffer(encoded.reduce((sum, b) => sum + b.length, table));
  let offset = table;
  encoded.forEach((b, i) => {
    buffer.view.setBigUint64(i * 8, BigInt(buffer.addr + offset), true);
    buffer.bytes.set(b, offset);
    offset += b.length;
  });
  return buffer;
}

/** This process becomes `path`. Returns only on failure: −errno. */
export function execve(path: string, argv: readonly string[]): number {
  const [program, args, env] = hold(cString(path), stringArray(argv), stringArray([]));
  return hostSyscall(SYS_execve, program!.addr, args!.addr, env!.addr, 0, 0, 0);
}

/** Ends this process at once. Node would first end its threads and tear down its heap: a tenth of a short command. */
export function exitNow(code: number): never {
  hostSyscall(SYS_exit_group, code, 0, 0, 0, 0, 0);
  throw new Error('exit_group returned');
}

/**
 * Starts `path` in the root directory, with `fds` as its descriptors 0, 1, … and no others, in a session of its own if
 * `session`. Its pid or −errno.
 */
export function spawn(
  path: string,
  argv: readonly string[],
  fds: readonly number[],
  session: boolean,
): number {
  const table = new HostBuffer(4 * fds.length);
  table.i32.set(fds);
  const [program, args, env] = hold(cString(path), stringArray(argv), stringArray([]), table);
  return spawnFn(program!.addr, args!.addr, env!.addr, table.addr, fds.length, session ? 1 : 0);
}

/** How a child ended: its exit code, or 128 + signal. */
export function childEnd(pid: number): Promise<number> {
  return new Promise((resolve, reject) => {
    waitChild.async(pid, (error, status) => {
      if (error !== null) reject(error);
      else if (status < 0) reject(new Error(`wait for ${pid}: errno ${-status}`));
      else resolve((status & 0x7f) === 0 ? status >> 8 : 128 + (status & 0x7f));
    });
  });
}
