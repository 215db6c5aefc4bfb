import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { resolveSecret } from '../../src/config/secrets.js';
import { takeBackup } from '../../src/engine/take-backup.js';
import { takeFacts } from '../../src/engine/take-facts.js';
import { type Change, type Gateway, openGateway } from '../../src/hosts/gateway.js';
import type { Overrides } from '../../src/runbook/runbook.js';
import type { SandboxRecord } from '../../src/sandbox/registry.js';
import { sandboxDown, sandboxProfile, sandboxUp } from '../../src/sandbox/sandbox.js';
import { placesIn } from '../../src/sandbox/sandbox-profile.js';
import type { StepContext, StepEvent, StepKind } from '../../src/steps/step.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../src/stores/cluster.js';
import { tempFolder } from './temp.js';

// A folder of its own for each test file: nothing of the developer's own runs and sandboxes is seen or touched.
process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');

const made: string[] = [];

// Told here and not where one is made: that is in a hook, in which no other hook can be told any more.
afterAll(async () => {
  for (const name of made.splice(0)) await sandboxDown(name);
});

export const open: Gateway = openGateway(() => {});

export interface RealCluster {
  record: SandboxRecord;
  cluster: Cluster;
  places: ReturnType<typeof placesIn>;
  /** Runs one or more statements in the cluster's database, or in another. */
  sql(text: string, database?: string): Promise<pg.QueryResultRow[]>;
  /** A session of another program, open until it is ended. */
  session(database?: string): Promise<pg.Client>;
  /** A real backup set of the cluster as it is now, made by the program's own runbook. */
  backup(profile?: Profile, overrides?: Overrides): Promise<BackupSet>;
  context(more?: Partial<StepContext>): StepContext;
}

/** A sandbox that is up, and a way to open a session of another program in it. */
export function openSandbox(name: string): Pick<RealCluster, 'cluster' | 'session'> {
  const cluster = new Cluster(sandboxProfile(name));
  const { host, port, user, database: own } = cluster.postgres;
  const password = resolveSecret(cluster.profile.postgres.passwordFrom!, 'the Postgres password');
  return {
    cluster,
    async session(database = own) {
      const client = new pg.Client({ host, port, user, password, database, application_name: 'somebody else' });
      client.on('error', () => {});
      await client.connect();
      return client;
    },
  };
}

/** A real cluster for the tests of one file: taken down after them, and by its keeper should this process be killed. */
export async function realCluster(memories = 600): Promise<RealCluster> {
  const name = `test-${randomBytes(4).toString('hex')}`;
  made.push(name);
  const record = await sandboxUp({ name, memories, lives: 'process' });
  const { cluster, session } = openSandbox(name);
  return {
    record,
    cluster,
    places: placesIn(record.folder),
    session,
    async sql(text, database) {
      const client = await session(database);
      try {
        const result = (await client.query(text)) as pg.QueryResult | pg.QueryResult[];
        return Array.isArray(result) ? (result.at(-1)?.rows ?? []) : result.rows;
      } finally {
        await client.end();
      }
    },
    backup: (profile = cluster.profile, overrides = {}) => takeBackup(profile, overrides),
    context: (more = {}) => contextOf(cluster, more),
  };
}

/** What a step of a run on this cluster is given. */
export function contextOf(cluster: Cluster, more: Partial<StepContext> = {}): StepContext {
  return {
    runId: `test-${randomBytes(4).toString('hex')}`,
    cluster,
    gateway: open,
    workFolder: join(tempFolder('work'), 'safety'),
    phase: 'ready',
    startsEarlier: () => false,
    earlier: {},
    factsOf: () => [],
    ...more,
  };
}

/** A gateway that lets through and remembers what went through it. */
export function recordingGateway(): { gateway: Gateway; changes: Change[] } {
  const changes: Change[] = [];
  return { gateway: openGateway((change) => changes.push(change)), changes };
}

/** What a step told while it ran. `error` is what it ended with, undefined when it ended well. */
export interface Performed<F> {
  facts: Partial<F>;
  output: string[];
  safetyCopies: { of: string; at: string }[];
  error: Error | undefined;
}

/** Follows the events of a step to their end, as the engine does. */
export async function follow<F>(
  events: AsyncIterable<StepEvent<F>>,
  onOutput: (line: string) => void = () => {},
): Promise<Performed<F>> {
  const told: Performed<F> = { facts: {}, output: [], safetyCopies: [], error: undefined };
  try {
    for await (const event of events) {
      if (event.type === 'facts') takeFacts(told.facts, event);
      else if (event.type === 'safety-copy') told.safetyCopies.push({ of: event.of, at: event.at });
      else if (event.type === 'output') {
        for (const line of event.line.split('\n')) {
          told.output.push(line);
          onOutput(line);
        }
      }
    }
  } catch (error) {
    told.error = error as Error;
  }
  return told;
}

/** Runs a step of a kind with parameters as a runbook would give them. */
export function perform<P, F>(
  kind: StepKind<P, F>,
  given: unknown,
  ctx: StepContext,
  {
    signal = new AbortController().signal,
    onOutput,
  }: { signal?: AbortSignal; onOutput?: (line: string) => void } = {},
): Promise<Performed<F>> {
  return follow(kind.run(kind.params.parse(given), ctx, signal), onOutput);
}

/** The messages of a step's preflight, each with its level before it. */
export async function findings<P, F>(kind: StepKind<P, F>, given: unknown, ctx: StepContext): Promise<string[]> {
  const found = await kind.check(kind.params.parse(given), ctx);
  return found.map((finding) => `${finding.level}: ${finding.message}`);
}

/** What of a step's evidence is not as expected. */
export async function unequal<P, F>(kind: StepKind<P, F>, given: unknown, ctx: StepContext, facts: Partial<F>) {
  const checks = await kind.verify(kind.params.parse(given), ctx, facts as F);
  if (checks.length === 0) throw new Error('there is no evidence at all');
  return checks
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);
}
