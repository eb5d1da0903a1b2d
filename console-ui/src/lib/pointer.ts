/* JSON pointers (RFC 6901) of API errors, and the form fields that they mean. */

export type FieldPath = (string | number)[];

export function parsePointer(pointer: string): FieldPath {
  if (!pointer.startsWith('/')) return [];
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'))
    .map((part) => (/^(0|[1-9][0-9]*)$/.test(part) ? Number(part) : part));
}

function startsWith(path: FieldPath, prefix: FieldPath): boolean {
  return prefix.length <= path.length && prefix.every((part, i) => String(part) === String(path[i]));
}

/** The form field at which a fault is shown: the longest one that the pointer passes through. */
export function fieldOf(pointer: string, fields: FieldPath[]): FieldPath | undefined {
  const path = parsePointer(pointer);
  if (path.length === 0) return undefined;
  let best: FieldPath | undefined;
  for (const field of fields) {
    if (field.length > 0 && startsWith(path, field) && (!best || field.length > best.length)) best = field;
  }
  return best;
}
