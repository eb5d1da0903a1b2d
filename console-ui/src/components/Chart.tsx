/*
 * Lines over time, drawn by uPlot on a canvas.  What the canvas shows also stands in the legend below it, as text: the value
 * under the pointer, else the newest one.  Drag across the chart to look closer; a double click gives the whole span back.
 */
import { useEffect, useMemo, useRef, useState } from 'react';
import type uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { usePreferences } from '../lib/preferences';

export interface ChartLine {
  label: string;
  /** One for each time; null: nothing was measured. */
  values: readonly (number | null)[];
  /** `bad` is for errors; else colours are given out in order. */
  tone?: 'bad';
}

interface ChartProps {
  /** Unix seconds, ascending. */
  times: readonly number[];
  lines: readonly ChartLine[];
  /** How a value is written, on the axis and in the legend. */
  format: (value: number) => string;
  /** What the chart shows, for those who cannot see it. */
  label: string;
  /** Shown instead of a chart when nothing was measured. */
  empty: string;
  height?: number;
  onZoom?: (from: number, to: number) => void;
  testId?: string;
}

/* Enough contrast on both papers, and told apart by most eyes (after Okabe and Ito). */
const INKS = {
  light: ['#0b7a75', '#b26a00', '#3457a6', '#8a3d80', '#5d7a12', '#0072a3', '#8a4b3c', '#5a6c72'],
  dark: ['#4cc9be', '#e8b450', '#8fb0ff', '#e09ad6', '#b4d455', '#63c7f2', '#e8a08c', '#a5b6bc'],
} as const;

export function inkOf(line: ChartLine, index: number, dark: boolean): string {
  if (line.tone === 'bad') return dark ? '#f58a83' : '#c6362f';
  const inks = INKS[dark ? 'dark' : 'light'];
  return inks[index % inks.length] ?? inks[0];
}

function newest(values: readonly (number | null)[]): number | null {
  for (let i = values.length - 1; i >= 0; i -= 1) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** Values without a neighbour: no line leads to them, so that they need a dot to be seen. */
export function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const is = (i: number) => values[i] !== null && values[i] !== undefined;
  return Array.from({ length: values.length }, (_, i) => i).filter((i) => is(i) && !is(i - 1) && !is(i + 1));
}

/** Steps of an axis that are finer than what is written say the same twice; the second is left out. */
export function unlike(texts: readonly string[]): string[] {
  return texts.map((text, i) => (i > 0 && text === texts[i - 1] ? '' : text));
}

/** Pretended browsers have no canvas: the legend then says everything. */
function canDraw(): boolean {
  return typeof window.CanvasRenderingContext2D === 'function' && typeof window.Path2D === 'function';
}

export function Chart({ times, lines, format, label, empty, height = 190, onZoom, testId }: ChartProps) {
  const { dark, language } = usePreferences();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const zoom = useRef(onZoom);
  const words = useRef(format);
  zoom.current = onZoom;
  words.current = format;
  const [at, setAt] = useState<number | null>(null);
  const shape = lines.map((line) => `${line.label}\n${line.tone ?? ''}`).join('\n\n');
  const data = useMemo(
    () => [[...times], ...lines.map((line) => [...line.values])] as unknown as uPlot.AlignedData,
    [times, lines],
  );
  const hasData = lines.some((line) => line.values.some((value) => value !== null));
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const box = place.current;
    if (!box || !hasData || !canDraw()) return undefined;
    const style = window.getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue('--text-3');
    const grid = { stroke: style.getPropertyValue('--line'), width: 1 };
    const font = `11px ${style.getPropertyValue('--font')}`;
    const locale = language === 'zh' ? 'zh-CN' : 'en';
    const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
    const clockSeconds = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
    const day = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric' });
    const time = (seconds: number, step: number) => {
      const date = new Date(seconds * 1000);
      if (step >= 86_400) return day.format(date);
      return (step < 60 ? clockSeconds : clock).format(date);
    };
    const options: uPlot.Options = {
      width: Math.max(200, box.clientWidth),
      height,
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
      scales: {
        /* A single time would be stretched over years. */
        x: { range: (_u, min, max) => (max > min ? [min, max] : [min - 43_200, min + 43_200]) },
        y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        { stroke: ink, grid, ticks: grid, font, space: 70, values: (_u, splits, _axis, _space, step) => splits.map((split) => time(split, step)) },
        { stroke: ink, grid, ticks: { show: false }, font, size: 62, values: (_u, splits) => unlike(splits.map((split) => words.current(split))) },
      ],
      series: [
        {},
        ...lines.map((line, i) => ({
          label: line.label,
          stroke: inkOf(line, i, dark),
          fill: lines.length === 1 ? `${inkOf(line, i, dark)}22` : undefined,
          width: 1.7,
          points: { show: true, size: 5, filter: (u: uPlot, index: number) => lonely(u.data[index] ?? []) },
          spanGaps: false,
        })),
      ],
      hooks: {
        setCursor: [(u) => setAt(u.cursor.idx ?? null)],
        setSelect: [
          (u) => {
            if (u.select.width < 8) return;
            const from = u.posToVal(u.select.left, 'x');
            const to = u.posToVal(u.select.left + u.select.width, 'x');
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            zoom.current?.(from, to);
          },
        ],
      },
    };
    /* Loaded when the first chart is drawn. */
    let gone = false;
    let watcher: ResizeObserver | undefined;
    void import('uplot').then(({ default: Plot }) => {
      if (gone) return;
      const drawn = new Plot(options, latest.current, box);
      plot.current = drawn;
      watcher = new ResizeObserver(() => drawn.setSize({ width: Math.max(200, box.clientWidth), height }));
      watcher.observe(box);
    });
    return () => {
      gone = true;
      watcher?.disconnect();
      plot.current?.destroy();
      plot.current = null;
      setAt(null);
    };
    // The lines' names decide the drawing; their values are set below without making it anew.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape, dark, language, height, hasData]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  if (!hasData) {
    return (
      <p className="muted chart-empty" data-testid={testId} data-empty="true">
        {empty}
      </p>
    );
  }
  return (
    <figure className="lines" data-testid={testId}>
      <div ref={place} className="lines-plot" role="img" aria-label={label} style={{ minHeight: height }} />
      <figcaption>
        <ul className="lines-legend">
          {lines.map((line, i) => {
            const value = at === null ? newest(line.values) : (line.values[at] ?? null);
            return (
              <li key={line.label}>
                <span className="swatch" style={{ background: inkOf(line, i, dark) }} aria-hidden />
                <span className="break">{line.label}</span>
                <strong>{value === null ? '–' : format(value)}</strong>
              </li>
            );
          })}
        </ul>
      </figcaption>
    </figure>
  );
}
