#!/usr/bin/env node
import '../scripts/require-node.cjs';

await import('../dist/cli.js');
