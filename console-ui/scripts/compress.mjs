/* Puts .br and .gz beside every file of dist that gains from it, so that the server never compresses. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
const worth = /\.(js|css|html|svg|json|webmanifest)$/;
const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);

async function* files(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else if (worth.test(entry.name)) yield path;
  }
}

let plain = 0;
let small = 0;
for await (const path of files(dist)) {
  const bytes = await readFile(path);
  if (bytes.length < 512) continue;
  const br = await brotli(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 10, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  const gz = await deflate(bytes, { level: 9 });
  if (br.length < bytes.length) await writeFile(`${path}.br`, br);
  if (gz.length < bytes.length) await writeFile(`${path}.gz`, gz);
  plain += bytes.length;
  small += br.length;
}
console.log(`compressed ${(plain / 1024).toFixed(0)} KiB to ${(small / 1024).toFixed(0)} KiB`);
