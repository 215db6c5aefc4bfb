import { existsSync, readdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The bundle holds what the program needs of others' packages, so the package names none of them but the servers: an installation would
// fetch them all once more. While npm packs, package.json is the package's; the clone's own one waits beside the build.

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const file = join(root, 'package.json');
const waiting = join(root, 'dist', 'package.json');

/** Puts the package's own package.json into the place of the clone's, and the licences of what is bundled beside the bundle. */
export function beforePacking() {
  const text = readFileSync(file, 'utf8');
  const { dependencies: _, ...rest } = JSON.parse(text);
  const { atime, mtime } = statSync(file);
  writeFileSync(waiting, text);
  utimesSync(waiting, atime, mtime);
  writeFileSync(`${waiting}.new`, `${JSON.stringify(rest, null, 2)}\n`);
  renameSync(`${waiting}.new`, file);
  writeFileSync(join(root, 'dist', 'bundle', 'LICENSES.txt'), licences());
}

/** Puts the clone's package.json back, after a packing that ended or was killed. */
export function afterPacking() {
  if (existsSync(waiting)) renameSync(waiting, file);
}

/** What each package that may be in the bundle says of its licence; a text that several share stands once. */
function licences() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const byText = new Map();
  for (const [path, { dev, optional, devOptional, version, license = 'see its page' }] of Object.entries(packages)) {
    if (path === '' || dev || optional || devOptional || !existsSync(join(root, path))) continue;
    const name = readdirSync(join(root, path)).find((one) => /^(licen[cs]e|copying)/i.test(one));
    const text = name ? readFileSync(join(root, path, name), 'utf8').trim() : '';
    const said = `${path.replace(/^.*node_modules\//, '')} ${version} (${license})`;
    byText.set(text, [...(byText.get(text) ?? []), said]);
  }
  return [...byText].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`).join(`\n${'-'.repeat(72)}\n\n`);
}
