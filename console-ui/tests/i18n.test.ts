/* Both languages say the same things, and pages say nothing that is not in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { en } from '../src/i18n/en';
import { zh } from '../src/i18n/zh';

type Texts = { [key: string]: string | Texts };

function flat(texts: Texts, at = ''): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, value] of Object.entries(texts)) {
    const path = at ? `${at}.${key}` : key;
    if (typeof value === 'string') out.set(path, value);
    else for (const [inner, text] of flat(value, path)) out.set(inner, text);
  }
  return out;
}

/* Chinese has one plural form, English two: they are compared without that. */
const stem = (key: string) => key.replace(/_(one|other)$/, '');
const english = flat(en);
const chinese = flat(zh);

describe('languages', () => {
  it('have the same keys', () => {
    const stems = (texts: Map<string, string>) => [...new Set([...texts.keys()].map(stem))].sort();
    expect(stems(chinese)).toEqual(stems(english));
  });

  it('have every plural form that the language needs', () => {
    for (const key of english.keys()) {
      if (key.endsWith('_one')) expect(english.has(`${stem(key)}_other`), key).toBe(true);
      if (key.endsWith('_other')) expect(english.has(`${stem(key)}_one`), key).toBe(true);
    }
    for (const key of chinese.keys()) expect(key.endsWith('_one'), key).toBe(false);
  });

  it('fill in the same values', () => {
    const holes = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}|<(\w)>/g)].map((hole) => hole[1] ?? hole[2]).sort();
    for (const [key, text] of chinese) {
      const other = english.get(key) ?? '';
      expect(new Set(holes(text)), key).toEqual(new Set(holes(other)));
    }
  });

  it('leave nothing empty and nothing untranslated', () => {
    const same = ['brand', 'providerForm.baseUrl', 'snippet.baseUrl', 'person.who'];
    for (const [key, text] of english) {
      expect(text.trim(), key).not.toBe('');
      const other = chinese.get(key);
      if (other !== undefined && /[A-Za-z]{3}/.test(text.replace(/\{\{\w+\}\}/g, '')) && !same.includes(key)) {
        expect(other, key).not.toBe(text);
      }
    }
  });
});

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx$/.test(entry.name) ? [path] : [];
  });
}

const SHOWN = new Set(['title', 'label', 'placeholder', 'aria-label', 'alt', 'description', 'message', 'okText', 'cancelText', 'extra', 'help', 'text', 'hint', 'lead', 'question', 'summary']);
const WORDS = /\p{L}{2}/u;
/* Examples of what one types are the same in every language. */
const EXAMPLE = /^(https?:\/\/\S+|[a-z0-9*.,/_{}:"\s[\]-]+|sk-…|tgs_…|-----BEGIN CERTIFICATE-----|[a-z]+@example\.com|[a-z0-9.-]+(, [a-z0-9.*-]+)*)$/;

/** Every text in JSX that a person would see and no language file has. */
function hardCoded(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX);
  const found: string[] = [];
  const note = (node: ts.Node, text: string) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart());
    found.push(`${file}:${line + 1}: ${text.trim()}`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isJsxText(node) && WORDS.test(node.text)) note(node, node.text);
    if (ts.isJsxAttribute(node) && node.initializer && SHOWN.has(node.name.getText())) {
      const value = ts.isJsxExpression(node.initializer) ? node.initializer.expression : node.initializer;
      if (value && ts.isStringLiteralLike(value) && WORDS.test(value.text) && !(node.name.getText() === 'placeholder' && EXAMPLE.test(value.text)) && !/^[a-z-]+$/.test(value.text)) {
        note(node, value.text);
      }
    }
    if (ts.isJsxExpression(node) && node.expression && !ts.isJsxAttribute(node.parent) && ts.isStringLiteralLike(node.expression) && WORDS.test(node.expression.text)) {
      note(node, node.expression.text);
    }
    if (ts.isPropertyAssignment(node) && ['title', 'label', 'message', 'description'].includes(node.name.getText()) && ts.isStringLiteralLike(node.initializer) && WORDS.test(node.initializer.text)) {
      note(node, node.initializer.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

describe('pages', () => {
  it('have no text of their own', () => {
    const names = ['curl', 'Python', 'Node.js', 'pip install openai', 'npm install openai'];
    const found = sources(join(__dirname, '../src')).flatMap(hardCoded);
    expect(found.filter((line) => !names.includes(line.replace(/^.*:\d+: /, '')))).toEqual([]);
  });
});
