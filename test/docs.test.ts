import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readRunbook } from '../src/runbook/runbook.js';
import { ROOT } from './support/program.js';
import { tempFolder } from './support/temp.js';

const docs = join(ROOT, 'docs');
const pages = readdirSync(docs).filter((name) => name.endsWith('.md'));
const read = (page: string) => readFileSync(join(docs, page), 'utf8');

test.each(pages)('what %s links to is there', (page) => {
  const links = [...read(page).matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)].map((match) => match[1]!);
  expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
});

test('the index names every page', () => {
  const index = read('README.md');
  expect(pages.filter((page) => page !== 'README.md' && !index.includes(`(${page})`))).toEqual([]);
});

test('the runbook that is shown is one', () => {
  const [, text] = /^```yaml\n([\s\S]*?)^```$/m.exec(read('writing-a-runbook.md'))!;
  const file = join(tempFolder('docs'), 'restart.yaml');
  writeFileSync(file, text!);
  expect(readRunbook(file, 'restart').faults).toEqual([]);
});
