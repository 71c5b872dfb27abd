/** CPU sets as the kernel prints them (lib/bitmap-str.c). */

/** `0-3,8` */
export function cpuList(cpus: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < cpus.length;) {
    let j = i;
    while (j + 1 < cpus.length && cpus[j + 1] === cpus[j]! + 1) j++;
    parts.push(i === j ? String(cpus[i]) : `${cpus[i]}-${cpus[j]}`);
    i = j + 1;
  }
  return parts.join(',');
}

/** `ff`, or groups of 32 bits `1,00000000`; the highest group without leading zeros if it is the only one. */
export function cpuMask(cpus: readonly number[]): string {
  const highest = cpus.length === 0 ? 0 : cpus[cpus.length - 1]!;
  const words = new Array<number>(Math.floor(highest / 32) + 1).fill(0);
  for (const c of cpus) words[c >>> 5] = (words[c >>> 5]! | (1 << (c & 31))) >>> 0;
  const [first, ...rest] = words.reverse();
  return [first!.toString(16), ...rest.map((w) => w.toString(16).padStart(8, '0'))].join(',');
}
