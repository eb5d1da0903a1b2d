/* What is shown in the place of a stored secret: of a short one not even its end is known here. */
import type { TFunction } from 'i18next';

export function storedSecret(t: TFunction, secret: { last4: string }): string {
  return secret.last4 ? t('form.secretStored', { last4: secret.last4 }) : t('form.secretKept');
}
