/* Lists of objects: search, skeleton while loading, a word on what to do when empty, retry when it failed, more. */
import { SearchOutlined } from '@ant-design/icons';
import { Button, Input, Skeleton } from 'antd';
import { useEffect, useState, type CSSProperties, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import type { PagedResult } from '../api/queries';
import { Waves } from './Brand';
import { ProblemAlert } from './Problem';

export function useDebounced<T>(value: T, ms = 250): T {
  const [late, setLate] = useState(value);
  useEffect(() => {
    const timer = window.setTimeout(() => setLate(value), ms);
    return () => window.clearTimeout(timer);
  }, [value, ms]);
  return late;
}

interface EmptyProps {
  title: string;
  text?: ReactNode;
  actions?: ReactNode;
  icon?: ReactNode;
  testId?: string;
}

export function Empty({ title, text, actions, icon, testId = 'empty' }: EmptyProps) {
  return (
    <div className="empty" data-testid={testId}>
      {icon ?? (
        <div style={{ width: 120, height: 40, marginBottom: 8, opacity: 0.55, color: 'var(--brand)' }} aria-hidden>
          <Waves />
        </div>
      )}
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      {actions && <div className="actions">{actions}</div>}
    </div>
  );
}

export function LoadingRows({ rows = 4 }: { rows?: number }) {
  const { t } = useTranslation();
  return (
    <div role="status" aria-label={t('common.loading')}>
      {Array.from({ length: rows }, (_, i) => (
        <div className="skeleton-row" key={i}>
          <Skeleton active title={{ width: `${30 + ((i * 13) % 20)}%` }} paragraph={{ rows: 1, width: `${50 + ((i * 17) % 30)}%` }} />
        </div>
      ))}
    </div>
  );
}

interface ListProps<T> {
  query: PagedResult<T>;
  search?: { value: string; onChange: (value: string) => void; placeholder: string };
  tools?: ReactNode;
  empty: ReactNode;
  keyOf: (item: T) => string;
  render: (item: T) => ReactNode;
  testId: string;
  label: string;
  /** A long list stands in folds, in the order in which groups first occur; those of a search are open. */
  groupOf?: (item: T) => ListGroup;
}

export interface ListGroup {
  key: string;
  title: ReactNode;
  open?: boolean;
}

function inGroups<T>(items: T[], groupOf: (item: T) => ListGroup): (ListGroup & { items: T[] })[] {
  const groups = new Map<string, ListGroup & { items: T[] }>();
  for (const item of items) {
    const group = groupOf(item);
    const known = groups.get(group.key);
    if (known) known.items.push(item);
    else groups.set(group.key, { ...group, items: [item] });
  }
  return [...groups.values()].sort((a, b) => Number(b.open ?? false) - Number(a.open ?? false));
}

export function List<T>({ query, search, tools, empty, keyOf, render, testId, label, groupOf }: ListProps<T>) {
  const { t } = useTranslation();
  const searching = (search?.value ?? '') !== '';
  const pristine = query.isSuccess && query.items.length === 0 && !searching;
  return (
    <div data-testid={testId}>
      {(tools || (search && !pristine)) && (
        <div className="toolbar" role={search ? 'search' : undefined}>
          {search && (
            <Input
              className="search"
              allowClear
              prefix={<SearchOutlined aria-hidden className="faint" />}
              placeholder={search.placeholder}
              aria-label={search.placeholder}
              value={search.value}
              onChange={(event) => search.onChange(event.target.value)}
              data-testid={`${testId}-search`}
            />
          )}
          {tools}
          {query.isSuccess && (
            <span className="count" role="status">
              {t('common.count', { count: query.total })}
            </span>
          )}
        </div>
      )}
      {query.isError && query.items.length === 0 ? (
        <ProblemAlert error={query.error} onRetry={query.refetch} />
      ) : (
        <div className="card">
          {query.isPending ? (
            <LoadingRows />
          ) : query.items.length === 0 ? (
            searching ? (
              <Empty
                testId={`${testId}-none`}
                title={t('common.nothingFound')}
                text={t('common.nothingFoundText', { text: search?.value ?? '' })}
                actions={
                  <Button onClick={() => search?.onChange('')} data-testid={`${testId}-clear`}>
                    {t('common.clearSearch')}
                  </Button>
                }
              />
            ) : (
              empty
            )
          ) : groupOf ? (
            inGroups(query.items, groupOf).map((group) => (
              <details key={group.key} className="fold rows-fold" open={searching || group.open} data-testid={`${testId}-group-${group.key}`}>
                <summary>
                  <span>{group.title}</span>
                  <span className="hint">{t('common.count', { count: group.items.length })}</span>
                </summary>
                <ul className="rows" aria-label={label}>
                  {group.items.map((item) => (
                    <li key={keyOf(item)}>{render(item)}</li>
                  ))}
                </ul>
              </details>
            ))
          ) : (
            <ul className="rows" aria-label={label}>
              {query.items.map((item) => (
                <li key={keyOf(item)}>{render(item)}</li>
              ))}
            </ul>
          )}
          {query.hasMore && (
            <div className="more">
              <Button onClick={query.more} loading={query.loadingMore} data-testid={`${testId}-more`}>
                {t('common.more')}
              </Button>
            </div>
          )}
        </div>
      )}
    </div>
  );
}

interface RowProps {
  icon?: ReactNode;
  title: ReactNode;
  to?: string;
  sub?: ReactNode;
  meta?: { label: string; value: ReactNode; grow?: number }[];
  actions?: ReactNode;
  off?: boolean;
  testId?: string;
}

export function Row({ icon, title, to, sub, meta, actions, off, testId }: RowProps) {
  return (
    <div className={off ? 'row is-off' : 'row'} data-testid={testId}>
      <div className="row-main">
        {icon}
        <div className="texts">
          {to ? (
            <Link className="row-title" to={to}>
              {title}
            </Link>
          ) : (
            <span className="row-title">{title}</span>
          )}
          {sub && <div className="row-sub">{sub}</div>}
        </div>
      </div>
      {meta && (
        <dl style={{ '--columns': meta.length + 1 } as CSSProperties}>
          {meta.map((entry) => (
            <div key={entry.label} style={{ '--grow': entry.grow ?? 1 } as CSSProperties}>
              <dt>{entry.label}</dt>
              <dd>{entry.value}</dd>
            </div>
          ))}
        </dl>
      )}
      {actions && <div className="row-actions">{actions}</div>}
    </div>
  );
}
