import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Profile } from '../../src/config/profile.js';
import { readProfile } from '../../src/config/profiles.js';
import type { Mode } from '../../src/engine/journal.js';
import { prepareResume } from '../../src/engine/prepare-resume.js';
import { prepareRun } from '../../src/engine/prepare-run.js';
import { findRun } from '../../src/engine/runs.js';
import { openGateway } from '../../src/hosts/gateway.js';
import { EXIT } from '../../src/problem.js';
import { sandboxProfile } from '../../src/sandbox/sandbox.js';
import { eventually } from '../support/eventually.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

const gateway = openGateway(() => {});
const QUIETLY = { onLine: () => {} };
let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(60);
  await real.backup();
});

const prepare = (profile: Profile, mode: Mode) =>
  prepareRun({
    scenario: 'whole-cluster-lost',
    profile,
    mode,
    backup: 'latest',
    overrides: {},
    onFailure: 'stop',
  });
const refusal = (words: RegExp) => ({ exitCode: EXIT.refused, message: expect.stringMatching(words) });

describe.each(['drill', 'train'] as const)('a run of the mode %s', (mode) => {
  test('is prepared for a sandbox of this program', async () => {
    await (await prepare(sandboxProfile(real.cluster.name), mode)).leave();
  });

  test('is refused for a profile that anybody wrote, though it leads to the very same servers', async () => {
    await expect(prepare(readProfile(real.places.profile), mode)).rejects.toMatchObject(
      refusal(/works on a throw-away sandbox only, and the profile test-\w+ is none that this program made/),
    );
  });
});

test('a lesson that was broken off is not gone on with anywhere else', async () => {
  const run = await prepare(sandboxProfile(real.cluster.name), 'train');
  const begun = new Promise<void>((resolve) => run.onEvent((event) => event.type === 'step.started' && resolve()));
  await run.preflight();
  run.intend({ type: 'begin' });
  await begun;
  run.intend({ type: 'abort' });
  await run.finished;
  const resume = (profile: Profile) =>
    prepareResume({
      recorded: findRun(dirname(run.journalFile)),
      profile,
      onFailure: 'stop',
      accept: ['cluster'],
      takeOver: false,
    });
  await expect(resume(readProfile(real.places.profile))).rejects.toMatchObject(
    refusal(/A lesson works on a throw-away/),
  );
  await (await resume(sandboxProfile(real.cluster.name))).leave();
  // What the run had stopped before it was ended.
  const novamem = real.cluster.driver('novamem')!;
  if ((await novamem.state()) === 'stopped') await novamem.start(gateway, QUIETLY);
  await eventually('novamem answers', async () => (await real.cluster.answering('novamem')).answers);
});

test('nothing else that answers in the place of a sandbox’s server is taken for it', async () => {
  const novamem = real.cluster.driver('novamem')!;
  await novamem.stop(gateway, QUIETLY);
  const stranger = createServer((_, response) => response.end('{"ok":true}'));
  await new Promise<void>((resolve) => stranger.listen(real.record.ports.novamem, '127.0.0.1', resolve));
  onTestFinished(async () => {
    await new Promise((resolve) => stranger.close(resolve));
    await novamem.start(gateway, QUIETLY);
  });
  await expect(prepare(sandboxProfile(real.cluster.name), 'drill')).rejects.toMatchObject(
    refusal(/what answers in the place of its novamem is not its own: that one is stopped/),
  );
  await (await prepare(sandboxProfile(real.cluster.name), 'live')).leave();
});

test.each([
  [
    'qdrant.url',
    (profile: Profile) => ({ ...profile, qdrant: { ...profile.qdrant, url: 'http://qdrant.acme:6333' } }),
  ],
  [
    'falkordb.dataDir',
    (profile: Profile) => ({ ...profile, falkordb: { ...profile.falkordb, dataDir: '/var/lib' } }),
  ],
  [
    'services.postgres',
    (profile: Profile) => ({ ...profile, services: { ...profile.services, postgres: undefined } }),
  ],
  ['name', (profile: Profile) => ({ ...profile, name: 'acme-prod' })],
])('a sandbox whose profile somebody led elsewhere (%s) is none any more', (_what, change) => {
  const file = real.places.profile;
  const text = readFileSync(file, 'utf8');
  onTestFinished(() => writeFileSync(file, text));
  writeFileSync(file, stringify(change(parse(text) as Profile)));
  expect(() => sandboxProfile(real.cluster.name)).toThrow(/was changed: \S+ is none of its own/);
});
