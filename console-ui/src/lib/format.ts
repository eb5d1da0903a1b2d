/* Figures and times as people read them, in the language of the page. */
import { useMemo } from 'react';
import { usePreferences } from './preferences';

const DAY = 86400;
const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['hour', 3600],
  ['minute', 60],
];

export interface Formats {
  number(value: number): string;
  compact(value: number): string;
  percent(value: number): string;
  dateTime(iso: string): string;
  time(iso: string): string;
  ago(iso: string, now?: number): string;
}

/* "Tomorrow" is a day of the calendar: 46 hours from now it is mostly the one after it. */
function daysBetween(from: Date, to: Date): number {
  const day = (d: Date) => Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) / 1000 / DAY;
  return day(to) - day(from);
}

export function formatsFor(locale: string): Formats {
  const number = new Intl.NumberFormat(locale);
  const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 });
  const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
  const time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  return {
    number: (value) => number.format(value),
    compact: (value) => (Math.abs(value) < 10000 ? number.format(value) : compact.format(value)),
    percent: (value) => percent.format(value),
    dateTime: (iso) => dateTime.format(new Date(iso)),
    time: (iso) => time.format(new Date(iso)),
    ago(iso, now = Date.now()) {
      const seconds = (new Date(iso).getTime() - now) / 1000;
      if (Math.abs(seconds) >= DAY) return relative.format(daysBetween(new Date(now), new Date(iso)), 'day');
      for (const [unit, size] of STEPS) {
        if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
      }
      return relative.format(Math.trunc(seconds), 'second');
    },
  };
}

export function useFormats(): Formats {
  const { language } = usePreferences();
  return useMemo(() => formatsFor(language === 'zh' ? 'zh-CN' : 'en'), [language]);
}

/** One text of the catalogue in the language of the page. */
export function useLocalText(): (text: { en: string; zh: string } | undefined) => string {
  const { language } = usePreferences();
  return (text) => (text ? text[language] || text.en : '');
}
