/* A line diff of two JSON values, small enough for objects of a configuration. */

export interface DiffLine {
  op: ' ' | '+' | '-';
  text: string;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, inner]) => [key, sorted(inner)]),
    );
  }
  return value;
}

function lines(value: unknown): string[] {
  return value === null || value === undefined ? [] : JSON.stringify(sorted(value), null, 2).split('\n');
}

const MAX_CELLS = 4_000_000;

/** Longest common subsequence of lines; beyond a size that no form makes, simply "all old, all new". */
export function diffJson(before: unknown, after: unknown): DiffLine[] {
  const a = lines(before);
  const b = lines(after);
  if (a.length * b.length > MAX_CELLS) {
    return [...a.map((text): DiffLine => ({ op: '-', text })), ...b.map((text): DiffLine => ({ op: '+', text }))];
  }
  const width = b.length + 1;
  const length = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] =
        a[i] === b[j]
          ? (length[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(length[(i + 1) * width + j] ?? 0, length[i * width + j + 1] ?? 0);
    }
  }
  const out: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ op: ' ', text: a[i] ?? '' });
      i++;
      j++;
    } else if (i < a.length && (j >= b.length || (length[(i + 1) * width + j] ?? 0) >= (length[i * width + j + 1] ?? 0))) {
      out.push({ op: '-', text: a[i++] ?? '' });
    } else {
      out.push({ op: '+', text: b[j++] ?? '' });
    }
  }
  return out;
}

/** Only the lines that changed and `around` lines beside them; `undefined` marks a cut. */
export function condense(diff: DiffLine[], around = 3): (DiffLine | undefined)[] {
  const keep = new Set<number>();
  diff.forEach((line, i) => {
    if (line.op === ' ') return;
    for (let k = i - around; k <= i + around; k++) keep.add(k);
  });
  const out: (DiffLine | undefined)[] = [];
  diff.forEach((line, i) => {
    if (keep.has(i)) out.push(line);
    else if (out.length === 0 || out[out.length - 1] !== undefined) out.push(undefined);
  });
  return out;
}
