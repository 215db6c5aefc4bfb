import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findProfile } from '../../src/config/profiles.js';
import { Desk } from '../../src/engine/desk.js';
import { App } from '../../src/screens/app.js';
import { BackupPicker } from '../../src/screens/backup-picker.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { listedSet } from '../support/manifest.js';
import { KEYS, type TestScreen, testScreen } from '../support/screen.js';
import { tempFolder } from '../support/temp.js';
import { step, tinyKind, tinyRun } from '../support/tiny-run.js';

let screen: TestScreen;
afterEach(() => screen.close());

const PROFILE = `name: acme
postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }
qdrant: { url: "http://127.0.0.1:1" }
falkordb: { url: "redis://127.0.0.1:1" }
`;

test('where no backup is found, what is to be typed next names the profile as it was named', async () => {
  const file = join(tempFolder('profile'), 'our acme.yaml');
  writeFileSync(file, PROFILE);
  const desk = { ...new Desk(findProfile(file), {}, 'live', 'latest').getSnapshot(), backups: [] };
  const card = desk.scenarios.find(({ restores }) => restores === 'must')!;
  screen = testScreen(
    <BackupPicker desk={desk} card={card} dry={false} onChoose={() => {}} onHelp={() => {}} onBack={() => {}} />,
    {
      columns: 200,
    },
  );
  await screen.shows(`leave with ctrl-c, then name a folder: novamem-runbook --profile '${file}' --backup FOLDER`);
});

/** A desk with three sets: one that is whole as far as a listing looks, one whose dump is missing, and one of another cluster. */
function threeSets() {
  const root = tempFolder('backups');
  listedSet(root, { id: '20261120T020000Z', at: new Date('2026-11-20T02:00:00Z'), cluster: 'acme' });
  listedSet(root, { id: '20261119T020000Z', at: new Date('2026-11-19T02:00:00Z'), cluster: 'acme' });
  listedSet(root, { id: '20261118T020000Z', at: new Date('2026-11-18T02:00:00Z'), cluster: 'beta' });
  rmSync(join(root, '20261119T020000Z/postgres/novamem.dump'));
  const file = join(tempFolder('profile'), 'acme.yaml');
  writeFileSync(file, `${PROFILE}backups: [ ${root} ]\n`);
  return { root, desk: new Desk(findProfile(file), {}, 'live', 'latest') };
}

test('a set that lacks a file, or is of another cluster, is marked in the list, and what is wrong with it is said', async () => {
  const { desk } = threeSets();
  const first = desk.getSnapshot().scenarios.find(({ scenario }) => scenario === 'postgres-corrupt')!;
  desk.look();
  screen = testScreen(<App desk={desk} first={first} />, { columns: 100, rows: 30 });
  const listed = await screen.shows('20261118T020000Z');
  expect(listed).toMatch(/20261120T020000Z .* manifest/);
  expect(listed).toMatch(/20261119T020000Z .* ✗ damaged/);
  expect(listed).toMatch(/20261118T020000Z .* ! of beta/);
  screen.press(KEYS.down);
  await screen.shows(/Damaged +\S+\s*\S*novamem\.dump\s+is\s+missing/);
  desk.leave();
});

test('esc leads from a plan back to its backup set, of which the list knows then what the plan has found', async () => {
  const { desk, root } = threeSets();
  const first = desk.getSnapshot().scenarios.find(({ scenario }) => scenario === 'postgres-corrupt')!;
  desk.look();
  screen = testScreen(<App desk={desk} first={first} />, { columns: 100, rows: 30 });
  await screen.shows('20261118T020000Z');
  const id = '20261118T020000Z';
  const message = `the dump ${join(root, id, 'postgres/novamem.dump')} is damaged: it has no end`;
  const reads = tinyKind('tiny.reads', { check: async () => [{ level: 'blocking', message, next: 'take another' }] });
  const backup = { id, takenAt: null, kind: 'manifest', unproven: [] } as unknown as BackupSet;
  void desk.show(async () => tinyRun([step('only', reads)], { backup }).run);
  await screen.shows('b begin all the same');
  screen.press(KEYS.escape);
  await screen.shows(new RegExp(`❯ ${id} .* ✗ damaged`));
  await screen.shows('it has no end');
  screen.press(KEYS.escape);
  await screen.shows('What happened?');
  desk.leave();
});
