/* The look, once for Ant Design (here) and once for our own style sheet (styles.css); keep the colours equal. */
import { theme, type ThemeConfig } from 'antd';

const FONT =
  'system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif';
const MONO = 'ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace';

const shared: ThemeConfig['token'] = {
  fontFamily: FONT,
  fontFamilyCode: MONO,
  borderRadius: 8,
  borderRadiusLG: 12,
  controlHeight: 36,
  fontSize: 14,
  wireframe: false,
};

const components: ThemeConfig['components'] = {
  Form: { itemMarginBottom: 20, verticalLabelPadding: '0 0 6px' },
  Button: { primaryShadow: 'none', defaultShadow: 'none', dangerShadow: 'none' },
  Collapse: { headerBg: 'transparent' },
};

const light: ThemeConfig = {
  algorithm: theme.defaultAlgorithm,
  token: {
    ...shared,
    colorPrimary: '#0b7a75',
    colorPrimaryHover: '#096863',
    colorInfo: '#0b7a75',
    colorLink: '#0b7a75',
    colorSuccess: '#1d7f4f',
    colorWarning: '#b26a00',
    colorError: '#c6362f',
    colorTextBase: '#12242b',
    colorTextSecondary: '#4d6067',
    colorTextTertiary: '#5a6c72',
    colorTextDescription: '#5a6c73',
    colorTextPlaceholder: '#62747a',
    colorBorder: '#cfd9dc',
    colorBorderSecondary: '#e2e9eb',
    colorBgLayout: '#f4f7f8',
    colorSuccessBg: '#e9f6ef',
    colorSuccessBorder: '#b5dfc7',
    colorWarningBg: '#fdf5e4',
    colorWarningBorder: '#efd8a4',
    colorErrorBg: '#fdefee',
    colorErrorBorder: '#f3c4c1',
    colorInfoBg: '#e8f4f3',
    colorInfoBorder: '#b6dfda',
  },
  components,
};

const dark: ThemeConfig = {
  algorithm: theme.darkAlgorithm,
  token: {
    ...shared,
    colorPrimary: '#35b8ad',
    colorInfo: '#35b8ad',
    colorLink: '#4cc9be',
    colorSuccess: '#3fbf7f',
    colorWarning: '#e0a83c',
    colorError: '#f0716a',
    colorTextBase: '#e7eff1',
    colorTextSecondary: '#a5b6bc',
    colorTextTertiary: '#8fa1a8',
    colorTextDescription: '#98aab0',
    colorTextPlaceholder: '#84979e',
    colorBgBase: '#0c1417',
    colorBgLayout: '#0c1417',
    colorBgContainer: '#121d21',
    colorBgElevated: '#18262b',
    colorBorder: '#31454c',
    colorBorderSecondary: '#213239',
    colorSuccessBg: '#11281c',
    colorSuccessBorder: '#1e4a33',
    colorWarningBg: '#2a210f',
    colorWarningBorder: '#51401b',
    colorErrorBg: '#301817',
    colorErrorBorder: '#5a2927',
    colorInfoBg: '#122a2b',
    colorInfoBorder: '#1f4f4c',
  },
  components: { ...components, Button: { ...components?.Button, primaryColor: '#04201e' } },
};

export function themeFor(isDark: boolean): ThemeConfig {
  return { ...(isDark ? dark : light), cssVar: true, hashed: false };
}
