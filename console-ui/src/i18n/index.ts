/* i18next with one language loaded at a time; the other one comes when it is chosen. */
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import { getPreferences, setLanguage, type Language } from '../lib/preferences';
import type { en } from './en';

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'translation';
    resources: { translation: typeof en };
  }
}

async function texts(language: Language): Promise<object> {
  return language === 'zh' ? (await import('./zh')).zh : (await import('./en')).en;
}

export async function startI18n(): Promise<void> {
  const { language } = getPreferences();
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: { [language]: { translation: await texts(language) } },
    interpolation: { escapeValue: false },
    returnNull: false,
  });
}

export async function switchLanguage(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', await texts(language));
  }
  await i18next.changeLanguage(language);
  setLanguage(language);
}
