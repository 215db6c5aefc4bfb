import { mkdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ForeignCluster } from '../support/foreign-cluster.js';
import { wordsOf } from '../support/foreign-program.js';
import { type Ended, PROGRAM, ROOT, runFile } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// The printed page, followed word by word in a shell, on a cluster that the sandbox did not make. Only what the page itself says is to
// be put in is put in: the cluster's name, the place of its profile, the scenario.

const card = readFileSync(join(ROOT, 'docs/outage-card.md'), 'utf8');
let cluster: ForeignCluster;
let environment: Record<string, string>;
let work: string;

/** The commands below a heading of the card, in their order. */
function commandsBelow(heading: string): string[] {
  const [, section = ''] = card.split(`## ${heading}\n`);
  return [...section.split(/^## /m)[0]!.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap((block) =>
    block[1]!.trim().split('\n'),
  );
}

/** What was set in the shell so far. */
const set: string[] = [];

/** Types the commands one after the other. */
async function type(heading: string): Promise<{ command: string; ended: Ended }[]> {
  const typed: { command: string; ended: Ended }[] = [];
  for (const line of commandsBelow(heading)) {
    const command = line.replace('acme-prod', cluster.name).replace('/etc/novamem', work);
    if (/^\w+=\S+$/.test(command)) set.push(command);
    else {
      const script = [...set, command].join('\n');
      typed.push({
        command,
        ended: await runFile('/bin/sh', ['-c', `cd "$0"\n${script}`, work], { environment, timeoutMs: 300_000 }),
      });
    }
  }
  return typed;
}

beforeAll(async () => {
  cluster = await ForeignCluster.start(400);
  work = tempFolder('card');
  const [bin, backups] = [join(work, 'bin'), join(work, 'backups')];
  for (const folder of [bin, backups]) mkdirSync(folder);
  symlinkSync(PROGRAM, join(bin, 'novamem-runbook'));
  renameSync(cluster.profileWith([backups]), join(work, `${cluster.name}.yaml`));
  environment = {
    ...cluster.environment,
    NOVAMEM_RUNBOOK_HOME: join(work, 'home'),
    PATH: `${bin}:${dirname(process.execPath)}:${process.env.PATH}`,
  };
});

afterAll(() => cluster?.stop());

test('the card fits on one page', () => {
  expect(card.split('\n').length).toBeLessThan(75);
});

describe('the outage card, followed word by word', () => {
  test('prepares a cluster, and brings it back when all of it is lost', async () => {
    const [added, backedUp, doctor, drilled] = await type('Today, while all is well');
    expect(added!.ended.exitCode, wordsOf(added!.ended)).toBe(0);
    expect(backedUp!.ended.exitCode, wordsOf(backedUp!.ended)).toBe(0);
    // Without a base backup nobody goes back to a moment: that is what it says, and nothing else of a whole loss.
    expect([0, 1]).toContain(doctor!.ended.exitCode);
    expect(doctor!.ended.stdout.replace(/\n {2}/g, ' ')).toMatch(
      /Nothing stands in the way of: .*whole-cluster-lost/,
    );
    // Beside a stand-in for novamem, its scores cannot be proven.
    expect([0, 4], wordsOf(drilled!.ended)).toContain(drilled!.ended.exitCode);
    const before = await cluster.measure();

    await cluster.lose();
    const outage = await type('When the pager goes');
    expect(outage.map(({ command }) => command.split(' ')[1])).toEqual(['diagnose', 'backups', 'plan', 'run']);
    const [diagnosed, listed, planned, ran] = outage;
    expect(diagnosed!.ended.exitCode).toBe(1);
    expect(diagnosed!.ended.stdout).toMatch(/^1\. whole-cluster-lost /m);
    expect(listed!.ended.exitCode).toBe(0);
    expect(planned!.ended.exitCode, wordsOf(planned!.ended)).toBe(0);
    expect(ran!.ended.exitCode, wordsOf(ran!.ended)).toBe(0);
    expect(await cluster.measure()).toEqual(before);

    const [reported, healthy] = await type('When it is over');
    expect(reported!.ended.exitCode).toBe(0);
    expect(readFileSync(join(work, 'report.html'), 'utf8')).toContain('<html');
    expect(healthy!.ended.exitCode, wordsOf(healthy!.ended)).toBe(0);
    expect(healthy!.ended.stdout).toContain('is healthy');
  }, 900_000);
});
