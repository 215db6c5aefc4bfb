import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolder } from './temp.js';

const PROFILE = `
name: acme-test
postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }
qdrant:   { url: "http://127.0.0.1:1" }
falkordb: { url: "redis://127.0.0.1:1" }
services:
  qdrant:   { driver: command, start: "true", stop: "true", status: "true" }
  falkordb: { driver: command, start: "true", stop: "true", status: "true" }
`;
const RUNBOOK = `
title: Side by side
when: now
outcome: done
steps:
  - { id: start-qdrant, uses: service.start, with: { service: qdrant }, why: the vectors }
  - { id: start-falkordb, uses: service.start, with: { service: falkordb }, why: the graph }
  - id: way
    uses: operator.choose
    with: { question: Which way?, options: [ { choice: left, title: Left, because: it is short }, { choice: right, title: Right, because: it is safe } ] }
    why: nobody else knows
  - id: read
    uses: operator.confirm
    with: { question: The cellar is wet., words: I know }
    why: it is slippery
`;

/**
 * What is needed for a run that stays at work without any server: two stores are started that never come, and two questions are asked,
 * none of which needs another. `args` begin it in the terminal app.
 */
export function waitingRun(): { environment: { NOVAMEM_RUNBOOK_HOME: string }; args: string[]; profile: string } {
  const folder = tempFolder('waiting');
  const profile = join(folder, 'profile.yaml');
  const runbook = join(folder, 'side.yaml');
  writeFileSync(profile, PROFILE);
  writeFileSync(runbook, RUNBOOK);
  return { environment: { NOVAMEM_RUNBOOK_HOME: folder }, args: ['run', runbook, '--profile', profile], profile };
}
