import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router-dom';
import './app/styles.css';
import { router } from './app/router';
import { startI18n } from './i18n';
import { reflect } from './lib/preferences';

reflect();
void startI18n().then(() => {
  const root = document.getElementById('root');
  if (root) createRoot(root).render(<RouterProvider router={router} />);
});
