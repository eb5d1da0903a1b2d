/* How an application calls this: in curl, Python and Node, with the real address. */
import { Segmented, Switch } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { useAllProviders, useOverview, useProviderTypes } from '../api/queries';
import { dataPlaneUrl, exampleFor, packageOf, snippet, type SnippetLanguage } from '../lib/snippets';
import { CodeBlock } from './Copy';

const LANGUAGES: { value: SnippetLanguage; label: string }[] = [
  { value: 'curl', label: 'curl' },
  { value: 'python', label: 'Python' },
  { value: 'node', label: 'Node.js' },
];

export function UsageSnippet({ route, consumerKey }: { route: Schemas['Route'] | undefined; consumerKey?: string }) {
  const { t } = useTranslation();
  const overview = useOverview();
  const providers = useAllProviders();
  const types = useProviderTypes();
  const [language, setLanguage] = useState<SnippetLanguage>('curl');
  const [stream, setStream] = useState(false);
  const example = exampleFor(route, providers.data ?? [], dataPlaneUrl(overview.data, window.location), {
    stream,
    prompt: t('snippet.prompt'),
    key: consumerKey,
    types: types.data,
  });
  const install = packageOf(language, example);
  return (
    <div className="stack gap-12" data-testid="snippet">
      <div className="line gap-16">
        <Segmented<SnippetLanguage>
          aria-label={t('snippet.language')}
          value={language}
          onChange={setLanguage}
          options={LANGUAGES.map((entry) => ({ ...entry, label: <span data-testid={`snippet-${entry.value}`}>{entry.label}</span> }))}
        />
        <label className="line gap-8">
          <Switch size="small" checked={stream} onChange={setStream} data-testid="snippet-stream" />
          {t('snippet.stream')}
        </label>
      </div>
      <CodeBlock code={snippet(language, example)} testId="snippet-code" label={t('snippet.code')} />
      {install && (
        <p className="faint">
          {t('snippet.install')} <code>{install}</code>
        </p>
      )}
      <dl className="line gap-24">
        <div>
          <dt className="faint">{t('snippet.baseUrl')}</dt>
          <dd>
            <code data-testid="snippet-base-url">{example.baseUrl}</code>
          </dd>
        </div>
        <div>
          <dt className="faint">{t('snippet.model')}</dt>
          <dd>
            <code data-testid="snippet-model">{example.model}</code>
          </dd>
        </div>
      </dl>
    </div>
  );
}
