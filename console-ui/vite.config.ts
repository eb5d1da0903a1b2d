import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

/* `npm run dev` speaks to a control plane; TIDEGATE_CONSOLE_API names another one than the default. */
const api = process.env.TIDEGATE_CONSOLE_API ?? 'http://127.0.0.1:8001';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2021',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
    rollupOptions: {
      output: {
        /* Fewer, larger files: a hundred tiny ones cost a new visitor a hundred requests. */
        experimentalMinChunkSize: 16_384,
        /* What every page needs changes rarely: one file that browsers keep over releases. */
        manualChunks: (id) =>
          /node_modules\/(react|react-dom|scheduler|react-router|react-router-dom|@remix-run|@tanstack|i18next|react-i18next|openapi-fetch)\//.test(id)
            ? 'framework'
            : undefined,
      },
    },
  },
  server: { proxy: { '/api': api, '/healthz': api, '/readyz': api } },
  test: { environment: 'jsdom', include: ['tests/**/*.test.{ts,tsx}'], testTimeout: 60000 },
});
