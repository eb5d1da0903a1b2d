/* Something most people leave shut.  Its fields stay in the form; it opens by itself when one of them is at fault. */
import { useEffect, useRef, type ReactNode } from 'react';

interface FoldProps {
  title: ReactNode;
  hint?: ReactNode;
  forceOpen?: boolean;
  testId?: string;
  children: ReactNode;
}

export function Fold({ title, hint, forceOpen, testId, children }: FoldProps) {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (forceOpen && box.current) box.current.open = true;
  }, [forceOpen]);
  return (
    <details className="fold" ref={box} data-testid={testId}>
      <summary>
        <span>{title}</span>
        {hint && <span className="hint">{hint}</span>}
      </summary>
      <div className="fold-body">{children}</div>
    </details>
  );
}
