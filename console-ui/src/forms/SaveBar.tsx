/* The end of a page's form: save, perhaps go back, and when the change holds. */
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';

interface SaveBarProps {
  busy: boolean;
  /** Begins the test ids: "route" gives route-save and route-cancel. */
  what: string;
  /** What the button says of a new object, and where its list is. */
  create?: { text: string; cancelTo: string };
}

export function SaveBar({ busy, what, create }: SaveBarProps) {
  const { t } = useTranslation();
  return (
    <div className="form-actions">
      <Button type="primary" htmlType="submit" loading={busy} data-testid={`${what}-save`}>
        {create ? create.text : t('common.save')}
      </Button>
      {create && (
        <Link to={create.cancelTo} data-testid={`${what}-cancel`}>
          {t('common.cancel')}
        </Link>
      )}
      <span className="grow">{t('common.liveSoon')}</span>
    </div>
  );
}
