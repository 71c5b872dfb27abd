/** Results as a table, JSON and an SVG chart. */

export interface Row {
  readonly name: string;
  readonly unit: string;
  /** Median by column; null where the case failed or does not apply. */
  readonly values: Readonly<Record<string, number | null>>;
}

const NAME_WIDTH = 20;
const CELL_WIDTH = 17;

export function formatHead(columns: readonly string[]): string {
  return 'case'.padEnd(NAME_WIDTH) + columns.map((c) => c.padStart(CELL_WIDTH)).join('');
}

export function formatRow(row: Row, columns: readonly string[]): string {
  const cells = columns.map((c) => {
    const v = row.values[c];
    return (v === null || v === undefined ? '–' : formatValue(v, row.unit)).padStart(CELL_WIDTH);
  });
  return row.name.padEnd(NAME_WIDTH) + cells.join('');
}

function formatValue(v: number, unit: string): string {
  if (unit !== 'ns') return `${v.toPrecision(3)} ${unit}`;
  if (v < 1e4) return `${v.toFixed(0)} ns`;
  return v < 1e7 ? `${(v / 1e3).toFixed(1)} µs` : `${(v / 1e6).toFixed(1)} ms`;
}

/** Geometric mean of a/b over the rows that have both; null if none has. */
export function ratio(rows: readonly Row[], a: string, b: string): number | null {
  const logs: number[] = [];
  for (const r of rows) {
    const x = r.values[a];
    const y = r.values[b];
    if (x && y) logs.push(Math.log(x / y));
  }
  return logs.length === 0 ? null : Math.exp(logs.reduce((s, l) => s + l, 0) / logs.length);
}

/** Horizontal bars of column `a` relative to `b`, logarithmic; left of the line is better than `b`. */
export function svgChart(rows: readonly Row[], a: string, b: string): string {
  const bars = rows
    .map((r) => ({ name: r.name, x: r.values[a], y: r.values[b] }))
    .filter((r): r is { name: string; x: number; y: number } => Boolean(r.x && r.y))
    .map((r) => ({ name: r.name, ratio: r.x / r.y }));
  const rowHeight = 18;
  const left = 150;
  const scale = 120;
  const zero = left + 2 * scale;
  const height = bars.length * rowHeight + 50;
  const lines = bars.map(({ name, ratio }, i) => {
    const y = 40 + i * rowHeight;
    const w = Math.max(-2, Math.min(2, Math.log10(ratio))) * scale;
    const color = ratio <= 1 ? '#2a7' : '#c54';
    return (
      `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${name}</text>` +
      `<rect x="${Math.min(zero, zero + w)}" y="${y + 2}" width="${Math.abs(w)}" height="${rowHeight - 5}" fill="${color}"/>` +
      `<text x="${zero + w + (w < 0 ? -4 : 4)}" y="${y + 12}" text-anchor="${w < 0 ? 'end' : 'start'}">${ratio.toFixed(2)}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${zero + 2 * scale + 40}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<text x="${zero}" y="18" text-anchor="middle">${a} / ${b}: time relative to the peer (log scale, smaller is better)</text>`,
    `<line x1="${zero}" y1="28" x2="${zero}" y2="${height - 8}" stroke="#888"/>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}
