import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import { Empty } from '../components/List';
import { Page } from '../components/Page';

export function NotFoundPage() {
  const { t } = useTranslation();
  return (
    <Page title={t('notFound.title')}>
      <div className="card">
        <Empty title={t('notFound.heading')} text={t('notFound.text')} actions={<Link to="/">{t('notFound.home')}</Link>} />
      </div>
    </Page>
  );
}
