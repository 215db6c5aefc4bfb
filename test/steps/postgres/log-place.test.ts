import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { localFiles } from '../../../src/hosts/local-files.js';
import { asideOf, placeFor } from '../../../src/steps/postgres/data-places.js';
import { forgetLog, logBehindLink, placeLog, placesOfLog } from '../../../src/steps/postgres/log-place.js';
import type { Emit, RecoveryFacts } from '../../../src/steps/postgres/recovery.js';
import type { StepContext } from '../../../src/steps/step.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { contextOf, open } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// Every state in which the log of a new data directory can be left on its way to where that of now lies, and the way out of each.

const emit = { output() {}, facts() {} } as unknown as Emit;
const SEGMENT = '000000010000000000000007';

interface Made {
  ctx: StepContext;
  facts: RecoveryFacts;
  disk: string;
  ready: string;
}

/** A data directory whose log lies elsewhere, and one that is ready beside it, with a log of its own. */
function made(): Made {
  const root = tempFolder('log-place');
  const [dataDir, disk] = [join(root, 'data'), join(root, 'disk')];
  const profile = profileSchema.parse({
    name: 'acme-test',
    postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem', dataDir },
    qdrant: { url: 'http://127.0.0.1:1' },
    falkordb: { url: 'redis://127.0.0.1:1' },
  });
  const ctx = contextOf(new Cluster(profile));
  for (const folder of [dataDir, join(disk, 'main')]) mkdirSync(folder, { recursive: true });
  symlinkSync(join(disk, 'main'), join(dataDir, 'pg_wal'));
  const aside = asideOf(dataDir, ctx.runId, false);
  const facts = { dataDir, aside, hadData: true, wasRunning: false, timelineBefore: 1, target: 'latest' };
  const ready = placeFor(facts, ctx);
  bring(ready);
  return { ctx, facts, disk, ready };
}

function bring(ready: string): void {
  mkdirSync(join(ready, 'pg_wal', 'archive_status'), { recursive: true });
  writeFileSync(join(ready, 'pg_wal', SEGMENT), 'the log');
  writeFileSync(join(ready, 'pg_wal', 'archive_status', `${SEGMENT}.done`), '');
}

async function place({ ctx, facts }: Made, gateway = open): Promise<void> {
  const places = await placesOfLog(facts.dataDir, ctx);
  if (places === undefined || 'obstacle' in places) throw new Error('the log has no place');
  const owner = { uid: process.getuid!(), gid: process.getgid!() };
  await placeLog(places, owner, facts, { ...ctx, gateway }, emit, new AbortController().signal);
}

function isPlaced({ ctx, facts, disk, ready }: Made): void {
  const name = `main.since-${ctx.runId}`;
  expect(readdirSync(disk).sort()).toEqual(['main', name]);
  expect(readlinkSync(join(ready, 'pg_wal'))).toBe(join(disk, name));
  expect(readdirSync(join(ready, 'pg_wal')).sort()).toEqual([SEGMENT, 'archive_status']);
  expect(readdirSync(join(ready, 'pg_wal', 'archive_status'))).toEqual([`${SEGMENT}.done`]);
  expect(lstatSync(join(disk, name)).mode & 0o777).toBe(0o700);
  expect(facts.log).toEqual({ before: join(disk, 'main'), place: join(disk, name) });
}

const MOST_CHANGES = 20;

/** A gateway behind which all ends at one change. */
function endingAt(change: number): typeof open {
  let count = -1;
  const act = async (_: unknown, made: () => Promise<unknown>) => {
    count += 1;
    if (count >= change) throw new Error('killed');
    return made();
  };
  return { ...open, change: act } as never;
}

describe('the log of a new data directory that is ended on its way', () => {
  test('at each of its changes leaves nothing, and can be brought anew', async () => {
    let ends = 0;
    for (let change = 0; change < MOST_CHANGES; change += 1) {
      const one = made();
      const failed = await place(one, endingAt(change)).catch((error: Error) => error.message);
      if (failed === undefined) isPlaced(one);
      else expect(failed).toBe('killed');
      ends += 1;
      // The way out may be ended as well.
      await forgetLog(one.facts, { ...one.ctx, gateway: endingAt(1) }).catch(() => {});
      await forgetLog(one.facts, one.ctx);
      expect(readdirSync(one.disk)).toEqual(['main']);
      expect(await logBehindLink(one.ready, localFiles)).toBeUndefined();
      bring(one.ready);
      await place(one);
      isPlaced(one);
      if (failed === undefined) break;
    }
    expect(ends).toBeGreaterThan(6);
    expect(ends).toBeLessThan(MOST_CHANGES);
  });

  test('is never that of a directory that has come into its place', async () => {
    const one = made();
    await place(one);
    const { disk, ready, facts, ctx } = one;
    await localFiles.moveAside(open, ready, `${facts.aside}-attempt`);
    await forgetLog(facts, ctx);
    expect(existsSync(join(facts.log!.place, SEGMENT))).toBe(true);
    bring(ready);
    await place(one);
    expect(readdirSync(disk).sort()).toEqual(['main', `main.since-${ctx.runId}`, `main.since-${ctx.runId}-2`]);
    expect(basename(readlinkSync(join(ready, 'pg_wal')))).toBe(`main.since-${ctx.runId}-2`);
  });
});
