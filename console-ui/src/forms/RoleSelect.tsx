import { Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';

type Role = Schemas['Role'];

interface RoleProps {
  id?: string;
  value?: Role;
  onChange?: (role: Role) => void;
  size?: 'small' | 'middle';
  label?: string;
  testId: string;
}

export function RoleSelect({ id, value, onChange, size, label, testId }: RoleProps) {
  const { t } = useTranslation();
  return (
    <Select<Role>
      id={id}
      size={size}
      value={value}
      onChange={onChange}
      aria-label={label}
      popupMatchSelectWidth={false}
      style={{ minWidth: 120 }}
      data-testid={testId}
      options={(['viewer', 'operator', 'admin'] as const).map((role) => ({
        value: role,
        label: t(`role.${role}`),
        title: t(`roleHelp.${role}`),
      }))}
    />
  );
}
