import './require-node.cjs';
import { buildIfStale } from './built.js';

buildIfStale();
await import('../bin/novamem-runbook.js');
