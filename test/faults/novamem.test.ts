import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { diagnose } from '../../src/engine/diagnosis.js';
import { Cluster } from '../../src/stores/cluster.js';
import { attempt, expectHarmless, expectNoSecret } from '../support/attempt.js';
import { type Fault, faultyProxy, httpAnswer } from '../support/faulty-proxy.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// novamem behind a proxy that misbehaves: a recovery is not called one that novamem itself does not prove.

let real: RealCluster;
let before: Measured;
let proof: string;

beforeAll(async () => {
  real = await realCluster(200);
  await real.backup();
  before = await measureCluster(real);
  proof = join(tempFolder('runbook'), 'proof.yaml');
  writeFileSync(
    proof,
    `title: Only the proof
when: It is back.
outcome: It is proven.
steps:
  - { id: health, uses: novamem.health, with: { patienceSeconds: 1 }, why: It must be well. }
  - { id: recall, uses: novamem.search, needs: [health], why: It must find. }
`,
  );
});

afterAll(async () => {
  expect(await measureCluster(real)).toEqual(before);
});

async function behind(fault: Fault): Promise<Profile> {
  const { profile } = real.cluster;
  const proxy = await faultyProxy(profile.novamem!.url);
  await proxy.become(fault);
  return { ...profile, novamem: { ...profile.novamem!, url: proxy.url } };
}

const HEALTH = / \/health$/;
const DEEP = / \/v1\/admin\/health\/deep$/;
const SEARCH = / \/v1\/search$/;
const ESCAPES = '\u001b]0;owned\u0007\u001b[2J\u009b31mred';
const json = (status: number, body: unknown) => httpAnswer(status, JSON.stringify(body));
const answers = (to: RegExp, answer: Buffer): Fault => ({ kind: 'answers', to, answer });

const FAULTS: [string, Fault, RegExp][] = [
  ['is not there', { kind: 'refuses' }, /was not healthy within .*ECONNREFUSED/],
  [
    'breaks the connection',
    { kind: 'resets', of: 'answer', after: 10 },
    /was not healthy within .*(ECONNRESET|closed)/,
  ],
  ['says it is well with 503', answers(HEALTH, json(503, { ok: true })), /was not healthy within .*HTTP 503/],
  [
    'says with 200 that it is not well',
    answers(HEALTH, json(200, { ok: false })),
    /was not healthy within .*HTTP 200/,
  ],
  ['says "true" for true', answers(HEALTH, json(200, { ok: 'true' })), /was not healthy within/],
  [
    'is a page of a proxy',
    answers(HEALTH, httpAnswer(200, '<h1>It works!</h1>', { type: 'text/html' })),
    /It works!/,
  ],
  ['speaks in escape sequences', answers(HEALTH, httpAnswer(500, ESCAPES)), /HTTP 500 .*owned/],
  ['answers with 5 MB', answers(HEALTH, json(500, { error: 'x'.repeat(5_000_000) })), /HTTP 500/],
  [
    'is well, and its deep health fails',
    answers(DEEP, httpAnswer(500, 'oops')),
    /deep health: expected HTTP 200, found HTTP 500 oops/,
  ],
  [
    'is well, and has no graph',
    answers(DEEP, json(200, { deps: { graph: 'unreachable' } })),
    /deep health: graph: expected ok, found unreachable/,
  ],
  ['finds nothing', answers(SEARCH, json(200, { results: [] })), /checks failed/],
  ['finds something else', answers(SEARCH, json(200, { results: [{ id: 'x', score: 1 }] })), /checks failed/],
];

const SEARCHES_NOT: [string, Fault, RegExp][] = [
  [
    'does not search with 401',
    answers(SEARCH, json(401, { error: 'unauthorized' })),
    /recall cannot be proven: \/v1\/search answered HTTP 401/,
  ],
  [
    'does not search with 429',
    answers(SEARCH, json(429, { error: 'slow down' })),
    /recall cannot be proven: \/v1\/search answered HTTP 429/,
  ],
  [
    'finds a word',
    answers(SEARCH, json(200, { results: 'many' })),
    /recall cannot be proven: \/v1\/search answered HTTP 200/,
  ],
];

describe('a recovery is not proven when novamem', () => {
  test.each(FAULTS)('%s', async (_what, fault, words) => {
    const profile = await behind(fault);
    const ended = await attempt(profile, { scenario: proof });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(words);
    expect(ended.journal.length).toBeLessThan(200_000);
    expectNoSecret(real, ended.journal);
    expectHarmless(ended.journal);
  });

  test.each(SEARCHES_NOT)('%s: that is an exception, and said', async (_what, fault, words) => {
    const ended = await attempt(await behind(fault), { scenario: proof });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['recovered-with-exceptions', 4, []]);
    expect(ended.said).toMatch(words);
  });

  test('answers at last: it is', async () => {
    expect((await attempt(real.cluster.profile, { scenario: proof })).outcome).toBe('recovered');
    const { healthy } = await diagnose(new Cluster(real.cluster.profile));
    expect(healthy).toBe(true);
  });
});
