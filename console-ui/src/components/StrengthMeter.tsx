import { useTranslation } from 'react-i18next';
import { passwordStrength, type Strength } from '../lib/password';

const LEVELS: Record<Strength, number> = { short: 0, weak: 1, fair: 2, good: 3, strong: 4 };

export function StrengthMeter({ password, username }: { password: string; username?: string }) {
  const { t } = useTranslation();
  if (password === '') return null;
  const strength = passwordStrength(password, username);
  return (
    <div className="meter" data-level={LEVELS[strength]} role="status" data-testid="password-strength">
      <span className="cells" aria-hidden>
        <span />
        <span />
        <span />
        <span />
      </span>
      <span>{t(`strength.${strength}`)}</span>
    </div>
  );
}
