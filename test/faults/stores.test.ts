import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { diagnose } from '../../src/engine/diagnosis.js';
import { Cluster } from '../../src/stores/cluster.js';
import type { Ailment } from '../../src/stores/symptoms/looking.js';
import { attempt, expectHarmless, expectNoSecret, RESTORES } from '../support/attempt.js';
import { type Fault, faultyProxy, postgresError } from '../support/faulty-proxy.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// Each store behind a proxy that misbehaves before anything was begun: nothing is touched, and what is said is what is so.

const MEMORIES = 200;
type Store = 'postgres' | 'qdrant' | 'falkordb';

let real: RealCluster;
let before: Measured;

beforeAll(async () => {
  real = await realCluster(MEMORIES);
  await real.backup();
  before = await measureCluster(real);
});

afterAll(async () => {
  expect(await measureCluster(real)).toEqual(before);
});

/** The sandbox's profile with one store, or novamem, behind a proxy with this fault. */
async function behind(store: Store | 'novamem', fault: Fault): Promise<Profile> {
  const { profile } = real.cluster;
  const proxy = await faultyProxy(profile[store]!.url);
  await proxy.become(fault);
  return { ...profile, [store]: { ...profile[store]!, url: proxy.url } };
}

/** The sandbox's profile with another secret for a store. */
function withWrongSecret(store: Store): Profile {
  const { profile } = real.cluster;
  const file = join(tempFolder('secret'), 'wrong');
  writeFileSync(file, `not-the-secret-${store}`);
  const [field] = Object.keys(profile[store]).filter((name) => name.endsWith('From'));
  return { ...profile, [store]: { ...profile[store], [field!]: `file:${file}` } };
}

const ESCAPES = '\u001b]0;owned\u0007\u001b[2J\u009b31mred';
const HTTP_400 = 'HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n';

const FAULTS: [Store, string, Fault, Ailment, RegExp][] = [
  ['postgres', 'refuses connections', { kind: 'refuses' }, 'stopped', /ECONNREFUSED/],
  ['postgres', 'hangs up half-way through the login', { kind: 'half-closes', after: 20 }, 'stopped', /terminated/],
  ['postgres', 'resets the connection', { kind: 'resets', of: 'answer', after: 20 }, 'stopped', /ECONNRESET/],
  ['postgres', 'is no Postgres at all', { kind: 'says', bytes: HTTP_400 }, 'stopped', /terminated/],
  [
    'postgres',
    'has no connection left',
    { kind: 'says', bytes: postgresError('53300', 'sorry, too many clients already') },
    'unwell',
    /too many clients/,
  ],
  [
    'postgres',
    'still starts',
    { kind: 'says', bytes: postgresError('57P03', 'the database system is starting up') },
    'unwell',
    /starting up/,
  ],
  [
    'postgres',
    'speaks in escape sequences',
    { kind: 'says', bytes: postgresError('53300', ESCAPES) },
    'unwell',
    /owned/,
  ],
  ['qdrant', 'refuses connections', { kind: 'refuses' }, 'stopped', /ECONNREFUSED/],
  ['qdrant', 'hangs up half-way through an answer', { kind: 'half-closes', after: 60 }, 'stopped', /closed/],
  ['qdrant', 'resets the connection', { kind: 'resets', of: 'answer', after: 20 }, 'stopped', /ECONNRESET/],
  ['qdrant', 'is no HTTP server at all', { kind: 'says', bytes: 'SSH-2.0-OpenSSH_9.2\r\n' }, 'unwell', /HTTP/],
  ['falkordb', 'refuses connections', { kind: 'refuses' }, 'stopped', /ECONNREFUSED/],
  ['falkordb', 'hangs up half-way through an answer', { kind: 'half-closes', after: 3 }, 'stopped', /closed/],
  ['falkordb', 'resets the connection', { kind: 'resets', of: 'answer', after: 3 }, 'stopped', /ECONNRESET|closed/],
  ['falkordb', 'is no Redis at all', { kind: 'says', bytes: HTTP_400 }, 'unwell', /./],
  [
    'falkordb',
    'has no connection left',
    { kind: 'says', bytes: '-ERR max number of clients reached\r\n' },
    'unwell',
    /max number of clients/,
  ],
  ['falkordb', 'speaks in escape sequences', { kind: 'says', bytes: `-ERR ${ESCAPES}\r\n` }, 'unwell', /owned/],
];

describe('a store that answers badly', () => {
  test.each(FAULTS)('%s %s', async (store, _what, fault, ailment, words) => {
    const profile = await behind(store, fault);
    const { symptoms, healthy } = await diagnose(new Cluster(profile));
    expect(healthy).toBe(false);
    const own = symptoms.filter((one) => one.service === store);
    expect(own, JSON.stringify(symptoms)).toEqual(expect.arrayContaining([expect.objectContaining({ ailment })]));
    expect(own.map((one) => one.seen).join('\n')).toMatch(words);

    const ended = await attempt(profile, { scenario: RESTORES[store] });
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    expect(ended.changes).toEqual([]);
    expectNoSecret(real, ended.journal);
    expectHarmless(ended.journal);
  });

  test.each<[Store, RegExp]>([
    ['postgres', /password authentication failed/],
    ['qdrant', /HTTP 401|may not manage|does not take/],
    ['falkordb', /WRONGPASS/],
  ])('%s does not take the secret of the profile', async (store, words) => {
    const profile = withWrongSecret(store);
    const { symptoms } = await diagnose(new Cluster(profile));
    expect(symptoms.find((one) => one.service === store)).toMatchObject({ ailment: 'denied' });
    const ended = await attempt(profile, { scenario: RESTORES[store] });
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    expect(ended.changes).toEqual([]);
    expect(ended.journal).not.toContain(`not-the-secret-${store}`);
  });
});

const HANGS: [Store, string, Fault][] = [
  ['postgres', 'takes the connection and is silent', { kind: 'silent' }],
  ['postgres', 'falls silent in the login', { kind: 'stalls', after: 200 }],
  ['postgres', 'falls silent after the login', { kind: 'stalls', after: 520 }],
  ['qdrant', 'takes the connection and is silent', { kind: 'silent' }],
  ['qdrant', 'falls silent in an answer', { kind: 'stalls', after: 40 }],
  ['falkordb', 'takes the connection and is silent', { kind: 'silent' }],
  ['falkordb', 'falls silent in an answer', { kind: 'stalls', after: 3 }],
];
const DIAGNOSED_WITHIN = 10_000;
const PLANNED_WITHIN = 90_000;

describe.concurrent('a store that hangs', () => {
  test.each(HANGS)('%s %s', async (store, _what, fault) => {
    const profile = await behind(store, fault);
    const begun = Date.now();
    const { symptoms } = await diagnose(new Cluster(profile));
    expect(Date.now() - begun).toBeLessThan(DIAGNOSED_WITHIN);
    expect(symptoms.find((one) => one.service === store)?.ailment).toBe('silent');

    const planned = await attempt(profile, { scenario: RESTORES[store], mode: 'dry-run' });
    expect(planned.outcome).toBe('simulated');
    expect(planned.findings.join('\n')).toMatch(
      /(blocking|warning): .*(does not answer|did not answer|fallen silent)/,
    );
    expect(planned.took).toBeLessThan(PLANNED_WITHIN);
    expect(planned.changes).toEqual([]);
  });
});

describe.concurrent('a store that is slow, but answers', () => {
  test.each<[Store, number]>([
    ['postgres', 20_000],
    ['qdrant', 20_000],
    ['falkordb', 4_000],
  ])('%s is waited for', async (store, bytesPerSecond) => {
    const profile = await behind(store, { kind: 'slow', bytesPerSecond });
    const planned = await attempt(profile, { scenario: RESTORES[store], mode: 'dry-run' });
    expect(planned.findings.filter((finding) => /blocking|does not answer/.test(finding))).toEqual([]);
  });
});
