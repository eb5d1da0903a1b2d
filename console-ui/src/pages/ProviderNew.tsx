/* Adding a provider: first the vendor, as a gallery; then its form. */
import { SearchOutlined } from '@ant-design/icons';
import { Input } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router-dom';
import type { Schemas } from '../api/client';
import { useProviderTypes } from '../api/queries';
import { Avatar } from '../components/Bits';
import { Empty, LoadingRows } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { useLocalText } from '../lib/format';
import { ProviderForm } from './ProviderForm';

export function matchesType(type: Schemas['ProviderType'], text: string): boolean {
  const words = [type.type, type.label.en, type.label.zh, type.doc.en, type.doc.zh, type.default_base_url ?? ''].join(' ').toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => words.includes(word));
}

/** A server that one runs oneself: it has no address, or one on this machine. */
export function isOwnServer(type: Schemas['ProviderType']): boolean {
  return type.base_url_required || /^https?:\/\/(localhost|127\.0\.0\.1)\b/.test(type.default_base_url ?? '');
}

export function ProviderNewPage() {
  const { t } = useTranslation();
  const local = useLocalText();
  const navigate = useNavigate();
  const [params, setParams] = useSearchParams();
  const types = useProviderTypes();
  const [search, setSearch] = useState('');
  const chosen = types.data?.find((type) => type.type === params.get('type'));

  if (chosen) {
    return (
      <Page
        title={t('providerForm.newTitle', { vendor: local(chosen.label) })}
        lead={local(chosen.doc)}
        back={{ to: '/providers/new', text: t('providerForm.otherVendor') }}
      >
        <ProviderForm type={chosen} onSaved={(name) => navigate(`/providers/${name}?new=1`)} />
      </Page>
    );
  }

  const found = (types.data ?? []).filter((type) => matchesType(type, search));
  const groups = [
    { id: 'cloud', items: found.filter((type) => !isOwnServer(type)) },
    { id: 'own', items: found.filter(isOwnServer) },
  ] as const;
  return (
    <Page title={t('gallery.title')} lead={t('gallery.lead')} back={{ to: '/providers', text: t('providers.title') }}>
      <div className="toolbar" role="search">
        <Input
          className="search"
          allowClear
          autoFocus
          prefix={<SearchOutlined aria-hidden className="faint" />}
          placeholder={t('gallery.search')}
          aria-label={t('gallery.search')}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          data-testid="vendor-search"
        />
      </div>
      {types.isError && <ProblemAlert error={types.error} onRetry={() => void types.refetch()} />}
      {types.isPending && (
        <div className="card">
          <LoadingRows />
        </div>
      )}
      {types.isSuccess && found.length === 0 && (
        <div className="card">
          <Empty title={t('gallery.none')} text={t('gallery.noneText')} />
        </div>
      )}
      <div className="stack gap-24">
        {groups.map(
          (group) =>
            group.items.length > 0 && (
              <section key={group.id} className="stack gap-12">
                <h2>{t(`gallery.${group.id}`)}</h2>
                <div className="gallery">
                  {group.items.map((type) => (
                    <button
                      key={type.type}
                      type="button"
                      className="vendor"
                      onClick={() => setParams({ type: type.type })}
                      data-testid={`vendor-${type.type}`}
                    >
                      <Avatar text={type.label.en} seed={type.type} large />
                      <span style={{ minWidth: 0 }}>
                        <strong>{local(type.label)}</strong>
                        <span className="doc">{local(type.doc) || type.default_base_url}</span>
                      </span>
                    </button>
                  ))}
                </div>
              </section>
            ),
        )}
      </div>
    </Page>
  );
}
