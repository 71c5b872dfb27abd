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

/** Both tables' functions. Of those that overlap the first one counts. */
export function mergeFunctions(a: Uint32Array, b: Uint32Array): Uint32Array {
  const merged = new Uint32Array(a.length + b.length);
  let n = 0;
  let last = 0;
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const first = j >= b.length || (i < a.length && a[i]! <= b[j]!);
    const from = first ? a : b;
    const at = first ? i : j;
    if (first) i += FUNCTION_WORDS;
    else j += FUNCTION_WORDS;
    if (from[at]! < last) continue;
    merged.set(from.subarray(at, at + FUNCTION_WORDS), n);
    n += FUNCTION_WORDS;
    last = from[at + 1]!;
  }
  return merged.subarray(0, n);
}

/** Those of `places` that lie in none of the functions. */
export function placesOutside(functions: Uint32Array, places: readonly number[]): number[] {
  return places.filter((place) => {
    for (let i = 0; i < functions.length; i += FUNCTION_WORDS)
      if (place >= functions[i]! && place < functions[i + 1]!) return false;
    return true;
  });
}
