/* The mark: a gate with the tide passing under it. */
import { useId } from 'react';

export function Mark({ size = 30 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#0b7a75" />
      <path d="M8 24.5V14a8 8 0 0 1 16 0v10.5" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />
      <path
        d="M11.6 17.4c1.47-1.5 2.93-1.5 4.4 0s2.93 1.5 4.4 0M11.6 22.6c1.47-1.5 2.93-1.5 4.4 0s2.93 1.5 4.4 0"
        fill="none"
        stroke="#9fe8de"
        strokeWidth="2.3"
        strokeLinecap="round"
      />
    </svg>
  );
}

/** The quiet picture beside the doors: a row of gates standing in the water. */
export function TidePicture() {
  const id = useId();
  return (
    <svg viewBox="0 0 800 900" preserveAspectRatio="xMidYMax slice" aria-hidden="true" focusable="false">
      <defs>
        <linearGradient id={id} x1="0" x2="0" y1="0" y2="1">
          <stop offset="0" stopColor="#bff3ea" stopOpacity="0.34" />
          <stop offset="1" stopColor="#063238" stopOpacity="0.6" />
        </linearGradient>
      </defs>
      {[90, 290, 490, 690].map((x, i) => (
        <path
          key={x}
          d={`M${x - 66} 900V${590 + (i % 2) * 16}a66 66 0 0 1 132 0V900`}
          fill="none"
          stroke="#fff"
          strokeOpacity={0.2 + 0.06 * i}
          strokeWidth="15"
        />
      ))}
      <path d="M0 690c70-34 130-34 200 0s130 34 200 0 130-34 200 0 130 34 200 0v210H0Z" fill={`url(#${id})`} />
      <path d="M0 748c70-30 130-30 200 0s130 30 200 0 130-30 200 0 130 30 200 0v152H0Z" fill="#0a4a50" fillOpacity="0.55" />
      <path d="M0 812c70-26 130-26 200 0s130 26 200 0 130-26 200 0 130 26 200 0v88H0Z" fill="#07383e" fillOpacity="0.75" />
    </svg>
  );
}

export function Waves({ className }: { className?: string }) {
  return (
    <svg className={className} viewBox="0 0 400 100" preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <path d="M0 70c35-17 65-17 100 0s65 17 100 0 65-17 100 0 65 17 100 0v30H0Z" fill="currentColor" fillOpacity="0.6" />
      <path d="M0 84c35-14 65-14 100 0s65 14 100 0 65-14 100 0 65 14 100 0v16H0Z" fill="currentColor" />
    </svg>
  );
}
