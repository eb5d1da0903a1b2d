/* Requests over time; errors stand at the foot of each bar.  Plain SVG: there is nothing to load. */
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { useFormats } from '../lib/format';

const HEIGHT = 150;

export function BarChart({ series, label }: { series: Schemas['Figures']['series']; label: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const most = Math.max(1, ...series.map((bucket) => bucket.requests));
  const first = series[0];
  const last = series[series.length - 1];
  if (!first || !last || series.every((bucket) => bucket.requests === 0)) return <p className="muted">{t('overview.noRequests')}</p>;
  const step = 100 / series.length;
  const usable = HEIGHT - 4;
  return (
    <figure>
      <svg className="chart" viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <line className="base" x1="0" x2="100" y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} vectorEffect="non-scaling-stroke" />
        {series.map((bucket, i) => {
          const all = (bucket.requests / most) * usable;
          const bad = (Math.min(bucket.errors, bucket.requests) / most) * usable;
          const x = i * step + step * 0.14;
          return (
            <g key={bucket.time}>
              <title>
                {t('overview.bucket', {
                  time: formats.time(bucket.time),
                  requests: formats.number(bucket.requests),
                  errors: formats.number(bucket.errors),
                  tokens: formats.number(bucket.tokens),
                })}
              </title>
              <rect x={i * step} y="0" width={step} height={HEIGHT} fill="transparent" />
              <rect className="bar" x={x} y={HEIGHT - all} width={step * 0.72} height={all} />
              <rect className="bar err" x={x} y={HEIGHT - bad} width={step * 0.72} height={bad} />
            </g>
          );
        })}
      </svg>
      <div className="chart-axis" aria-hidden>
        <span>{formats.time(first.time)}</span>
        <span>{t('overview.chartMost', { count: most })}</span>
        <span>{formats.time(last.time)}</span>
      </div>
    </figure>
  );
}
