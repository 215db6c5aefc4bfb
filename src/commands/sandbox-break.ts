import { randomInt } from 'node:crypto';
import type { Profile } from '../config/profile.js';
import { prepareRun } from '../engine/prepare-run.js';
import { EXIT, Problem } from '../problem.js';
import { type Disaster, sceneOf } from '../sandbox/disasters/disaster.js';
import { DISASTERS, disasterBySeed, findDisaster } from '../sandbox/disasters.js';
import { remember, WRITTEN_TODAY } from '../sandbox/remember.js';
import { DEFAULT_SANDBOX, sandboxProfile } from '../sandbox/sandbox.js';
import { messageOf } from '../words.js';
import { columns, print } from './print.js';

export interface BreakOptions {
  name?: string;
  list?: boolean;
  seed?: string;
  reveal?: boolean;
}

/**
 * `sandbox break DISASTER`: real damage to a sandbox, with the backups and the writing before it that it needs. Without a name one is
 * chosen, the same for the same seed, and only what a pager and users would say is told.
 */
export async function sandboxBreakCommand(wanted: string | undefined, options: BreakOptions): Promise<number> {
  if (options.list) return list();
  const { name = DEFAULT_SANDBOX, seed = String(randomInt(1_000_000)) } = options;
  const disaster = wanted === undefined ? disasterBySeed(seed) : findDisaster(wanted);
  const secret = wanted === undefined && !options.reveal;
  const why = disaster.impossible?.();
  if (why)
    throw new Problem(`${disaster.id} cannot happen here: ${why}.`, { next: 'novamem-runbook sandbox break --list' });
  const profile = sandboxProfile(name);
  if (wanted === undefined && options.reveal) {
    print(`With the seed ${seed} it is ${disaster.id}: ${disaster.title}.`, `Scenario: ${disaster.scenario}`);
    return EXIT.recovered;
  }
  await prepare(profile, disaster);
  const done = await disaster.strike(sceneOf(name));
  print(
    ...(secret
      ? [`Something has happened to ${name}. (seed ${seed})`]
      : [`${disaster.title}:`, ...done.map((line) => `  ${line}`)]),
    `The pager  ${disaster.pager}`,
    `Users      ${disaster.users}`,
    `Next: novamem-runbook --profile ${name}${secret ? `; when you know what it was: novamem-runbook sandbox break --seed ${seed} --reveal` : ''}`,
  );
  return EXIT.recovered;
}

function list(): number {
  print(
    ...columns([
      ['DISASTER', 'WHAT HAPPENS'],
      ...DISASTERS.map(({ id, title, impossible }) => [
        id,
        title + (impossible?.() ? ` (not here: ${impossible()})` : ''),
      ]),
    ]),
  );
  return EXIT.recovered;
}

/** What happened on the days before: backups were taken, and people went on writing. */
async function prepare(profile: Profile, { before }: Disaster): Promise<void> {
  for (const stage of before) {
    if (stage === 'memories') await remember(profile, WRITTEN_TODAY);
    else await takeBackup(profile, stage === 'base-backup');
  }
}

async function takeBackup(profile: Profile, base: boolean): Promise<void> {
  const run = await prepareRun({
    scenario: 'backup',
    profile,
    mode: 'live',
    backup: 'latest',
    overrides: base ? { 'backup-base': { take: true } } : {},
    onFailure: 'stop',
  });
  await run.preflight();
  run.intend({ type: 'begin' });
  const outcome = await run.finished;
  if (outcome === 'recovered') return;
  const reasons = run.getSnapshot().steps.flatMap(({ id, reason }) => (reason ? [`${id}: ${reason}`] : []));
  throw new Problem(
    `No backup of ${profile.name} could be taken before it was broken: ${messageOf(reasons.join('; '))}.`,
    {
      safe: 'It was not broken.',
      next: `novamem-runbook diagnose --profile ${profile.name}`,
    },
  );
}
