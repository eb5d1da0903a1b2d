/* Copying text, also where the page is not served over TLS and the clipboard API is therefore missing. */
import { CheckOutlined, CopyOutlined } from '@ant-design/icons';
import { App, Button, type ButtonProps } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.setAttribute('readonly', '');
    area.className = 'visually-hidden';
    (document.querySelector('.ant-modal-body') ?? document.body).appendChild(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

interface CopyProps extends Omit<ButtonProps, 'onClick'> {
  text: string;
  testId?: string;
  bare?: boolean;
}

export function CopyButton({ text, testId, bare, ...button }: CopyProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = window.setTimeout(() => setCopied(false), 1800);
    return () => window.clearTimeout(timer);
  }, [copied]);
  const label = copied ? t('common.copied') : t('common.copy');
  return (
    <Button
      size="small"
      icon={copied ? <CheckOutlined /> : <CopyOutlined />}
      aria-label={label}
      data-testid={testId}
      {...button}
      onClick={async () => {
        if (await copyText(text)) setCopied(true);
        else message.warning(t('common.copyFailed'));
      }}
    >
      {bare ? null : label}
    </Button>
  );
}

export function CodeBlock({ code, testId, label }: { code: string; testId?: string; label: string }) {
  return (
    <div className="code">
      <pre tabIndex={0} aria-label={label} data-testid={testId}>
        <code>{code}</code>
      </pre>
      <div className="copy">
        <CopyButton text={code} testId={testId ? `${testId}-copy` : undefined} />
      </div>
    </div>
  );
}

/** A secret that is shown this once. */
export function SecretBox({ secret, testId }: { secret: string; testId: string }) {
  const { t } = useTranslation();
  return (
    <div className="code">
      <pre tabIndex={0} aria-label={t('common.secret')} data-testid={testId} style={{ paddingRight: 110, whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        <code>{secret}</code>
      </pre>
      <div className="copy">
        <CopyButton text={secret} testId={`${testId}-copy`} />
      </div>
    </div>
  );
}
