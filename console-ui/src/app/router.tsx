/* Addresses.  Every page is its own file to load; the doors (setup, login) do not load what is behind them. */
import { createBrowserRouter, Navigate, type RouteObject } from 'react-router-dom';
import { Broken } from './Broken';
import { Root } from './Root';

export const routes: RouteObject[] = [
  {
    element: <Root />,
    errorElement: <Broken />,
    children: [
      { path: '/setup', lazy: async () => ({ Component: (await import('../pages/Setup')).SetupPage }) },
      { path: '/login', lazy: async () => ({ Component: (await import('../pages/Login')).LoginPage }) },
      {
        lazy: async () => ({ Component: (await import('./Shell')).Shell }),
        children: [
          {
            errorElement: <Broken inside />,
            children: [
              { path: '/', lazy: async () => ({ Component: (await import('../pages/Overview')).OverviewPage }) },
              { path: '/providers', lazy: async () => ({ Component: (await import('../pages/Providers')).ProvidersPage }) },
              { path: '/providers/new', lazy: async () => ({ Component: (await import('../pages/ProviderNew')).ProviderNewPage }) },
              { path: '/providers/:name', lazy: async () => ({ Component: (await import('../pages/Provider')).ProviderPage }) },
              { path: '/routes', lazy: async () => ({ Component: (await import('../pages/Routes')).RoutesPage }) },
              { path: '/routes/new', lazy: async () => ({ Component: (await import('../pages/RouteNew')).RouteNewPage }) },
              { path: '/routes/:name', lazy: async () => ({ Component: (await import('../pages/Route')).RoutePage }) },
              { path: '/consumers', lazy: async () => ({ Component: (await import('../pages/Consumers')).ConsumersPage }) },
              { path: '/quotas', lazy: async () => ({ Component: (await import('../pages/Quotas')).QuotasPage }) },
              { path: '/prices', lazy: async () => ({ Component: (await import('../pages/Prices')).PricesPage }) },
              { path: '/usage', lazy: async () => ({ Component: (await import('../pages/Usage')).UsagePage }) },
              { path: '/consumers/:name', lazy: async () => ({ Component: (await import('../pages/Consumer')).ConsumerPage }) },
              { path: '/groups', lazy: async () => ({ Component: (await import('../pages/Groups')).GroupsPage }) },
              { path: '/groups/:name', lazy: async () => ({ Component: (await import('../pages/Group')).GroupPage }) },
              { path: '/jwt-issuers', lazy: async () => ({ Component: (await import('../pages/JwtIssuers')).JwtIssuersPage }) },
              { path: '/plugins', lazy: async () => ({ Component: (await import('../pages/Plugins')).PluginsPage }) },
              { path: '/global-plugins/:name', element: <Navigate to="/plugins" replace /> },
              { path: '/workers', lazy: async () => ({ Component: (await import('../pages/Workers')).WorkersPage }) },
              { path: '/workers/:id', lazy: async () => ({ Component: (await import('../pages/Worker')).WorkerPage }) },
              { path: '/alerts', element: <Navigate to="/alerts/events" replace /> },
              { path: '/alerts/:tab', lazy: async () => ({ Component: (await import('../pages/Alerts')).AlertsPage }) },
              { path: '/revisions', lazy: async () => ({ Component: (await import('../pages/Revisions')).RevisionsPage }) },
              { path: '/revisions/:revision', lazy: async () => ({ Component: (await import('../pages/Revision')).RevisionPage }) },
              { path: '/requests', lazy: async () => ({ Component: (await import('../pages/Requests')).RequestsPage }) },
              { path: '/requests/:id', lazy: async () => ({ Component: (await import('../pages/Request')).RequestPage }) },
              { path: '/audit', lazy: async () => ({ Component: (await import('../pages/Audit')).AuditPage }) },
              { path: '/settings', element: <Navigate to="/settings/data-plane" replace /> },
              { path: '/settings/:tab', lazy: async () => ({ Component: (await import('../pages/Settings')).SettingsPage }) },
              { path: '*', lazy: async () => ({ Component: (await import('../pages/NotFound')).NotFoundPage }) },
            ],
          },
        ],
      },
    ],
  },
];

export const router = createBrowserRouter(routes);
