/** /proc/PID/numa_maps (fs/proc/task_mmu.c show_numa_map()): the policy of each mapping; every page is on node 0. */
import {
  MPOL_F_NUMA_BALANCING,
  MPOL_F_RELATIVE_NODES,
  MPOL_F_STATIC_NODES,
  type MemPolicy,
} from './mempolicy.ts';
import { residentBytes, samplingOf } from './residency.ts';
import type { MemoryManager } from './memory-manager.ts';
import { part, vmaName, type FileName, type MapsPart } from './maps.ts';

/** policy_modes[] (mm/mempolicy.c) */
const MODES = ['default', 'prefer', 'bind', 'interleave', 'local', 'prefer (many)', 'weighted interleave'];

/** mpol_to_str() */
function policyText(p: MemPolicy | null): string {
  if (p === null) return 'default';
  const flags: string[] = [];
  if ((p.flags & MPOL_F_STATIC_NODES) !== 0) flags.push('static');
  else if ((p.flags & MPOL_F_RELATIVE_NODES) !== 0) flags.push('relative');
  if ((p.flags & MPOL_F_NUMA_BALANCING) !== 0) flags.push('balancing');
  const mode = MODES[p.mode] ?? 'unknown';
  // Of the nodes asked for those that there are.
  const nodes = p.lo === 0 && p.hi === 0 ? '' : ':0';
  return `${mode}${flags.length > 0 ? `=${flags.join('|')}` : ''}${nodes}`;
}

/** Part of the file: the mappings that end behind `from`. `task`: the policy of who has none of its own. */
export function numaMapsPart(
  mm: MemoryManager,
  from: number,
  fileName: FileName,
  task: MemPolicy | null,
): MapsPart {
  const how = samplingOf(mm);
  return part(mm, from, (v) => {
    const name = vmaName(mm, v, fileName).replaceAll('\n', '\\012');
    let text = `${v.start.toString(16).padStart(8, '0')} ${policyText(v.policy ?? task)}`;
    if (v.backing !== null) text += ` file=${name}`;
    else if (name === '[heap]') text += ' heap';
    else if (name === '[stack]') text += ' stack';
    // As in smaps: writable private memory counts as there.
    const pages = residentBytes(mm, v, how) / 4096;
    if (pages > 0) text += ` anon=${pages} dirty=${pages} active=0 N0=${pages} kernelpagesize_kB=4`;
    return `${text}\n`;
  });
}
