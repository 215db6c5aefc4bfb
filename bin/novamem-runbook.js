#!/usr/bin/env node
import '../scripts/require-node.cjs';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { join } from 'node:path';

if (process.argv.length === 3 && process.argv[2] === '--version') {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`${version}\n`);
} else if (!existsSync(new URL('../dist/bundle/cli.js', import.meta.url))) {
  process.stderr.write(
    'novamem-runbook is not built here. Nothing was started. In a clone of the project the npm scripts build it: npm start -- --help\n',
  );
  process.exitCode = 2;
} else {
  // Not in the folder for temporary files, where Node would put it: whoever gets there first could have this program run other code.
  const { XDG_CACHE_HOME, HOME } = process.env;
  const caches = XDG_CACHE_HOME || (HOME && join(HOME, '.cache'));
  if (caches) module.enableCompileCache(join(caches, 'novamem-runbook'));
  await import('../dist/bundle/cli.js');
}
