#!/usr/bin/env node
import '../scripts/require-node.cjs';
import { readFileSync } from 'node:fs';
import module from 'node:module';

if (process.argv.length === 3 && process.argv[2] === '--version') {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`${version}\n`);
} else {
  module.enableCompileCache();
  await import('../dist/bundle/cli.js');
}
