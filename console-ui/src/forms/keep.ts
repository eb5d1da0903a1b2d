/*
 * A form that is saved changes what its inputs show and nothing else: members of a stored object that it has no input
 * for, because they are newer than the form or out of sight, are sent back as they were.
 */
import type { FormInstance } from 'antd';

type Members = Record<string, unknown>;

function isMembers(value: unknown): value is Members {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** What is read of a secret: never sent back, which keeps the stored one. */
export function isMasked(value: unknown): boolean {
  return isMembers(value) && 'last4' in value && 'fingerprint' in value;
}

/** Without masked secrets, at any depth. */
export function unmasked<T>(value: T): T {
  if (Array.isArray(value)) return value.map(unmasked) as T;
  if (!isMembers(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, member]) => !isMasked(member)).map(([name, member]) => [name, unmasked(member)])) as T;
}

/** `over` with what only `under` has, at any depth of objects; lists are whole. */
function merged(under: Members, over: Members): Members {
  const out: Members = { ...over };
  for (const [name, value] of Object.entries(under)) {
    if (!(name in out)) out[name] = value;
    else if (isMembers(value) && isMembers(out[name])) out[name] = merged(value, out[name]);
  }
  return out;
}

/** All that the form holds; of `plugins`, whose inputs depend on one another, what is on the screen. */
export function held<V extends object>(form: FormInstance<V>, values: V): V {
  const { plugins: _all, ...rest } = form.getFieldsValue(true) as Members;
  return merged(rest, values as Members) as V;
}

/** Two lists of named objects, by name. */
function keepByName(stored: unknown[], seen: unknown[], sent: unknown[]): unknown[] {
  const of = (list: unknown[], name: unknown) => list.filter(isMembers).find((entry) => entry.name === name);
  return sent.map((entry) => {
    const was = isMembers(entry) ? of(stored, entry.name) : undefined;
    return isMembers(entry) && typeof entry.name === 'string' && was ? keepUnseen(was, of(seen, entry.name) ?? {}, entry) : entry;
  });
}

/**
 * What is sent, with those members of the stored object that the form was not filled with.  `seen` is what it was filled
 * with; a member that stands there and is not sent was emptied or removed.
 */
export function keepUnseen<W extends object>(stored: object, seen: object, sent: W): W {
  const out = { ...sent } as Members;
  for (const [name, value] of Object.entries(stored)) {
    const was = (seen as Members)[name];
    if (isMasked(value)) continue;
    if (!(name in seen)) {
      if (!(name in out)) out[name] = unmasked(value);
    } else if (isMembers(value) && isMembers(was) && isMembers(out[name])) {
      out[name] = keepUnseen(value, was, out[name]);
    } else if (Array.isArray(value) && Array.isArray(was) && Array.isArray(out[name])) {
      out[name] = keepByName(value, was, out[name]);
    }
  }
  return out as W;
}

/** What was emptied goes back to its default. */
export function emptyToNull(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value === undefined || value === ''
        ? null
        : typeof value === 'object' && value !== null && !Array.isArray(value)
          ? emptyToNull(value as Record<string, unknown>)
          : value,
    ]),
  );
}
