/** The entries of /proc/sys (Documentation/admin-guide/sysctl) with their values. */
import type { ProcEnv } from './env.ts';
import { fsSysctls } from './sysctl-fs.ts';
import { kernelSysctls } from './sysctl-kernel.ts';
import { CORE, IPV4, IPV6, ipv4Conf, ipv4Neighbours, ipv6Conf, ipv6Neighbours } from './sysctl-network.ts';
import { inotifyLimit, namespaceLimits, PerInterface, type SysctlTree } from './sysctl-variables.ts';
import { vmSysctls } from './sysctl-vm.ts';

export function sysctlTree(env: ProcEnv): SysctlTree {
  const threadsMax = Math.min(65536, Math.floor(env.host.memTotal / 65536));
  const pagesTotal = Math.floor(env.host.memTotal / 4096);
  return {
    abi: { vsyscall32: 1 },
    debug: { 'exception-trace': 1 },
    dev: { tty: { ldisc_autoload: 1, legacy_tiocsti: 1 } },
    fs: fsSysctls(env),
    kernel: kernelSysctls(env.kernel, threadsMax),
    net: {
      core: {
        ...CORE,
        default_qdisc: 'pfifo_fast',
        netdev_max_backlog: 1000,
        optmem_max: 131072,
        rmem_default: 212992,
        rmem_max: 212992,
        somaxconn: 4096,
        wmem_default: 212992,
        wmem_max: 212992,
      },
      ipv4: {
        ...IPV4,
        conf: new PerInterface(ipv4Conf, ['all', 'default']),
        neigh: new PerInterface(ipv4Neighbours, []),
        tcp_mem: `${Math.floor(pagesTotal / 10)}\t${Math.floor(pagesTotal / 8)}\t${Math.floor(pagesTotal / 5)}`,
      },
      ipv6: {
        ...IPV6,
        conf: new PerInterface(ipv6Conf, ['all', 'default']),
        neigh: new PerInterface(ipv6Neighbours, []),
      },
      unix: { max_dgram_qlen: 512 },
    },
    user: {
      max_inotify_instances: inotifyLimit('instances'),
      max_inotify_watches: inotifyLimit('watches'),
      ...namespaceLimits(Math.floor(threadsMax / 2)),
    },
    vm: vmSysctls(env.kernel),
  };
}
