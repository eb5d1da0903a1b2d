/* The frame of a page: title (also of the browser tab), one sentence, actions, and the way back. */
import { ArrowLeftOutlined } from '@ant-design/icons';
import { useEffect, type ReactNode } from 'react';
import { Link } from 'react-router-dom';

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Tidegate`;
  }, [title]);
}

interface PageProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  back?: { to: string; text: string };
  children: ReactNode;
}

export function Page({ title, lead, actions, back, children }: PageProps) {
  useTitle(title);
  return (
    <>
      {back && (
        <Link to={back.to} className="back">
          <ArrowLeftOutlined aria-hidden />
          {back.text}
        </Link>
      )}
      <header className="page-head">
        <div className="titles">
          <h1 className="break">{title}</h1>
          {lead && <p>{lead}</p>}
        </div>
        {actions && <div className="actions">{actions}</div>}
      </header>
      {children}
    </>
  );
}

interface CardProps {
  title?: ReactNode;
  lead?: ReactNode;
  extra?: ReactNode;
  flush?: boolean;
  testId?: string;
  children: ReactNode;
}

export function Card({ title, lead, extra, flush, testId, children }: CardProps) {
  return (
    <section className="card" data-testid={testId}>
      {(title || extra) && (
        <div className="card-head">
          <div className="titles">
            <h2>{title}</h2>
            {lead && <p>{lead}</p>}
          </div>
          {extra}
        </div>
      )}
      <div className={flush ? 'card-body flush' : 'card-body'}>{children}</div>
    </section>
  );
}

/** A part of a long form: what it is on the left, its fields on the right. */
export function Section({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  return (
    <section className="section">
      <header>
        <h2>{title}</h2>
        {lead && <p>{lead}</p>}
      </header>
      <div>{children}</div>
    </section>
  );
}
