/* Durations as the API writes them: "250ms", "30s", "5m", "2h". */

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60000, h: 3600000 };

export const DURATION_PATTERN = /^[0-9]{1,9}(ms|s|m|h)$/;

export function durationMs(text: string): number | undefined {
  const match = /^([0-9]{1,9})(ms|s|m|h)$/.exec(text.trim());
  if (!match) return undefined;
  return Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0);
}

/** The shortest exact spelling of a number of milliseconds. */
export function durationText(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    const size = UNITS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
