/* Language and colour scheme, at the top of every page and at the doors. */
import { DesktopOutlined, GlobalOutlined, MoonOutlined, SunOutlined } from '@ant-design/icons';
import { Button, Dropdown } from 'antd';
import { useTranslation } from 'react-i18next';
import { switchLanguage } from '../i18n';
import { setScheme, usePreferences, type Scheme } from '../lib/preferences';

/* Each language is written in itself, so that one finds one's own. */
const OTHER = { en: '中文', zh: 'English' } as const;

export function LanguageSwitch() {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const other = language === 'en' ? 'zh' : 'en';
  return (
    <Button
      type="text"
      icon={<GlobalOutlined />}
      onClick={() => void switchLanguage(other)}
      lang={other === 'zh' ? 'zh-CN' : 'en'}
      title={t('preferences.language')}
      data-testid="language-switch"
    >
      {OTHER[language]}
    </Button>
  );
}

export function SchemeSwitch() {
  const { t } = useTranslation();
  const { scheme, dark } = usePreferences();
  return (
    <Dropdown
      trigger={['click']}
      menu={{
        selectable: true,
        selectedKeys: [scheme],
        onClick: ({ key }) => setScheme(key as Scheme),
        items: [
          { key: 'system', icon: <DesktopOutlined />, label: <span data-testid="scheme-system">{t('preferences.system')}</span> },
          { key: 'light', icon: <SunOutlined />, label: <span data-testid="scheme-light">{t('preferences.light')}</span> },
          { key: 'dark', icon: <MoonOutlined />, label: <span data-testid="scheme-dark">{t('preferences.dark')}</span> },
        ],
      }}
    >
      <Button
        type="text"
        icon={dark ? <MoonOutlined /> : <SunOutlined />}
        aria-label={t('preferences.scheme')}
        title={t('preferences.scheme')}
        data-testid="scheme-switch"
      />
    </Dropdown>
  );
}
