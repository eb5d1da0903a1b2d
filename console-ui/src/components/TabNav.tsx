/* Parts of a page, as links: each has its own address. */
import { Link } from 'react-router-dom';

interface TabNavProps {
  label: string;
  current: string;
  tabs: { key: string; to: string; text: string; testId: string }[];
}

export function TabNav({ label, current, tabs }: TabNavProps) {
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <Link key={tab.key} to={tab.to} replace aria-current={tab.key === current ? 'page' : undefined} data-testid={tab.testId}>
          {tab.text}
        </Link>
      ))}
    </nav>
  );
}
