/** CI-like work through `do`: each is a shell command over the host's root that leaves its files in /tmp of the sandbox. */
import { join } from 'node:path';

export interface Workload {
  readonly name: string;
  /** Host directory to be removed before each run (only the native column writes there). */
  readonly scratch: string;
  /** Programs of the host without which it is left out. */
  readonly needs?: readonly string[];
  command(): string[];
}

const script = (name: string): string => join(import.meta.dirname, name);

export const workloads: readonly Workload[] = [
  {
    name: 'make -j2, 80 C files',
    scratch: '/tmp/runsc-ts-bench-make',
    command: () => ['/bin/sh', script('make.sh'), '/tmp/runsc-ts-bench-make'],
  },
  {
    name: 'git, 4000 files',
    scratch: '/tmp/runsc-ts-bench-git',
    command: () => ['/bin/sh', script('git.sh'), '/tmp/runsc-ts-bench-git'],
  },
  {
    name: '2000 × /bin/true',
    scratch: '/tmp/runsc-ts-bench-true',
    command: () => ['/bin/sh', script('true.sh')],
  },
  {
    name: 'redis, 240,000 requests',
    scratch: '/tmp/runsc-ts-bench-redis',
    needs: ['redis-server', 'redis-cli', 'redis-benchmark'],
    command: () => ['/bin/sh', script('redis.sh')],
  },
  {
    name: 'nginx, 5,500 requests',
    scratch: '/tmp/runsc-ts-bench-nginx',
    needs: ['nginx', 'curl'],
    command: () => ['/bin/sh', script('nginx.sh'), '/tmp/runsc-ts-bench-nginx'],
  },
];
