import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import type { Gateway } from '../../../src/hosts/gateway.js';
import { localFiles } from '../../../src/hosts/local-files.js';
import { asideOf, halfMoved, placeFor, putRight, staysInPlace } from '../../../src/steps/postgres/data-places.js';
import { undoRecovery } from '../../../src/steps/postgres/recovering.js';
import type { Emit, RecoveryFacts } from '../../../src/steps/postgres/recovery.js';
import { swapIn } from '../../../src/steps/postgres/recovery-placing.js';
import type { StepContext } from '../../../src/steps/step.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { contextOf, open } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// Every state in which a data directory that cannot be renamed can be left, and the ways out of each.

const emit = { output() {}, facts() {}, safetyCopy() {} } as unknown as Emit;

/** A data directory of before, and one that is ready to take its place. */
function places(): { ctx: StepContext; facts: RecoveryFacts; before: string[] } {
  const dataDir = join(tempFolder('places'), 'data');
  const profile = profileSchema.parse({
    name: 'acme-test',
    postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem', dataDir },
    qdrant: { url: 'http://127.0.0.1:1' },
    falkordb: { url: 'redis://127.0.0.1:1' },
    services: { postgres: { driver: 'command', start: 'true', stop: 'true' } },
  });
  const ctx = contextOf(new Cluster(profile));
  mkdirSync(join(dataDir, 'base'), { recursive: true });
  mkdirSync(join(dataDir, 'lost+found'));
  for (const name of ['PG_VERSION', 'postgresql.conf', '.of an admin']) writeFileSync(join(dataDir, name), '15\n');
  symlinkSync('/somewhere/else', join(dataDir, 'pg_wal'));
  const aside = asideOf(dataDir, ctx.runId, true);
  const facts = { dataDir, aside, hadData: true, wasRunning: false, timelineBefore: 1, target: 'latest' };
  makeReady(facts, ctx);
  return { ctx, facts, before: identities(dataDir) };
}

function makeReady(facts: RecoveryFacts, ctx: StepContext): void {
  const place = placeFor(facts, ctx);
  if (existsSync(place)) return;
  for (const folder of ['base', 'pg_wal']) mkdirSync(join(place, folder), { recursive: true });
  for (const name of ['PG_VERSION', 'new']) writeFileSync(join(place, name), '15\n');
}

/** What is in a data directory, each name with its inode: it was not copied. */
const identities = (folder: string): string[] =>
  !existsSync(folder)
    ? []
    : readdirSync(folder)
        .filter((name) => !/novamem-runbook|lost\+found/.test(name))
        .sort()
        .map((name) => `${name} ${lstatSync(join(folder, name)).ino}`);
const namesIn = (folder: string) => identities(folder).map((one) => one.slice(0, one.lastIndexOf(' ')));
const NEW = ['PG_VERSION', 'base', 'new', 'pg_wal'];
const ownNames = ({ dataDir }: RecoveryFacts) => readdirSync(dataDir).filter((name) => /novamem-runbook/.test(name));

/** A gateway behind which all ends at one change, with so many of its entries moved. */
function endingAt(change: number, entries: number): Gateway & { ended: boolean; last: number } {
  let count = -1;
  const gateway = {
    ...open,
    ended: false,
    last: 0,
    change: async <T>({ text }: { text: string }, act: () => Promise<T>): Promise<T> => {
      count += 1;
      if (count < change) return act();
      const moved = /^\(cd (\S+) && mv (.*) (\S+)\/\)$/.exec(text);
      const names = (moved?.[2] ?? '').match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll("'", '')) ?? [];
      gateway.last = names.length;
      for (const name of names.slice(0, entries)) renameSync(join(moved![1]!, name), join(moved![3]!, name));
      gateway.ended = true;
      throw new Error('killed');
    },
  };
  return gateway as never;
}

type Way = (facts: RecoveryFacts, ctx: StepContext) => Promise<void>;
const swap: Way = (facts, ctx) => swapIn(facts, ctx, emit);
const undo: Way = (facts, ctx) => undoRecovery(facts, ctx, emit);

const MOST_CHANGES = 16;

/** Every point at which a way can be ended: after no, or some, entries of each of its changes. */
async function points(prepare: Way | undefined, way: Way): Promise<[number, number][]> {
  const found = await Promise.all(
    Array.from({ length: MOST_CHANGES }, async (_, change) => {
      const { ctx, facts } = places();
      await prepare?.(facts, ctx);
      const gateway = endingAt(change, 0);
      await way(facts, { ...ctx, gateway }).catch(() => {});
      return gateway.ended
        ? Array.from({ length: gateway.last + 1 }, (_, some): [number, number] => [change, some])
        : [];
    }),
  );
  expect(found.at(-1)).toEqual([]);
  return found.flat();
}

async function ended(way: Way, facts: RecoveryFacts, ctx: StepContext, [change, entries]: [number, number]) {
  await expect(way(facts, { ...ctx, gateway: endingAt(change, entries) })).rejects.toThrow('killed');
}

/** No server starts on it, unless it is one of the two as a whole. */
function isNoHalf({ dataDir }: RecoveryFacts, before: string[]): void {
  if (!existsSync(join(dataDir, 'PG_VERSION'))) return;
  const now = identities(dataDir);
  if (JSON.stringify(now) !== JSON.stringify(before)) expect(namesIn(dataDir)).toEqual(NEW);
}

function isBack(facts: RecoveryFacts, before: string[]): void {
  expect(identities(facts.dataDir)).toEqual(before);
  expect(ownNames(facts).filter((name) => !/-undone(-\d)?$/.test(name))).toEqual([]);
}

describe('what was ended half-way while the directories change places', () => {
  test('is undone from wherever it stands', async () => {
    const all = await points(undefined, swap);
    expect(all.length).toBeGreaterThan(15);
    await Promise.all(
      all.map(async (point) => {
        const { ctx, facts, before } = places();
        await ended(swap, facts, ctx, point);
        isNoHalf(facts, before);
        await undo(facts, ctx);
        isBack(facts, before);
      }),
    );
  });

  test('is put right from wherever it stands, and done then', async () => {
    for (const point of await points(undefined, swap)) {
      const { ctx, facts, before } = places();
      await ended(swap, facts, ctx, point);
      await putRight(facts, ctx, emit);
      expect(await halfMoved(facts.dataDir, ctx)).toBeUndefined();
      expect([identities(facts.dataDir), identities(facts.aside)]).toContainEqual(before);
      makeReady(facts, ctx);
      await swap(facts, ctx);
      expect(namesIn(facts.dataDir)).toEqual(NEW);
      expect(identities(facts.aside)).toEqual(before);
      expect(ownNames(facts).filter((name) => /moving|placing/.test(name))).toEqual([]);
    }
  });

  test('may be the undo, which is gone on with', async () => {
    const all = await points(swap, undo);
    expect(all.length).toBeGreaterThan(15);
    await Promise.all(
      all.map(async (point) => {
        const { ctx, facts, before } = places();
        await swap(facts, ctx);
        await ended(undo, facts, ctx, point);
        isNoHalf(facts, before);
        await undo(facts, ctx);
        isBack(facts, before);
      }),
    );
  });

  test('may be the undo of what was half-way, and a retry may follow', async () => {
    const all = (await points(undefined, swap)).filter(([, entries]) => entries > 0);
    await Promise.all(
      all.map(async (point) => {
        const { ctx, facts, before } = places();
        await ended(swap, facts, ctx, point);
        await undo(facts, { ...ctx, gateway: endingAt(3, 1) }).catch(() => {});
        await putRight(facts, ctx, emit);
        makeReady(facts, ctx);
        await swap(facts, ctx);
        expect(namesIn(facts.dataDir)).toEqual(NEW);
        expect(identities(facts.aside)).toEqual(before);
        await undo(facts, ctx);
        isBack(facts, before);
      }),
    );
  });

  test('by another run is left alone, and said with what puts it right', async () => {
    const { ctx, facts } = places();
    await ended(swap, facts, ctx, [2, 2]);
    const other = contextOf(ctx.cluster);
    const elsewhere = { dataDir: facts.dataDir, aside: asideOf(facts.dataDir, other.runId, true) };
    const now = readdirSync(facts.dataDir);
    await putRight(elsewhere, other, emit);
    expect(readdirSync(facts.dataDir)).toEqual(now);
    expect(await halfMoved(facts.dataDir, other, elsewhere)).toMatchObject({
      level: 'blocking',
      next: expect.stringContaining(`novamem-runbook undo ${ctx.runId}`),
    });
  });
});

test('a data directory that is no mount point, in a folder that may be written to, is renamed', async () => {
  const { facts } = places();
  expect(await staysInPlace(facts.dataDir, localFiles)).toBe(false);
  expect(asideOf('/pg/main', 'r1', false)).toBe('/pg/main.before-r1');
});
