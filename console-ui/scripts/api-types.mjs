/*
 * Writes src/api/schema.gen.ts from the API description.  `--check` writes nothing and fails when the file on disk
 * is not what the description gives.
 */
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const source = new URL('../../proto/openapi.yaml', import.meta.url);
const target = new URL('../src/api/schema.gen.ts', import.meta.url);

const ast = await openapiTS(source, { defaultNonNullable: false, silent: true });
const text = `/* Made from proto/openapi.yaml by scripts/api-types.mjs; do not edit. */\n${astToString(ast)}`;
const old = await readFile(target, 'utf8').catch(() => '');

if (process.argv.includes('--check')) {
  if (old !== text) {
    console.error('src/api/schema.gen.ts is not fresh; run `npm run api`');
    process.exit(1);
  }
} else if (old !== text) {
  await writeFile(target, text);
}
