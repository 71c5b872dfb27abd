/** Topology from the text of /proc/cpuinfo. */

export interface CpuPlace {
  readonly cpu: number;
  readonly package: number;
  readonly core: number;
}

/** One place per CPU of `cpus`; a CPU that the text does not describe is a core of its own in package 0. */
export function parseCpuInfo(text: string, cpus: readonly number[]): CpuPlace[] {
  const found = new Map<number, CpuPlace>();
  for (const block of text.split('\n\n')) {
    const field = (name: string): number => {
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        if (colon > 0 && line.slice(0, colon).trim() === name) return Number(line.slice(colon + 1));
      }
      return NaN;
    };
    const cpu = field('processor');
    if (Number.isNaN(cpu)) continue;
    const pkg = field('physical id');
    const core = field('core id');
    found.set(cpu, { cpu, package: Number.isNaN(pkg) ? 0 : pkg, core: Number.isNaN(core) ? cpu : core });
  }
  return cpus.map((cpu) => found.get(cpu) ?? { cpu, package: 0, core: cpu });
}
