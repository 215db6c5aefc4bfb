// npm run bench [-- NAME …] [--rounds 5] [--small]: every figure against its plain counterpart, interleaved in one run. The table is
// printed and written to docs/performance.json, from which docs/performance.md is made.
import '../scripts/require-node.cjs';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildIfStale } from '../scripts/built.js';
import { performancePage } from './page.js';

const here = dirname(fileURLToPath(import.meta.url));
const kept = join(here, '..', 'docs', 'performance.json');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' }, small: { type: 'boolean', default: false } },
});

buildIfStale();
const all = readdirSync(join(here, 'measures'))
  .filter((name) => name.endsWith('.js'))
  .map((name) => name.slice(0, -3));
const unknown = positionals.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`There is no measure ${unknown.join(', ')}; there are: ${all.join(', ')}\n`);
  process.exit(2);
}

// Nothing of the developer's own runs and sandboxes is seen or touched.
const home = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-home-'));
process.env.NOVAMEM_RUNBOOK_HOME = home;
process.on('exit', () => rmSync(home, { recursive: true, force: true }));

const machine = `${availableParallelism()} cores (${cpus()[0].model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node}`;
const results = existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : {};
let missed = 0;
for (const name of positionals.length > 0 ? positionals : all) {
  const [loadBefore] = loadavg();
  const { measure } = await import(`./measures/${name}.js`);
  process.stdout.write(`${name}\n`);
  const rows = await measure({
    rounds: Number(values.rounds),
    small: values.small,
    tell: (line) => process.stdout.write(`  ${line}\n`),
  });
  for (const { what, figure, target, met } of rows) {
    process.stdout.write(`  ${met ? 'met   ' : 'MISSED'}  ${what}: ${figure} (target ${target})\n`);
    if (!met) missed += 1;
  }
  results[name] = {
    at: new Date().toISOString().slice(0, 10),
    machine,
    loadBefore: Number(loadBefore.toFixed(1)),
    rounds: Number(values.rounds),
    small: values.small,
    rows,
  };
}
if (!values.small) {
  writeFileSync(kept, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(join(here, '..', 'docs', 'performance.md'), performancePage(results));
}
process.stdout.write(missed === 0 ? 'Every target is met.\n' : `${missed} missed.\n`);
