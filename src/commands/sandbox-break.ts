import { randomInt } from 'node:crypto';
import { takeBackup, WITH_BASE_BACKUP } from '../engine/take-backup.js';
import { EXIT, Problem } from '../problem.js';
import { DISASTERS, disasterBySeed, findDisaster } from '../sandbox/disasters.js';
import { readRecord, writeRecord } from '../sandbox/registry.js';
import { DEFAULT_SANDBOX } from '../sandbox/sandbox.js';
import { strike } from '../sandbox/strike.js';
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
  const { name = DEFAULT_SANDBOX } = options;
  if (wanted !== undefined && (options.seed !== undefined || options.reveal))
    throw new Problem(
      `A disaster was named (${wanted}), so nothing is chosen by a seed, and nothing is to be revealed.`,
      {
        next: `novamem-runbook sandbox break ${wanted}, or leave the name out`,
      },
    );
  if (options.reveal) return reveal(name, options.seed);
  const { seed = String(randomInt(1_000_000)) } = options;
  const disaster = wanted === undefined ? disasterBySeed(seed) : findDisaster(wanted);
  const secret = wanted === undefined;
  const done = await strike(name, disaster, (profile, { base }) => takeBackup(profile, base ? WITH_BASE_BACKUP : {}));
  if (secret) writeRecord({ ...readRecord(name)!, struck: { seed, disaster: disaster.id } });
  print(
    ...(secret
      ? [`Something has happened to ${name}. (seed ${seed})`]
      : [`${disaster.title}:`, ...done.map((line) => `  ${line}`)]),
    `The pager  ${disaster.pager}`,
    `Users      ${disaster.users}`,
    `Next: novamem-runbook --profile ${name}${secret ? `; when you know what it was: novamem-runbook sandbox break --name ${name} --reveal` : ''}`,
  );
  return EXIT.recovered;
}

/** What has happened is remembered: another version, or another account, might choose otherwise for the same seed. */
function reveal(name: string, seed: string | undefined): number {
  const struck = readRecord(name)?.struck;
  const remembered = struck && (seed === undefined || seed === struck.seed) ? struck : undefined;
  if (!remembered && seed === undefined)
    throw new Problem(`Nothing has happened to ${name} by a seed.`, {
      next: `novamem-runbook sandbox break --name ${name}; or what a seed would choose: --seed SEED --reveal`,
    });
  const disaster = remembered ? findDisaster(remembered.disaster) : disasterBySeed(seed!);
  print(
    `With the seed ${remembered?.seed ?? seed} it ${remembered ? 'was' : 'would be'} ${disaster.id}: ${disaster.title}.`,
    `Scenario: ${disaster.scenario}`,
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
