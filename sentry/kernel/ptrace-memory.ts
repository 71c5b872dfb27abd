/**
 * A tracer's access to memory that its tracee could not write itself, such as breakpoints in text (get_user_pages with
 * FOLL_FORCE, mm/gup.c check_vma_flags): private mappings only, through the stopped tracee, which makes the pages
 * accessible for a moment.
 */
import { EIO } from '../abi/errno.ts';
import { PAGE_SIZE, pageDown } from '../lib/addr.ts';
import type { MemoryManager } from '../mm/memory-manager.ts';
import { TASK_DETACHED, TASK_TRACED, type Task } from './task.ts';
import { endWaiting } from './task-exit.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;

interface Page {
  readonly addr: number;
  readonly prot: number;
}

/** Pages of the range that lack the access; null if force does not help. */
function lacking(mm: MemoryManager, addr: number, len: number, write: boolean): Page[] | null {
  const pages: Page[] = [];
  const need = write ? PROT_WRITE : PROT_READ;
  for (let at = pageDown(addr); at < addr + len; at += PAGE_SIZE) {
    const v = mm.table.find(at);
    if (v === null) return null;
    if ((v.prot & need) !== 0) continue;
    if (v.shared) return null;
    pages.push({ addr: at, prot: v.prot });
  }
  return pages;
}

/**
 * Moves `len` bytes between `buf` and the memory of `c`, which is stopped for its tracer. `done` hears 0 or −EIO; it may be
 * called before this returns.
 */
export function accessTracee(
  c: Task,
  addr: number,
  buf: Uint8Array,
  len: number,
  write: boolean,
  done: (r: number) => void,
): void {
  const { mm } = c;
  const move = (): number => {
    const n = write ? mm.space.write(addr, buf, 0, len) : mm.space.read(addr, buf, 0, len);
    return n === len ? 0 : -EIO;
  };
  if (mm.accessible(addr, len, write) === len) {
    done(move());
    return;
  }
  const pages = lacking(mm, addr, len, write);
  if (pages === null || c.state !== TASK_TRACED) {
    done(-EIO);
    return;
  }
  c.state = TASK_DETACHED;
  const { ctx } = c;
  for (const p of pages) ctx.mprotect(p.addr, PAGE_SIZE, p.prot | PROT_READ | (write ? PROT_WRITE : 0));
  ctx.runOrders((r) => {
    if (c.dead) {
      done(-EIO);
      return;
    }
    const result = r < 0 ? -EIO : move();
    for (const p of pages) ctx.mprotect(p.addr, PAGE_SIZE, p.prot);
    ctx.runOrders(() => {
      if (!c.dead) {
        c.state = TASK_TRACED;
        if (c.killed) endWaiting(c, c.group.exitStatus);
        // Its tracer may have gone meanwhile.
        else c.kernel.runQueue.add(c);
      }
      done(result);
    });
  });
}

/** A stopped task of that address space which `t` traces, null if there is none. */
export function stoppedTracee(t: Task, mm: MemoryManager): Task | null {
  for (const o of t.group.tasks) {
    if (o.tracees === null) continue;
    for (const c of o.tracees) if (c.mm === mm && c.state === TASK_TRACED && c.ptrace!.stopped) return c;
  }
  return null;
}
