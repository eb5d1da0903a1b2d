/* Around every page: look, data, and the question whether somebody is logged in. */
import { QueryClient, QueryClientProvider, useQueryClient } from '@tanstack/react-query';
import { App, Button, ConfigProvider } from 'antd';
import { Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, Outlet, useLocation } from 'react-router-dom';
import { onSessionEnd } from '../api/client';
import { ApiError } from '../api/errors';
import { changePerson, hasLeft, useSession, useSetup } from '../api/queries';
import { Mark } from '../components/Brand';
import { ProblemAlert } from '../components/Problem';
import { usePreferences } from '../lib/preferences';
import { themeFor } from './theme';

function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2_000,
        retry: (count, error) => count < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
        retryDelay: (count) => 400 * 2 ** count,
      },
    },
  });
}

export function Root() {
  const { dark } = usePreferences();
  const [client] = useState(newQueryClient);
  return (
    <ConfigProvider theme={themeFor(dark)} button={{ autoInsertSpace: false }} form={{ requiredMark: false }}>
      <App>
        <QueryClientProvider client={client}>
          <Gate />
        </QueryClientProvider>
      </App>
    </ConfigProvider>
  );
}

export function Splash() {
  const { t } = useTranslation();
  return (
    <div className="splash" role="status" aria-label={t('common.loading')}>
      <Mark size={52} />
    </div>
  );
}

/** Where this place is to be reached again after the login. */
export function nextOf(search: string): string {
  const next = new URLSearchParams(search).get('next') ?? '/';
  return next.startsWith('/') && !next.startsWith('//') ? next : '/';
}

function Gate() {
  const { t } = useTranslation();
  const place = useLocation();
  const client = useQueryClient();
  const setup = useSetup();
  const session = useSession();

  useEffect(
    () =>
      onSessionEnd(() => {
        if (client.getQueryData(['session'])) changePerson(client, null);
      }),
    [client],
  );

  if (setup.isPending || session.isPending) return <Splash />;
  const fault = setup.error ?? session.error;
  if (fault && !session.data) {
    return (
      <div className="splash">
        <div style={{ maxWidth: 460, padding: 24 }}>
          <ProblemAlert error={fault} />
          <Button
            onClick={() => {
              void setup.refetch();
              void session.refetch();
            }}
            data-testid="retry"
          >
            {t('common.retry')}
          </Button>
        </div>
      </div>
    );
  }
  const at = place.pathname;
  if (setup.data && !setup.data.initialised) {
    if (at !== '/setup') return <Navigate to="/setup" replace />;
  } else if (at === '/setup') {
    return <Navigate to="/" replace />;
  } else if (!session.data && at !== '/login') {
    const next = at + place.search;
    return <Navigate to={next === '/' || hasLeft(client) ? '/login' : `/login?next=${encodeURIComponent(next)}`} replace />;
  } else if (session.data && at === '/login') {
    return <Navigate to={nextOf(place.search)} replace />;
  }
  return (
    <Suspense fallback={<Splash />}>
      <Outlet />
    </Suspense>
  );
}
