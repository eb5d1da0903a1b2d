/* "In how long?" is what people answer; the API wants the moment. */

export const EXPIRY_DAYS = { never: 0, day: 1, week: 7, month: 30, quarter: 90, year: 365 } as const;
export type Expiry = keyof typeof EXPIRY_DAYS;

export function isoOf(expiry: string | undefined, now: Date = new Date()): string | null {
  const days = EXPIRY_DAYS[(expiry ?? 'never') as Expiry] ?? 0;
  if (days === 0) return null;
  return new Date(now.getTime() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z');
}
