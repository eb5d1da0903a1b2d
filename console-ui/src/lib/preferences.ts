/* The two things a person chooses for this browser: language and colour scheme.  Kept in localStorage. */
import { useSyncExternalStore } from 'react';

export type Language = 'en' | 'zh';
export type Scheme = 'system' | 'light' | 'dark';

interface Preferences {
  language: Language;
  scheme: Scheme;
  dark: boolean;
}

const LANGUAGE_KEY = 'tidegate.language';
const SCHEME_KEY = 'tidegate.scheme';

function stored(key: string): string | null {
  try {
    return window.localStorage.getItem(key);
  } catch {
    return null; /* storage is switched off: nothing is remembered, everything else works */
  }
}

function remember(key: string, value: string): void {
  try {
    window.localStorage.setItem(key, value);
  } catch {
    /* see above */
  }
}

export function detectLanguage(saved: string | null, browser: readonly string[]): Language {
  if (saved === 'en' || saved === 'zh') return saved;
  for (const tag of browser) {
    if (/^zh\b/i.test(tag)) return 'zh';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}

function readScheme(): Scheme {
  const saved = stored(SCHEME_KEY);
  return saved === 'light' || saved === 'dark' ? saved : 'system';
}

const systemDark = typeof window.matchMedia === 'function' ? window.matchMedia('(prefers-color-scheme: dark)') : null;

function build(language: Language, scheme: Scheme): Preferences {
  return { language, scheme, dark: scheme === 'dark' || (scheme === 'system' && systemDark?.matches === true) };
}

let current = build(detectLanguage(stored(LANGUAGE_KEY), window.navigator.languages ?? []), readScheme());
const listeners = new Set<() => void>();

function publish(next: Preferences): void {
  current = next;
  reflect();
  listeners.forEach((listener) => listener());
}

/** Shows the choice on <html>, where the style sheet and assistive technology look for it. */
export function reflect(): void {
  document.documentElement.lang = current.language === 'zh' ? 'zh-CN' : 'en';
  document.documentElement.dataset.theme = current.dark ? 'dark' : 'light';
}

systemDark?.addEventListener('change', () => publish(build(current.language, current.scheme)));

export function getPreferences(): Preferences {
  return current;
}

export function setLanguage(language: Language): void {
  remember(LANGUAGE_KEY, language);
  publish(build(language, current.scheme));
}

export function setScheme(scheme: Scheme): void {
  remember(SCHEME_KEY, scheme);
  publish(build(current.language, scheme));
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
