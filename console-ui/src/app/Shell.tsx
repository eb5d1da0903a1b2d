/* The frame behind the login: places on the left, the state of the gateway and the person at the top. */
import {
  AlertOutlined,
  ApiOutlined,
  AppstoreOutlined,
  AuditOutlined,
  BarChartOutlined,
  BranchesOutlined,
  ClusterOutlined,
  CloudServerOutlined,
  DashboardOutlined,
  HistoryOutlined,
  IdcardOutlined,
  KeyOutlined,
  LogoutOutlined,
  MenuOutlined,
  SettingOutlined,
  TeamOutlined,
  UnorderedListOutlined,
  TagsOutlined,
  UserOutlined,
  WalletOutlined,
} from '@ant-design/icons';
import { useQueryClient } from '@tanstack/react-query';
import { Button, Drawer, Dropdown } from 'antd';
import { Suspense, useEffect, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, NavLink, Outlet, useLocation } from 'react-router-dom';
import { api, need } from '../api/client';
import { useLiveEvents } from '../api/events';
import { changePerson, useOverview, useSession } from '../api/queries';
import { useQuery } from '@tanstack/react-query';
import { State } from '../components/Bits';
import { Mark } from '../components/Brand';
import { LoadingRows } from '../components/List';
import { PasswordDialog } from '../pages/PasswordDialog';
import { LanguageSwitch, SchemeSwitch } from './Preferences';

function Place({ to, icon, children, id }: { to: string; icon: ReactNode; children: ReactNode; id: string }) {
  return (
    <NavLink to={to} end={to === '/'} className="nav-link" data-testid={`nav-${id}`}>
      {icon}
      {children}
    </NavLink>
  );
}

function Side() {
  const { t } = useTranslation();
  const version = useQuery({ queryKey: ['version'], queryFn: () => need(api.GET('/version')), staleTime: Infinity });
  return (
    <aside className="side" aria-label={t('nav.label')}>
      <Link to="/" className="brand" aria-label={t('nav.home')}>
        <Mark />
        <span translate="no">{t('brand')}</span>
      </Link>
      <nav className="nav" aria-label={t('nav.label')}>
        <Place to="/" icon={<DashboardOutlined />} id="overview">
          {t('nav.overview')}
        </Place>
        <div className="nav-group">
          <h2>{t('nav.traffic')}</h2>
          <Place to="/providers" icon={<CloudServerOutlined />} id="providers">
            {t('nav.providers')}
          </Place>
          <Place to="/routes" icon={<BranchesOutlined />} id="routes">
            {t('nav.routes')}
          </Place>
          <Place to="/consumers" icon={<KeyOutlined />} id="consumers">
            {t('nav.consumers')}
          </Place>
          <Place to="/groups" icon={<TeamOutlined />} id="groups">
            {t('nav.groups')}
          </Place>
          <Place to="/jwt-issuers" icon={<IdcardOutlined />} id="jwt-issuers">
            {t('nav.issuers')}
          </Place>
          <Place to="/quotas" icon={<WalletOutlined />} id="quotas">
            {t('nav.quotas')}
          </Place>
          <Place to="/prices" icon={<TagsOutlined />} id="prices">
            {t('nav.prices')}
          </Place>
          <Place to="/usage" icon={<BarChartOutlined />} id="usage">
            {t('nav.usage')}
          </Place>
          <Place to="/plugins" icon={<AppstoreOutlined />} id="plugins">
            {t('nav.plugins')}
          </Place>
        </div>
        <div className="nav-group">
          <h2>{t('nav.system')}</h2>
          <Place to="/requests" icon={<UnorderedListOutlined />} id="requests">
            {t('nav.requests')}
          </Place>
          <Place to="/alerts" icon={<AlertOutlined />} id="alerts">
            {t('nav.alerts')}
          </Place>
          <Place to="/workers" icon={<ClusterOutlined />} id="workers">
            {t('nav.workers')}
          </Place>
          <Place to="/revisions" icon={<HistoryOutlined />} id="revisions">
            {t('nav.revisions')}
          </Place>
          <Place to="/audit" icon={<AuditOutlined />} id="audit">
            {t('nav.audit')}
          </Place>
          <Place to="/settings/data-plane" icon={<SettingOutlined />} id="settings">
            {t('nav.settings')}
          </Place>
        </div>
      </nav>
      <div className="side-foot stack gap-4">
        <a href="/api/v1/openapi.json" target="_blank" rel="noreferrer">
          <ApiOutlined aria-hidden /> {t('nav.api')}
        </a>
        {version.data && <span>{t('nav.version', { version: version.data.version })}</span>}
      </div>
    </aside>
  );
}

function StatePill() {
  const { t } = useTranslation();
  const overview = useOverview();
  if (overview.isError) return <State level="bad">{t('pill.unreachable')}</State>;
  if (!overview.data) return null;
  const { workers, revision } = overview.data;
  const level = workers.connected === 0 ? 'bad' : workers.current < workers.connected ? 'warn' : 'ok';
  return (
    <Link to="/workers" className="pill" data-testid="state-pill">
      <State level={level}>{t('pill.workers', { count: workers.connected })}</State>
      <span className="faint nowrap wide-only">{t('pill.revision', { revision })}</span>
    </Link>
  );
}

function Person({ onPassword }: { onPassword: () => void }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const session = useSession();
  const user = session.data?.user;
  if (!user) return null;
  const leave = async () => {
    try {
      await need(api.DELETE('/session'));
    } finally {
      changePerson(client, null, 'left');
    }
  };
  return (
    <Dropdown
      trigger={['click']}
      placement="bottomRight"
      menu={{
        items: [
          { key: 'who', disabled: true, label: t('person.who', { name: user.username, role: t(`role.${user.role}`) }) },
          { type: 'divider' },
          { key: 'password', icon: <KeyOutlined />, label: <span data-testid="menu-password">{t('person.password')}</span>, onClick: onPassword },
          { key: 'leave', icon: <LogoutOutlined />, label: <span data-testid="menu-logout">{t('person.logout')}</span>, onClick: () => void leave().catch(() => undefined) },
        ],
      }}
    >
      <Button type="text" icon={<UserOutlined />} aria-label={t('person.menu')} data-testid="user-menu">
        <span className="wide-only">{user.username}</span>
      </Button>
    </Dropdown>
  );
}

export function Shell() {
  const { t } = useTranslation();
  const place = useLocation();
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const session = useSession();
  useLiveEvents();

  useEffect(() => {
    setOpen(false);
    /* A new page is read from its top; not on the first, where the browser's own place is right. */
    if (!first.current) {
      main.current?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    first.current = false;
  }, [place.pathname]);

  return (
    <>
      <a
        className="skip-link"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        {t('nav.skip')}
      </a>
      <div className="shell">
        <Side />
        <div>
          <header className="top">
            <Button
              className="only-narrow"
              type="text"
              icon={<MenuOutlined />}
              aria-label={t('nav.open')}
              onClick={() => setOpen(true)}
              data-testid="nav-open"
            />
            <div className="grow">
              <StatePill />
            </div>
            <LanguageSwitch />
            <SchemeSwitch />
            <Person onPassword={() => setPassword(true)} />
          </header>
          <main className="content" id="main" ref={main} tabIndex={-1}>
            <Suspense fallback={<LoadingRows />}>
              <Outlet />
            </Suspense>
          </main>
        </div>
      </div>
      <Drawer open={open} onClose={() => setOpen(false)} placement="left" width={280} className="drawer-nav" title={null} aria-label={t('nav.label')}>
        <Side />
      </Drawer>
      {session.data && <PasswordDialog username={session.data.user.username} own open={password} onClose={() => setPassword(false)} />}
    </>
  );
}
