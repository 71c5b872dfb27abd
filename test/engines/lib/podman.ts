/** Podman with its default settings, but with storage, network namespace and runtime of a test's own, and one image. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Outcome, run, runscTs } from '../../lib/sandbox.ts';
import { mountsBelow } from './dockerd.ts';
import { writeRootTar } from './image.ts';
import { makeNetns, type Netns } from './netns.ts';

export const needed = {
  podman: 'podman',
  conmon: 'conmon',
  '/usr/lib/podman/netavark': 'netavark',
  catatonit: 'catatonit',
  iptables: 'iptables',
  ip: 'iproute2',
  '/usr/bin/busybox': 'busybox-static',
};

export class Podman {
  /** Scratch directory, the storage among it. */
  readonly dir = mkdtempSync('/tmp/rts-podman-');
  private readonly netns: Netns = makeNetns(this.dir.slice('/tmp/'.length));

  /** With the image `busybox`. */
  constructor() {
    const archive = join(this.dir, 'root.tar');
    writeRootTar(archive);
    const changes = ['-c', 'CMD ["/bin/sh"]', '-c', 'ENV PATH=/bin:/sbin'];
    const r = this.run('import', ...changes, archive, 'busybox');
    if (r.status !== 0) throw new Error(`podman import: ${r.stderr}`);
  }

  /** Options that keep it apart from the machine's own. */
  get options(): string[] {
    return [
      ...['--root', `${this.dir}/root`, '--runroot', `${this.dir}/run`, '--storage-driver', 'vfs'],
      ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
    ];
  }

  run(...args: string[]): Outcome {
    return this.under(runscTs, ...args);
  }

  under(runtime: string, ...args: string[]): Outcome {
    return this.enter(['podman', ...this.options, '--runtime', runtime, ...args]);
  }

  /** A command in Podman's network namespace. */
  enter(command: readonly string[], cwd?: string): Outcome {
    const [program, ...args] = this.netns.enter(command);
    return run(program!, args, { timeoutMs: 120_000, ...(cwd === undefined ? {} : { cwd }) });
  }

  /** Host processes of sandboxes whose files lie below the scratch directory. */
  leftOver(): string {
    return run('sh', ['-c', `ps -eo args | grep "[r]unsc-ts.*${this.dir}"`]).stdout;
  }

  remove(): void {
    this.run('pod', 'rm', '--all', '--force', '--time', '0');
    this.run('rm', '--all', '--force', '--time', '0');
    for (const mount of mountsBelow(this.dir)) run('umount', ['--lazy', mount]);
    this.netns.remove();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
