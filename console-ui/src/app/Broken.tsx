/* A page that failed to load or to draw.  After an upgrade the old page's files are gone: loading again helps. */
import { useTranslation } from 'react-i18next';
import { useRouteError } from 'react-router-dom';

export function Broken({ inside = false }: { inside?: boolean }) {
  const { t } = useTranslation();
  const error = useRouteError();
  return (
    <div className={inside ? 'empty' : 'splash'} role="alert">
      <div className="stack gap-12" style={{ maxWidth: 460, padding: 24 }}>
        <h1>{t('broken.title')}</h1>
        <p className="muted">{t('broken.text')}</p>
        {error instanceof Error && <code className="faint break">{error.message}</code>}
        <p>
          <a href={window.location.href}>{t('broken.reload')}</a>
        </p>
      </div>
    </div>
  );
}
