/* The frame of the two pages in front of the login. */
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { LanguageSwitch, SchemeSwitch } from '../app/Preferences';
import { Mark, TidePicture } from '../components/Brand';
import { useTitle } from '../components/Page';

export function Door({ title, lead, children }: { title: string; lead: ReactNode; children: ReactNode }) {
  const { t } = useTranslation();
  useTitle(title);
  return (
    <div className="door">
      <div className="door-form">
        <header className="door-top">
          <span className="brand" style={{ padding: 0 }}>
            <Mark />
            <span translate="no">{t('brand')}</span>
          </span>
          <span className="line">
            <LanguageSwitch />
            <SchemeSwitch />
          </span>
        </header>
        <main className="door-body">
          <h1>{title}</h1>
          <p>{lead}</p>
          {children}
        </main>
      </div>
      <aside className="door-art" aria-hidden>
        <TidePicture />
        <div className="words">
          <h2>{t('door.claim')}</h2>
          <p>{t('door.text')}</p>
        </div>
      </aside>
    </div>
  );
}
