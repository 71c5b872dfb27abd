/** Settings of controllers that are kept as they were written: what Linux takes for them, and how it tells them back. */
import { EINVAL, ENODEV, ERANGE } from '../../abi/errno.ts';
import { parseInteger } from '../kernfs/parse.ts';

export interface Setting {
  readonly name: string;
  readonly initial: string;
  /** What is kept of a text without blanks around it, or −errno. */
  readonly parse: (text: string) => string | number;
}

const PAGE = 4096;
const MAX_WEIGHT = 10000;

function integer(min: number, max: number, outside = -ERANGE): Setting['parse'] {
  return (text) => {
    const n = parseInteger(text, 0);
    if (Number.isNaN(n)) return -EINVAL;
    return n < min || n > max ? outside : String(n);
  };
}

const SUFFIXES = 'kmgtpe';

/** page_counter_memparse(): bytes with a suffix, in whole pages. */
function memory(text: string): string | number {
  if (text === 'max') return text;
  const shift = text === '' ? -1 : SUFFIXES.indexOf(text.slice(-1).toLowerCase());
  const n = parseInteger(shift < 0 ? text : text.slice(0, -1), 0);
  if (Number.isNaN(n) || n < 0) return -EINVAL;
  const bytes = n * 1024 ** (shift + 1);
  return bytes > Number.MAX_SAFE_INTEGER ? 'max' : String(Math.floor(bytes / PAGE) * PAGE);
}

const MIN_US = 1000;
const MAX_US = 1_000_000;

/** cpu_max_write(): "$MAX $PERIOD" */
function cpuMax(text: string): string | number {
  const words = text.split(' ').filter((w) => w !== '');
  const [max = '', period = '100000'] = words;
  const quota = max === 'max' ? Infinity : parseInteger(max);
  const p = parseInteger(period);
  if (words.length > 2 || Number.isNaN(quota) || Number.isNaN(p)) return -EINVAL;
  return quota < MIN_US || p < MIN_US || p > MAX_US ? -EINVAL : `${max === 'max' ? max : quota} ${p}`;
}

/** bitmap_parselist(): "0-3,6", within a machine of any size. */
function list(text: string): string | number {
  if (text === '') return '';
  const parts: string[] = [];
  for (const part of text.split(',')) {
    const dash = part.indexOf('-');
    const from = parseInteger(dash < 0 ? part : part.slice(0, dash));
    const to = dash < 0 ? from : parseInteger(part.slice(dash + 1));
    if (!(from >= 0 && to >= from && to < 8192)) return -EINVAL;
    parts.push(from === to ? `${from}` : `${from}-${to}`);
  }
  return parts.join(',');
}

/** There is no device that could be told from others. */
function ioWeight(text: string): string | number {
  const words = text.split(' ').filter((w) => w !== '');
  const n = parseInteger(words.at(-1) ?? '');
  if (words.length === 2 && words[0] !== 'default') return words[0]!.includes(':') ? -ENODEV : -EINVAL;
  if (words.length > 2 || !(n >= 1 && n <= MAX_WEIGHT)) return Number.isNaN(n) ? -EINVAL : -ERANGE;
  return `default ${n}`;
}

const noDevice = (text: string): number => (text.includes(':') ? -ENODEV : -EINVAL);

export const SETTINGS: readonly Setting[] = [
  { name: 'cpu.idle', initial: '0', parse: integer(0, 1) },
  { name: 'cpu.max', initial: 'max 100000', parse: cpuMax },
  { name: 'cpu.max.burst', initial: '0', parse: integer(0, Number.MAX_SAFE_INTEGER, -EINVAL) },
  { name: 'cpu.weight', initial: '100', parse: integer(1, MAX_WEIGHT) },
  { name: 'cpuset.cpus', initial: '', parse: list },
  { name: 'cpuset.mems', initial: '', parse: list },
  { name: 'io.max', initial: '', parse: noDevice },
  { name: 'io.weight', initial: 'default 100', parse: ioWeight },
  { name: 'memory.high', initial: 'max', parse: memory },
  { name: 'memory.low', initial: '0', parse: memory },
  { name: 'memory.max', initial: 'max', parse: memory },
  { name: 'memory.min', initial: '0', parse: memory },
  { name: 'memory.oom.group', initial: '0', parse: integer(0, 1, -EINVAL) },
  { name: 'memory.swap.max', initial: 'max', parse: memory },
];
