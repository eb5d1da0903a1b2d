import { Form } from 'antd';
import { useTranslation } from 'react-i18next';
import { EXPIRY_DAYS, type Expiry } from '../lib/expiry';
import { FormSelect } from './FormSelect';

export function ExpiryInput({ name, testId }: { name: string; testId: string }) {
  const { t } = useTranslation();
  return (
    <Form.Item name={name} label={t('form.expires')} initialValue="never">
      <FormSelect
        style={{ maxWidth: 220 }}
        options={(Object.keys(EXPIRY_DAYS) as Expiry[]).map((value) => ({ value, label: t(`form.expiry.${value}`) }))}
        data-testid={testId}
      />
    </Form.Item>
  );
}
