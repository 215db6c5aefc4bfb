import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { readProfile } from '../../src/config/profiles.js';
import { SSLMODES } from '../../src/config/tls.js';
import { diagnose } from '../../src/engine/diagnosis.js';
import { openGateway } from '../../src/hosts/gateway.js';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { Cluster } from '../../src/stores/cluster.js';
import { attempt, expectHarmless, RESTORES } from '../support/attempt.js';
import { Ca, type Certificate } from '../support/certificates.js';
import { ForeignCluster } from '../support/foreign-cluster.js';
import { SECRETS } from '../support/foreign-services.js';
import { bothConnections, postgresShows } from '../support/postgres-tls.js';
import { startQdrant } from '../support/qdrant-node.js';
import { tempFolder } from '../support/temp.js';
import { type TlsFront, tlsFront, tlsProxy } from '../support/tls-front.js';

// Real servers that speak TLS only, and what may be wrong with that: nothing goes on unverified, nothing is sent to a stranger, and
// nothing that stands is taken for lost.

process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');

const STORES = ['postgres', 'qdrant', 'falkordb'] as const;
const PARTS = [...STORES, 'novamem'] as const;
type Part = (typeof PARTS)[number];

const HERE = ['DNS:localhost', 'IP:127.0.0.1'];
const folder = tempFolder('certificates');
let cluster: ForeignCluster;
let profile: Profile;
let stranger: Ca;
let expired: Certificate;
let elsewhere: Certificate;
const ports = {} as Record<'plainQdrant' | 'plainRedis', number>;
const children: ChildProcess[] = [];
const own = { ...process.env };

beforeAll(async () => {
  cluster = await ForeignCluster.start(60, { tls: true });
  // What a developer keeps for libpq would be found there.
  Object.assign(process.env, cluster.environment, { HOME: folder });
  profile = readProfile(cluster.profileWith([tempFolder('backups')]));
  stranger = new Ca(cluster.folder, 'stranger');
  expired = cluster.tls!.ca.sign('expired', HERE, { expired: true });
  elsewhere = cluster.tls!.ca.sign('elsewhere', ['DNS:db.example.org']);
  ports.plainQdrant = Number(new URL((await startQdrant()).url).port);
  [ports.plainRedis] = (await freePorts(1)) as [number];
  children.push(spawn('valkey-server', ['--port', String(ports.plainRedis), '--save', '', '--dir', folder]));
  const taken = await attempt(profile, { scenario: 'backup' });
  expect(taken.outcome, taken.said).toBe('recovered');
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  process.env = own;
  await cluster?.stop();
});

/** The profile with other settings of one part. */
const but = (part: Part, settings: object): Profile => ({ ...profile, [part]: { ...profile[part]!, ...settings } });

/** The same URL with another protocol, port or query. */
function urlOf(part: Part, more: { protocol?: string; port?: number; query?: string }): string {
  const url = new URL(profile[part]!.url.replace(/^\w+:/, more.protocol ?? '$&'));
  if (more.port !== undefined) url.port = String(more.port);
  url.search = more.query ?? '';
  return url.href.replace(/\/$/, '');
}

interface Arrangement {
  profile: Profile;
  /** What must not have been told anything. */
  front?: TlsFront;
  after?: () => Promise<void>;
}

/** A part whose server shows this certificate. */
async function showing(part: Part, certificate: () => Certificate): Promise<Arrangement> {
  if (part === 'postgres') {
    await postgresShows(cluster, certificate(), 'hostssl');
    return { profile, after: () => postgresShows(cluster, cluster.tls!.server, 'hostssl') };
  }
  const front = await tlsFront(certificate());
  return { profile: but(part, { url: urlOf(part, { port: front.port }) }), front };
}

async function speakingPlain(part: Part): Promise<Arrangement> {
  if (part === 'postgres') {
    await postgresShows(cluster, undefined, 'host');
    return { profile, after: () => postgresShows(cluster, cluster.tls!.server, 'hostssl') };
  }
  const port = part === 'falkordb' ? ports.plainRedis : ports.plainQdrant;
  return { profile: but(part, { url: urlOf(part, { port }) }) };
}

const without = (part: Part, ...fields: string[]): Profile =>
  but(part, Object.fromEntries(fields.map((field) => [field, undefined])));

const FAULTS: [string, readonly Part[], (part: Part) => Arrangement | Promise<Arrangement>, RegExp, RegExp][] = [
  [
    'is signed by a CA that the profile does not name',
    PARTS,
    (part) => ({ profile: but(part, { caFile: stranger.caFile }) }),
    /was asked over TLS, and its certificate is not trusted: the CA that signed it is not among the CAs in .*stranger\.pem/,
    /if .* has a new certificate, put the CA that signed it into .*stranger\.pem\. What it shows: openssl s_client -connect (localhost|127\.0\.0\.1):\d+/,
  ],
  [
    'is signed by a private CA, and the profile names none',
    ['qdrant', 'falkordb', 'novamem'],
    (part) => ({ profile: without(part, 'caFile') }),
    /is not trusted: .* not among the public CAs that this program knows/,
    /name the file of the CA that signed it as \w+\.caFile in the profile/,
  ],
  [
    'is signed by itself',
    PARTS,
    (part) => showing(part, () => ({ certFile: stranger.caFile, keyFile: stranger.caFile.replace(/pem$/, 'key') })),
    /is not trusted: it is signed by itself alone, and is not in the CAs in .*acme-ca\.pem/,
    /acme-ca\.pem/,
  ],
  [
    'has expired',
    PARTS,
    (part) => showing(part, () => expired),
    /its certificate, or the CA's, has expired \(by the clock of this machine it is 20\d\d-/,
    /renew the certificate of/,
  ],
  [
    'is for another host',
    PARTS,
    (part) => showing(part, () => elsewhere),
    /its certificate is not for (localhost|127\.0\.0\.1), but for DNS:db\.example\.org/,
    /put a host of its certificate into \w+\.url, or give/,
  ],
  [
    'is not there: what answers speaks no TLS',
    PARTS,
    speakingPlain,
    /was asked over TLS, and what answers there speaks no TLS/,
    /turn TLS on at .*; or, where the way to it is safe, say (http:\/\/|redis:\/\/|sslmode=disable) instead of/,
  ],
  [
    'is there, and it was asked without',
    PARTS,
    (part) => {
      const files = { caFile: undefined, certFile: undefined, keyFile: undefined };
      const url = urlOf(
        part,
        part === 'postgres' ? { query: 'sslmode=disable' } : { protocol: part === 'falkordb' ? 'redis:' : 'http:' },
      );
      return { profile: but(part, { ...files, url }) };
    },
    /was asked without TLS, and answers over TLS only/,
    /say (https:\/\/|rediss:\/\/|sslmode=verify-full) instead of (http:\/\/|redis:\/\/|sslmode=disable) in \w+\.url, and name its CA/,
  ],
  [
    'asks for one of the client, and the profile names none',
    ['falkordb'],
    (part) => ({ profile: without(part, 'certFile', 'keyFile') }),
    /it wants a client certificate, and the profile names none \(ERR_SSL_\w*ALERT_CERTIFICATE_REQUIRED\)/,
    /name one as falkordb\.certFile and falkordb\.keyFile/,
  ],
  [
    'asks for one of the client, and does not take that of the profile',
    ['falkordb'],
    (part) => ({ profile: but(part, stranger.sign('client')) }),
    /it does not take the client certificate of the profile \(ERR_SSL_/,
    /give falkordb\.certFile and keyFile a certificate that a CA of FalkorDB has signed/,
  ],
];

const ROWS = FAULTS.flatMap(([what, parts, arrange, seen, next]) =>
  parts.map((part) => [part, what, arrange, seen, next] as const),
);

const health = join(folder, 'health.yaml');
writeFileSync(
  health,
  'title: Only novamem\nwhen: It is ill.\noutcome: It is well.\nsteps:\n  - { id: health, uses: novamem.health, with: { patienceSeconds: 1 }, why: It is ill. }\n',
);

describe('a certificate of', () => {
  test.each(ROWS)('%s %s', async (part, _what, arrange, seen, next) => {
    const { profile: arranged, front, after } = await arrange(part);
    try {
      const { symptoms, healthy, advice, scenarios } = await diagnose(new Cluster(arranged));
      expect(healthy).toBe(false);
      const [symptom, ...others] = symptoms.filter((one) => one.service === part);
      expect([symptom?.ailment, others], JSON.stringify(symptoms)).toEqual(['untrusted', []]);
      expect(symptom!.seen).toMatch(seen);
      expect(symptom!.next).toMatch(next);
      expect(advice.join()).toContain(symptom!.next!.slice(1));
      expect(scenarios).toEqual([]);

      const scenario = part === 'novamem' ? health : RESTORES[part];
      const ended = await attempt(arranged, { scenario });
      expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
      expect(ended.said).toMatch(seen);
      expect(ended.changes).toEqual([]);
      const last = ended.events.find((event) => event.type === 'run.finished');
      expect(last?.standing.find((one) => one.service === part)).toMatchObject({ untrusted: true });
      expect(last?.standing.find((one) => one.service === part)).not.toHaveProperty('start');
      expectHarmless(ended.journal);
      for (const secret of Object.values(SECRETS)) expect(ended.journal).not.toContain(secret);
      expect(Buffer.concat(front?.heard ?? []).toString('latin1')).toBe('');
    } finally {
      await after?.();
    }
  });
});

test('no variable of the environment turns verification off', async () => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  try {
    const { symptoms } = await diagnose(
      new Cluster({
        ...profile,
        ...Object.fromEntries(PARTS.map((part) => [part, but(part, { caFile: stranger.caFile })[part]])),
      }),
    );
    expect(symptoms.map((one) => [one.service, one.ailment])).toEqual(PARTS.map((part) => [part, 'untrusted']));
  } finally {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  }
});

test('a service that TLS is not agreed on with is not taken for a stopped one', async () => {
  const runbook = join(folder, 'stop.yaml');
  writeFileSync(
    runbook,
    'title: Stop\nwhen: Now.\noutcome: Stopped.\nsteps:\n  - { id: stop, uses: service.stop, with: { service: qdrant }, why: Now. }\n',
  );
  const { qdrant: _, ...services } = profile.services;
  const ended = await attempt({ ...but('qdrant', { caFile: stranger.caFile }), services }, { scenario: runbook });
  expect([ended.outcome, ended.said]).toEqual(['failed', expect.stringMatching(/is not trusted/)]);
});

test('a service behind a proxy that ends TLS is reached by the name in its certificate', async () => {
  const port = await tlsProxy(cluster.tls!.server, ports.plainQdrant);
  const settings = { url: `https://localhost:${port}`, caFile: cluster.tls!.ca.caFile, apiKeyFrom: undefined };
  expect((await new Cluster(but('qdrant', settings)).answering('qdrant')).seen).toMatch(/^Qdrant 1\./);
});

test('what is in the memory of a FalkorDB with TLS can be written down', async () => {
  const file = join(folder, 'memory.rdb');
  await cluster.redis((redis) => redis.config('SET', 'repl-diskless-sync-delay', '0'));
  const bytes = await new Cluster(profile).falkordb.saveMemory(
    openGateway(() => {}),
    file,
  );
  expect(bytes).toBeGreaterThan(100);
  expect(readFileSync(file).toString('latin1', 0, 5)).toMatch(/^(REDIS|VALKE)/);
});

describe('with sslmode', () => {
  type Server = 'TLS only' | 'no TLS' | 'either' | 'TLS of a stranger, or none' | 'TLS for another host only';
  const SERVERS: [Server, () => Promise<void>][] = [
    ['TLS only', () => postgresShows(cluster, cluster.tls!.server, 'hostssl')],
    ['either', () => postgresShows(cluster, cluster.tls!.server, 'host')],
    ['TLS of a stranger, or none', () => postgresShows(cluster, stranger.sign('strange', HERE), 'host')],
    ['TLS for another host only', () => postgresShows(cluster, elsewhere, 'hostssl')],
    ['no TLS', () => postgresShows(cluster, undefined, 'host')],
  ];
  const EXPECTED: Record<Server, Record<string, string>> = {
    'TLS only': {
      disable: 'refused',
      allow: 'TLS',
      prefer: 'TLS',
      require: 'TLS',
      'verify-ca': 'TLS',
      'verify-full': 'TLS',
    },
    either: {
      disable: 'plain',
      allow: 'plain',
      prefer: 'TLS',
      require: 'TLS',
      'verify-ca': 'TLS',
      'verify-full': 'TLS',
    },
    'TLS of a stranger, or none': {
      disable: 'plain',
      allow: 'plain',
      prefer: 'TLS',
      require: 'TLS',
      'verify-ca': 'refused',
      'verify-full': 'refused',
    },
    'TLS for another host only': {
      disable: 'refused',
      allow: 'TLS',
      prefer: 'TLS',
      require: 'TLS',
      'verify-ca': 'TLS',
      'verify-full': 'refused',
    },
    'no TLS': {
      disable: 'plain',
      allow: 'plain',
      prefer: 'plain',
      require: 'refused',
      'verify-ca': 'refused',
      'verify-full': 'refused',
    },
  };

  test.each(SERVERS)('psql and this program do the same: %s', async (server, arrange) => {
    await arrange();
    const found: Record<string, [string, string]> = {};
    for (const mode of SSLMODES) {
      const caFile = mode.startsWith('verify') ? cluster.tls!.ca.caFile : undefined;
      found[mode] = await bothConnections({
        ...profile.postgres,
        caFile,
        url: urlOf('postgres', { query: `sslmode=${mode}` }),
      });
    }
    expect(found).toEqual(
      Object.fromEntries(Object.entries(EXPECTED[server]).map(([mode, end]) => [mode, [end, end]])),
    );
    // A CA makes of "require" what verify-ca is, and without a mode it means verify-full.
    const { caFile: _, ...settings } = profile.postgres;
    const ca = `sslrootcert=${encodeURIComponent(cluster.tls!.ca.caFile)}`;
    const required = await bothConnections({
      ...settings,
      url: urlOf('postgres', { query: `sslmode=require&${ca}` }),
    });
    expect(required).toEqual([EXPECTED[server]['verify-ca'], EXPECTED[server]['verify-ca']]);
    const unsaid = await bothConnections({ ...settings, url: urlOf('postgres', { query: ca }) });
    expect(unsaid).toEqual([EXPECTED[server]['verify-full'], EXPECTED[server]['verify-full']]);
  });
});

describe('what the profile leaves open about Postgres is the same for psql and this program', () => {
  const plain = () => ({ ...profile.postgres, caFile: undefined, url: urlOf('postgres', {}) });
  const ROOT = { good: () => cluster.tls!.ca.caFile, strange: () => stranger.caFile };

  beforeAll(() => postgresShows(cluster, cluster.tls!.server, 'hostssl'));

  test.each<[keyof typeof ROOT, string]>([
    ['good', 'TLS'],
    ['strange', 'refused'],
  ])('by the variables of libpq: a %s CA, %s', async (root, end) => {
    Object.assign(process.env, { PGSSLMODE: 'verify-full', PGSSLROOTCERT: ROOT[root]() });
    try {
      expect(await bothConnections(plain())).toEqual([end, end]);
    } finally {
      delete process.env.PGSSLMODE;
      delete process.env.PGSSLROOTCERT;
    }
  });

  test.each<[keyof typeof ROOT, string]>([
    ['good', 'TLS'],
    ['strange', 'refused'],
  ])('by what lies in ~/.postgresql: a %s CA, %s', async (root, end) => {
    const home = tempFolder('home-of-libpq');
    mkdirSync(join(home, '.postgresql'));
    copyFileSync(ROOT[root](), join(home, '.postgresql', 'root.crt'));
    process.env.HOME = home;
    try {
      expect(await bothConnections({ ...plain(), url: urlOf('postgres', { query: 'sslmode=require' }) })).toEqual([
        end,
        end,
      ]);
    } finally {
      process.env.HOME = folder;
    }
  });
});
