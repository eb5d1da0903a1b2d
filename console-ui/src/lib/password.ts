/* A hint, not a rule: the control plane decides.  Rough bits of a guesser who tries words, runs and repeats first. */

export type Strength = 'short' | 'weak' | 'fair' | 'good' | 'strong';

export const MIN_PASSWORD = 10;

export function passwordBits(password: string): number {
  let alphabet = 0;
  if (/[a-z]/.test(password)) alphabet += 26;
  if (/[A-Z]/.test(password)) alphabet += 26;
  if (/[0-9]/.test(password)) alphabet += 10;
  if (/[ -/:-@[-`{-~]/.test(password)) alphabet += 32;
  if (/[^\x20-\x7e]/.test(password)) alphabet += 200;
  let length = 0;
  for (let i = 0; i < password.length; i++) {
    const step = i > 0 ? Math.abs(password.charCodeAt(i) - password.charCodeAt(i - 1)) : 2;
    length += step <= 1 ? 0.3 : 1;
  }
  const distinct = new Set(password).size;
  return Math.min(length, distinct * 1.5) * Math.log2(Math.max(alphabet, 2));
}

export function passwordStrength(password: string, username = ''): Strength {
  if (password.length < MIN_PASSWORD) return 'short';
  const plain = password.toLowerCase();
  if (username !== '' && plain.includes(username.toLowerCase())) return 'weak';
  if (/password|qwerty|letmein|tidegate|admin/.test(plain)) return 'weak';
  const bits = passwordBits(password);
  if (bits < 40) return 'weak';
  if (bits < 56) return 'fair';
  if (bits < 76) return 'good';
  return 'strong';
}
