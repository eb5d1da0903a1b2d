/*
 * A form whose value has the shape of the API's object, so that every fault the API names by JSON pointer finds its
 * field.  Faults without a field stay in `rest` and are shown above the buttons.
 */
import { Form, type FormInstance } from 'antd';
import { useFaultText, useTellWarnings } from '../components/Problem';
import { useState } from 'react';
import { asApiError, type ApiError, type ProblemError } from '../api/errors';
import { fieldOf, type FieldPath } from '../lib/pointer';

export interface ApiForm<V> {
  form: FormInstance<V>;
  busy: boolean;
  error: ApiError | null;
  rest: ProblemError[];
  /** Paths of the fields at fault; folds open by it. */
  faults: FieldPath[];
  /** Runs the call; warnings in the answer that it returns are told. */
  submit: (work: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
  onFinishFailed: (info: { errorFields: { name: FieldPath }[] }) => void;
}

export function spread(
  errors: ProblemError[],
  fields: FieldPath[],
  words: (fault: ProblemError) => string = (fault) => fault.message,
): { placed: { name: FieldPath; errors: string[] }[]; rest: ProblemError[] } {
  const placed: { name: FieldPath; errors: string[] }[] = [];
  const rest: ProblemError[] = [];
  for (const fault of errors) {
    const field = fault.code === 'referenced' ? undefined : fieldOf(fault.path, fields);
    if (!field) {
      rest.push(fault);
      continue;
    }
    const same = placed.find((entry) => JSON.stringify(entry.name) === JSON.stringify(field));
    if (same) same.errors.push(words(fault));
    else placed.push({ name: field, errors: [words(fault)] });
  }
  return { placed, rest };
}

export function useApiForm<V>(): ApiForm<V> {
  const [form] = Form.useForm<V>();
  const words = useFaultText();
  const tell = useTellWarnings();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [rest, setRest] = useState<ProblemError[]>([]);
  const [faults, setFaults] = useState<FieldPath[]>([]);

  const clear = () => {
    setError(null);
    setRest([]);
    setFaults([]);
  };

  return {
    form,
    busy,
    error,
    rest,
    faults,
    clear,
    onFinishFailed: (info) => {
      setFaults(info.errorFields.map((field) => field.name));
      const first = info.errorFields[0];
      if (first) window.setTimeout(() => form.scrollToField(first.name as never, { block: 'center', focus: true }), 60);
    },
    async submit(work) {
      setBusy(true);
      clear();
      try {
        tell(await work());
        return true;
      } catch (thrown) {
        const problem = asApiError(thrown);
        const fields = form.getFieldsError().map((field) => field.name as FieldPath);
        const { placed, rest: homeless } = spread(problem.errors, fields, words);
        form.setFields(placed as never);
        setFaults(placed.map((entry) => entry.name));
        setRest(homeless);
        /* With every fault at its field, and nothing else to say, no alert is needed. */
        setError(placed.length > 0 && homeless.length === 0 ? null : problem);
        const first = placed[0];
        if (first) window.setTimeout(() => form.scrollToField(first.name as never, { block: 'center', focus: true }), 60);
        return false;
      } finally {
        setBusy(false);
      }
    },
  };
}

/** Is one of the faults inside one of these members? */
export function within(faults: FieldPath[], ...members: string[]): boolean {
  return faults.some((fault) => members.includes(String(fault[0])));
}
