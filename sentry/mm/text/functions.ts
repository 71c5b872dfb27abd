/** Tables of a text's functions: offsets in its segment, by rising begin: begin, end and where the next one begins. */

/** Words per function. */
export const FUNCTION_WORDS = 3;

/** Rows of a sorted table whose functions may contain `wanted`, rising, each once. */
export function rowsOf(count: number, beginOf: (i: number) => number, wanted: readonly number[]): number[] {
  const rows = new Set<number>();
  for (const place of wanted) {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (beginOf(middle) <= place) low = middle + 1;
      else high = middle;
    }
    if (low > 0) rows.add(low - 1);
  }
  return [...rows].sort((a, b) => a - b);
}

/** The functions of `a`, and what of those of `b` lies outside them. Both rise; where one of `a` ends, an instruction begins. */
export function mergeFunctions(a: Uint32Array, b: Uint32Array): Uint32Array {
  const merged: number[] = [];
  let i = 0;
  let end = 0;
  const take = (): void => {
    merged.push(a[i]!, a[i + 1]!, a[i + 2]!);
    end = a[i + 1]!;
    i += FUNCTION_WORDS;
  };
  const piece = (from: number, to: number): void => {
    if (from < to) merged.push(from, to, to);
  };
  for (let j = 0; j < b.length; j += FUNCTION_WORDS) {
    const to = b[j + 1]!;
    while (i < a.length && a[i]! < b[j]!) take();
    end = Math.max(end, b[j]!);
    while (i < a.length && a[i]! < to) {
      piece(end, a[i]!);
      take();
    }
    piece(end, to);
    end = Math.max(end, to);
  }
  while (i < a.length) take();
  return Uint32Array.from(merged);
}

/** Those of `places` that lie in none of the functions. */
export function placesOutside(functions: Uint32Array, places: readonly number[]): number[] {
  return places.filter((place) => {
    for (let i = 0; i < functions.length; i += FUNCTION_WORDS)
      if (place >= functions[i]! && place < functions[i + 1]!) return false;
    return true;
  });
}
