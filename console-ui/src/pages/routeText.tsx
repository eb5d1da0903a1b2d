/* Routes in few words, for lists and headings. */
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';

type Route = Schemas['Route'];

export function MatchChips({ route }: { route: Route }) {
  const { t } = useTranslation();
  const chips: { key: string; text: string; brand?: boolean }[] = [];
  for (const model of route.match.models ?? []) {
    const text = model.type === 'exact' ? model.value : model.type === 'prefix' ? `${model.value}*` : `/${model.value}/`;
    chips.push({ key: `m${text}`, text, brand: true });
  }
  if ((route.match.models ?? []).length === 0) chips.push({ key: 'any', text: t('routes.anyModel'), brand: true });
  if (route.path_prefix && route.path_prefix !== '/') chips.push({ key: 'path', text: route.path_prefix });
  for (const host of route.hosts ?? []) chips.push({ key: `h${host}`, text: host });
  for (const header of route.match.headers ?? []) chips.push({ key: `x${header.name}`, text: `${header.name}: ${header.value}` });
  for (const query of route.match.query ?? []) chips.push({ key: `q${query.name}`, text: `?${query.name}=${query.value}` });
  return (
    <span className="chips">
      {chips.map((chip) => (
        <span key={chip.key} className={chip.brand ? 'chip mono brand-chip' : 'chip mono'}>
          {chip.text}
        </span>
      ))}
    </span>
  );
}

export function shares(targets: { weight?: number }[]): number[] {
  const sum = targets.reduce((all, target) => all + (target.weight ?? 1), 0);
  return targets.map((target) => (sum > 0 ? (target.weight ?? 1) / sum : 0));
}

export function TargetWords({ route }: { route: Route }) {
  const { t } = useTranslation();
  const parts = shares(route.targets);
  return (
    <span className="stack">
      {route.targets.slice(0, 3).map((target, i) => (
        <span key={i} className="break">
          {target.provider}
          {target.model && <span className="faint"> · {target.model}</span>}
          {route.targets.length > 1 && <span className="faint"> {Math.round((parts[i] ?? 0) * 100)}%</span>}
        </span>
      ))}
      {route.targets.length > 3 && <span className="faint">{t('routes.moreTargets', { count: route.targets.length - 3 })}</span>}
      {route.fallback.enabled && (route.fallback.targets ?? []).length > 0 && (
        <span className="faint">{t('routes.thenFallback', { names: (route.fallback.targets ?? []).map((target) => target.provider).join(' → ') })}</span>
      )}
    </span>
  );
}

export function WhoWords({ route }: { route: Route }) {
  const { t } = useTranslation();
  const { required, consumers = [], groups = [] } = route.auth;
  if (required === false) return <span style={{ color: 'var(--warn)' }}>{t('routes.whoOpen')}</span>;
  if (consumers.length + groups.length === 0) return <>{t('routes.whoAny')}</>;
  const names = [...consumers, ...groups.map((group) => t('routes.group', { name: group }))];
  return <span className="break">{names.length > 3 ? t('routes.whoMore', { names: names.slice(0, 2).join(', '), count: names.length - 2 }) : names.join(', ')}</span>;
}
