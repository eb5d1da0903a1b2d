/* Money travels as whole micro-units, millionths of a currency; people read and write decimals. */

/** 1500000 of "USD" as "$1.50"; small amounts keep their digits. */
export function moneyText(micro: number, currency: string, locale: string): string {
  const units = micro / 1_000_000;
  try {
    return new Intl.NumberFormat(locale, { style: 'currency', currency, minimumFractionDigits: 2, maximumFractionDigits: 6 }).format(units);
  } catch {
    return `${units} ${currency}`; /* three letters that no list knows */
  }
}

/** 2800 as "0.0028": exact, for a field. */
export function microToText(micro: number | null | undefined): string {
  if (micro === null || micro === undefined) return '';
  const sign = micro < 0 ? '-' : '';
  const digits = String(Math.abs(micro)).padStart(7, '0');
  const rest = digits.slice(-6).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -6)}${rest ? `.${rest}` : ''}`;
}

/** "0.0028" as 2800; null: nothing; undefined: not a number of at most six digits behind its point. */
export function textToMicro(text: string | null | undefined): number | null | undefined {
  const trimmed = (text ?? '').trim();
  if (trimmed === '') return null;
  const match = /^([0-9]{1,9})(?:\.([0-9]{1,6}))?$/.exec(trimmed);
  if (!match) return undefined;
  return Number(match[1]) * 1_000_000 + Number((match[2] ?? '').padEnd(6, '0'));
}

export interface Cost {
  currency: string;
  cost: number;
}

export function costsText(costs: readonly Cost[] | undefined, locale: string): string {
  if (!costs || costs.length === 0) return '–';
  return costs.map(({ currency, cost }) => moneyText(cost, currency, locale)).join(' + ');
}
