import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { downFindings } from '../../../src/steps/postgres/down.js';
import { postgresPointInTime } from '../../../src/steps/postgres/point-in-time.js';
import { postgresRawCopy } from '../../../src/steps/postgres/raw-copy.js';
import { postgresSalvage } from '../../../src/steps/postgres/salvage.js';
import { postgresSurvey } from '../../../src/steps/postgres/survey.js';
import type { StepKind } from '../../../src/steps/step.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { contextOf, findings, perform } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// A data directory on another host, and a folder of this machine that has the same path.

function elsewhere(hosts: object) {
  const root = tempFolder('same-path');
  const dataDir = join(root, 'main');
  mkdirSync(join(dataDir, 'global'), { recursive: true });
  writeFileSync(join(dataDir, 'PG_VERSION'), '15\n');
  const profile = profileSchema.parse({
    name: 'acme-test',
    postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem', dataDir, walArchive: root },
    qdrant: { url: 'http://127.0.0.1:1' },
    falkordb: { url: 'redis://127.0.0.1:1' },
    services: { postgres: { driver: 'command', start: 'true', stop: 'true' } },
    hosts,
  });
  return { root, dataDir, ctx: contextOf(new Cluster(profile)) };
}

const OTHER = { postgres: { ssh: 'ops@db-1', sudo: false } };
const blocking = async <P, F>(kind: StepKind<P, F>, given: unknown, ctx: ReturnType<typeof contextOf>) =>
  (await findings(kind, given, ctx)).filter((line) => line.startsWith('blocking'));

test.each([
  ['a recovery to a point in time', postgresPointInTime, { target: 'latest' }],
  ['a raw copy', postgresRawCopy, {}],
] as [
  string,
  StepKind<unknown, unknown>,
  object,
][])('%s is refused, and touches nothing here', async (_what, kind, given) => {
  const { ctx, root } = elsewhere(OTHER);
  expect(await blocking(kind, given, ctx)).toEqual([
    expect.stringMatching(
      /^blocking: the data directory of Postgres is on ops@db-1, and a .* can only be done on the machine/,
    ),
  ]);
  expect((await perform(kind, given, ctx)).error?.message).toMatch(/on the machine that has it|not on this machine/);
  expect(readdirSync(root)).toEqual(['main']);
});

test('its survey says that it did not look there, and its other findings speak of nothing that lies here', async () => {
  const { ctx, dataDir } = elsewhere(OTHER);
  const said = [
    ...(await findings(postgresSurvey, {}, ctx)),
    ...(await findings(postgresSalvage, {}, ctx)),
    ...(await downFindings(ctx)).map(({ message }) => message),
  ].filter((line) => line.includes(dataDir));
  expect(said).toEqual([
    expect.stringMatching(/on ops@db-1.*this program looks at data directories of its own machine only/),
  ]);
});

test('without a host in the profile the folder of this machine is what is meant', async () => {
  const { ctx, dataDir } = elsewhere({});
  expect((await findings(postgresSurvey, {}, ctx)).join('\n')).toContain(dataDir);
  expect((await blocking(postgresRawCopy, {}, ctx)).join('\n')).not.toContain('db-1');
});
