/**
 * sysfs: the part of /sys that run-time libraries and tools read (Documentation/ABI): CPUs and their topology, one memory
 * node, transparent huge pages, network interfaces. Nothing in it can be changed.
 */
import { StaticDir } from '../kernfs/dir.ts';
import { KernfsFile, refuseWriters } from '../kernfs/file.ts';
import { KernfsLink } from '../kernfs/link.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import type { NetNamespace } from '../../kernel/namespaces.ts';
import type { Task } from '../../kernel/task.ts';
import { noOptions, registerFileSystem } from '../../vfs/fs-types.ts';
import { cpuList, cpuMask } from '../proc/cpus.ts';
import { cpusShown, type HostFacts, type ProcEnv } from '../proc/env.ts';
import { memoryFigures } from '../proc/memory.ts';
import type { Inode } from '../../vfs/inode.ts';
import { NetClassDir, NetDevicesDir } from './net.ts';
import { parseCpuInfo, type CpuPlace } from './cpu-info.ts';

const SYSFS_MAGIC = 0x62656572;
/** st_size of every attribute. */
const ATTRIBUTE_SIZE = 4096;
const ATTRIBUTE = { size: ATTRIBUTE_SIZE, onOpen: refuseWriters };

type Node = string | (() => string) | { readonly [name: string]: Node };

export class SysfsSuperBlock extends KernfsSuperBlock {
  readonly fsType = 'sysfs';
  override readonly noExec = true;
  readonly magic = SYSFS_MAGIC;
  override readonly root: StaticDir;

  /** `freeKb` tells how much memory is free; the interfaces are those of `net`, the sandbox's own being null. */
  constructor(host: HostFacts, freeKb: () => number, net: NetNamespace | null) {
    super();
    this.root = new StaticDir(this, 0o555);
    this.addNodes(this.root, tree(host, freeKb));
    (this.at('class') as StaticDir).add('net', new NetClassDir(this, net, 0o755));
    (this.at('devices', 'virtual') as StaticDir).add('net', new NetDevicesDir(this, net, 0o755));
  }

  private at(...names: string[]): Inode {
    return names.reduce<Inode>((dir, name) => (dir as StaticDir).get(name)!, this.root);
  }

  private addNodes(dir: StaticDir, nodes: { readonly [name: string]: Node }): void {
    for (const [name, node] of Object.entries(nodes)) {
      if (typeof node === 'function') {
        dir.add(name, new KernfsFile(this, 0o444, () => `${node()}\n`, ATTRIBUTE));
      } else if (typeof node !== 'string') {
        const child = new StaticDir(this, 0o755);
        this.addNodes(child, node);
        dir.add(name, child);
      } else if (node.startsWith('->')) {
        dir.add(name, new KernfsLink(this, () => node.slice(2)));
      } else {
        dir.add(name, new KernfsFile(this, 0o444, () => `${node}\n`, ATTRIBUTE));
      }
    }
  }
}

function cpuTree(place: CpuPlace, all: readonly CpuPlace[]): Node {
  const core = all.filter((p) => p.package === place.package && p.core === place.core).map((p) => p.cpu);
  const socket = all.filter((p) => p.package === place.package).map((p) => p.cpu);
  return {
    topology: {
      cluster_cpus: cpuMask(core),
      cluster_cpus_list: cpuList(core),
      cluster_id: '65535',
      core_cpus: cpuMask(core),
      core_cpus_list: cpuList(core),
      core_id: String(place.core),
      core_siblings: cpuMask(socket),
      core_siblings_list: cpuList(socket),
      die_cpus: cpuMask(socket),
      die_cpus_list: cpuList(socket),
      die_id: '0',
      package_cpus: cpuMask(socket),
      package_cpus_list: cpuList(socket),
      physical_package_id: String(place.package),
      thread_siblings: cpuMask(core),
      thread_siblings_list: cpuList(core),
    },
    cache: {},
    node0: '->../../node/node0',
  };
}

function tree(host: HostFacts, freeKb: () => number): { readonly [name: string]: Node } {
  const places = parseCpuInfo(host.cpuInfo, host.cpus);
  const list = cpuList(host.cpus);
  const cpus: Record<string, Node> = Object.create(null) as Record<string, Node>;
  const nodeLinks: Record<string, Node> = Object.create(null) as Record<string, Node>;
  for (const p of places) {
    cpus[`cpu${p.cpu}`] = cpuTree(p, places);
    nodeLinks[`cpu${p.cpu}`] = `->../../cpu/cpu${p.cpu}`;
  }
  const totalKb = Math.floor(host.memTotal / 1024);
  return {
    block: {},
    bus: {},
    class: { block: {}, tty: {} },
    dev: { block: {}, char: {} },
    devices: {
      system: {
        cpu: {
          ...cpus,
          isolated: '',
          kernel_max: '8191',
          offline: '',
          online: list,
          possible: list,
          present: list,
          smt: { active: hasThreads(places) ? '1' : '0', control: 'notimplemented' },
          vulnerabilities: {},
        },
        node: {
          has_cpu: '0',
          has_memory: '0',
          has_normal_memory: '0',
          node0: {
            ...nodeLinks,
            cpulist: list,
            cpumap: cpuMask(host.cpus),
            distance: '10',
            meminfo: () => nodeMemInfo(totalKb, freeKb()),
          },
          online: '0',
          possible: '0',
        },
      },
      virtual: {},
    },
    firmware: {},
    // Places for mounts.
    fs: { bpf: {}, cgroup: {}, fuse: { connections: {} }, pstore: {} },
    kernel: {
      debug: {},
      mm: {
        // Pages may be advised to be merged; nobody does it.
        ksm: {
          full_scans: '0',
          max_page_sharing: '256',
          merge_across_nodes: '1',
          pages_scanned: '0',
          pages_shared: '0',
          pages_sharing: '0',
          pages_to_scan: '100',
          pages_unshared: '0',
          pages_volatile: '0',
          run: '0',
          sleep_millisecs: '20',
        },
        transparent_hugepage: {
          defrag: 'always defer defer+madvise [madvise] never',
          enabled: 'always [madvise] never',
          hpage_pmd_size: '2097152',
          shmem_enabled: 'always within_size advise [never] deny force',
          use_zero_page: '1',
        },
      },
      profiling: '0',
      security: {},
      tracing: {},
    },
    module: {},
    power: {},
  };
}

function nodeMemInfo(totalKb: number, freeKb: number): string {
  const row = (name: string, kb: number): string =>
    `Node 0 ${`${name}:`.padEnd(16)}${String(kb).padStart(8)} kB`;
  return [row('MemTotal', totalKb), row('MemFree', freeKb), row('MemUsed', totalKb - freeKb)].join('\n');
}

function hasThreads(places: readonly CpuPlace[]): boolean {
  return new Set(places.map((p) => `${p.package}:${p.core}`)).size < places.length;
}

/** The machine as the container has it whose task mounts the file system. */
function factsFor(env: ProcEnv, t: Task | null): HostFacts {
  const box = t?.group?.container ?? null;
  if (box === null) return env.host;
  return { ...env.host, cpus: cpusShown(env, t), memTotal: env.kernel.memoryOf(box) };
}

export function registerSysfs(env: ProcEnv): void {
  const free = (): number => memoryFigures(env.kernel).freeKb;
  registerFileSystem({
    name: 'sysfs',
    nodev: true,
    owner: (t) => (t as Task).ns.net.owner,
    checkOption: noOptions,
    mount: (caller, _source, _flags, data) => {
      const t = caller as Task | null;
      return noOptions(data) || new SysfsSuperBlock(factsFor(env, t), free, t?.ns?.net ?? null);
    },
  });
}
