/** A kernel over the fake platform, for unit tests: init's memory is one writable VMA. */
import { Credentials, UserNamespace } from '../../auth/credentials.ts';
import { CapSet } from '../../auth/capability.ts';
import { Vma, VM_MAYWRITE } from '../../mm/vma.ts';
import { MemoryManager } from '../../mm/memory-manager.ts';
import { FakeContext, FakePlatform } from '../../platform/fake.ts';
import { FsContext } from '../../vfs/call-context.ts';
import { makeMount, MountNamespace } from '../../vfs/mount-namespace.ts';
import type { SuperBlock } from '../../vfs/super-block.ts';
import { FdTable } from '../fd-table.ts';
import { Kernel } from '../kernel.ts';
import { createInit } from '../process-init.ts';
import {
  CgroupNamespace,
  IpcNamespace,
  MountNamespaceRef,
  NetNamespace,
  UtsNamespace,
} from '../namespaces.ts';
import { TimeNamespace } from '../time-namespace.ts';
import type { SyscallRow } from '../syscall-table.ts';
import type { Task } from '../task.ts';

export interface TestGuest {
  platform: FakePlatform;
  kernel: Kernel;
  init: Task;
  ctx: FakeContext;
}

/** `rootFs` is never walked by these tests, any super block will do. */
export function testGuest(table: readonly (SyscallRow | null)[], rootFs: SuperBlock): TestGuest {
  const platform = new FakePlatform();
  const kernel = new Kernel(platform, table);
  platform.start(kernel);
  const ctx = platform.newContext();
  const mm = new MemoryManager(ctx.space, platform.minAddr, platform.maxAddr, platform.maxAddr);
  const end = ctx.space.base + ctx.space.bytes.length;
  mm.addVma(new Vma(ctx.space.base, end, 3, VM_MAYWRITE, null, 0));
  const creds = new Credentials(new UserNamespace(null, 0));
  creds.permitted = creds.effective = CapSet.FULL;
  const mnt = new MountNamespace(makeMount(rootFs, 0, 'root'));
  const root = { mount: mnt.root, dentry: mnt.root.root };
  const time = new TimeNamespace();
  const init = createInit(kernel, {
    ctx,
    mm,
    fs: new FsContext(root, root, 0o022),
    fdTable: new FdTable(),
    creds,
    ns: {
      uts: new UtsNamespace('test'),
      ipc: new IpcNamespace(),
      net: new NetNamespace(),
      mnt: new MountNamespaceRef(mnt),
      time,
      timeForChildren: time,
      cgroup: new CgroupNamespace(),
      pidForChildren: kernel.pidNs,
    },
  }) as Task;
  kernel.startTask(init);
  return { platform, kernel, init, ctx };
}

/** The context of the task with this number. */
export function ctxOf(g: TestGuest, tid: number): FakeContext {
  return g.kernel.pidNs.findTask(tid)!.ctx as FakeContext;
}
