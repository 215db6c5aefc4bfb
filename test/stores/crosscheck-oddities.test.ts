import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { resolveSecret } from '../../src/config/secrets.js';
import { Cluster } from '../../src/stores/cluster.js';
import { type CrosscheckOptions, crosscheck, type Difference } from '../../src/stores/crosscheck/crosscheck.js';
import { readMemories } from '../../src/stores/postgres/memories.js';
import { idsFrom, Memories } from '../support/memories.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

// Stores that are not as novamem makes them, and sessions that do not end as they should.

const DAY = 86_400_000;

let real: RealCluster;
let memories: Memories;

beforeAll(async () => {
  real = await realCluster(10);
  memories = new Memories(real);
});

beforeEach(() => memories.clear());

/** What a cross-check told of, `kind: memory`, sorted; each as it can stand in a list of lines. */
async function told(options: CrosscheckOptions = {}, cluster = real.cluster): Promise<string[]> {
  const lines: string[] = [];
  await crosscheck(cluster, {
    ...options,
    onDifference(difference) {
      const { kind, memory } = JSON.parse(JSON.stringify(difference)) as Difference;
      lines.push(`${kind}: ${memory}`);
      return undefined;
    },
  });
  return lines.sort();
}

/** While something else is called memory_entries. */
async function withTable(sql: string, work: () => Promise<void>): Promise<void> {
  await real.sql(`ALTER TABLE memory_entries RENAME TO real_entries; ${sql}`);
  try {
    await work();
  } finally {
    const [{ kind }] = (await real.sql("SELECT relkind AS kind FROM pg_class WHERE relname = 'memory_entries'")) as [
      { kind: string },
    ];
    await real.sql(
      `DROP ${kind === 'v' ? 'VIEW' : 'TABLE'} memory_entries; ALTER TABLE real_entries RENAME TO memory_entries`,
    );
  }
}

describe('memories in Postgres', () => {
  test.each([
    ['uuid', [1, 2, 3].map((n) => `550e8400-e29b-41d4-a716-44665544000${n}`)],
    ['bigint', ['1', '-5', '9007199254740993']],
    ['char(40)', ['one', 'two', 'three']],
    ['text', ['01kd3x5yv8abcdefghjkmnpqrs', '\\N', 'tab\tand\\', '']],
  ])('with ids of the type %s in a partitioned table', async (type, ids) => {
    await memories.vectors(ids);
    await memories.nodes(ids);
    const parts = [0, 1].map(
      (n) => `CREATE TABLE part${n} PARTITION OF memory_entries FOR VALUES WITH (MODULUS 2, REMAINDER ${n})`,
    );
    const rows = ids.map((id) => `('${id}')`).join(', ');
    const made = `CREATE TABLE memory_entries (id ${type} PRIMARY KEY) PARTITION BY HASH (id); ${parts.join('; ')}`;
    await withTable(`${made}; INSERT INTO memory_entries VALUES ${rows}`, async () => {
      expect(await told()).toEqual([]);
      await real.sql(`DELETE FROM memory_entries WHERE id = '${ids[0]}'`);
      expect(await told()).toEqual([`stray-nodes: ${ids[0]}`, `stray-vectors: ${ids[0]}`]);
    });
  });

  test('that are there twice hide no stray', async () => {
    const [twice, stray, ...rest] = idsFrom(4);
    await memories.everywhere([twice!, stray!, ...rest]);
    await memories.forget([stray!]);
    const rows = `SELECT * FROM real_entries UNION ALL SELECT * FROM real_entries WHERE id = '${twice}'`;
    await withTable(`CREATE VIEW memory_entries AS ${rows}`, async () => {
      expect(await told()).toEqual([`stray-nodes: ${stray}`, `stray-vectors: ${stray}`]);
      await memories.deleteVectors([twice!]);
      expect(await told()).toContain(`missing-vectors: ${twice}`);
      expect(await told()).toHaveLength(3);
    });
  });

  test('whose times are in the future, as another machine wrote them, are looked at as all others', async () => {
    const [first, second, ...rest] = idsFrom(4);
    await memories.everywhere([first!, second!, ...rest]);
    await memories.deleteVectors([first!]);
    await memories.deleteNodes([second!]);
    const missing = [`missing-nodes: ${second}`, `missing-vectors: ${first}`];
    await real.sql("UPDATE memory_entries SET created_at = now() + interval '3 hours'");
    expect(await told()).toEqual(missing);
    await real.sql("UPDATE memory_entries SET embedded_at = now() + interval '3 hours'");
    expect(await told({ moments: { qdrant: Date.now() + DAY } })).toEqual(missing);
  });

  test('whose times have no zone are looked at where the server is of another one', async () => {
    const [first, ...rest] = idsFrom(4);
    await memories.everywhere([first!, ...rest]);
    await memories.deleteNodes([first!]);
    const { database } = real.cluster.postgres;
    const zoneless = "SELECT id, created_at AT TIME ZONE 'UTC' AS created_at, embedded_at FROM real_entries";
    await real.sql(`ALTER DATABASE ${database} SET timezone = 'America/Los_Angeles'`);
    try {
      await withTable(`CREATE VIEW memory_entries AS ${zoneless}`, async () => {
        expect(await told()).toEqual([`missing-nodes: ${first}`]);
      });
    } finally {
      await real.sql(`ALTER DATABASE ${database} RESET timezone`);
    }
  });

  test('that a policy hides from the role are an error, not lost', async () => {
    const [hidden, ...rest] = idsFrom(4);
    await memories.everywhere([hidden!, ...rest]);
    const { postgres, ...profile } = real.cluster.profile;
    const password = postgres.passwordFrom ? resolveSecret(postgres.passwordFrom, 'the Postgres password') : '';
    const url = new URL(postgres.url);
    url.username = 'reader';
    const cluster = new Cluster({ ...profile, postgres: { ...postgres, url: url.href } });
    await real.sql(
      `CREATE ROLE reader LOGIN PASSWORD '${password}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`,
    );
    try {
      expect(await told({}, cluster)).toEqual([]);
      await real.sql(
        `ALTER TABLE memory_entries ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON memory_entries USING (id <> '${hidden}')`,
      );
      await expect(told({}, cluster)).rejects.toThrow(/row-level security policy for table "memory_entries"/);
      // Its owner is under no policy.
      expect(await told()).toEqual([]);
    } finally {
      await real.sql(
        'DROP POLICY IF EXISTS few ON memory_entries; ALTER TABLE memory_entries DISABLE ROW LEVEL SECURITY; DROP OWNED BY reader; DROP ROLE reader',
      );
    }
  });
});

test('points whose ids are numbers that JavaScript cannot hold are told of, and listed', async () => {
  const [stray, double] = idsFrom(2);
  await memories.everywhere([double!]);
  const { qdrant } = real.cluster;
  const points = [stray, double].map(
    (id, index) => `{"id": 1844674407370955161${index}, "vector": [1, 0, 0, 0], "payload": {"entryId": "${id}"}}`,
  );
  const put = await fetch(`${qdrant.urlOf('collections', 'novamem_u_acme_default', 'points').href}?wait=true`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', 'api-key': qdrant.apiKey ?? '' },
    body: `{"points": [${points.join(', ')}]}`,
  });
  expect(put.status).toBe(200);
  expect(await told()).toEqual([`double-vectors: ${double}`, `stray-vectors: ${stray}`]);
});

describe('a reading of the memories that does not end well', () => {
  const ROWS = 300_000;
  const reading = (onPage: () => void | Promise<void>) => readMemories(real.cluster.postgres, { begun: 0 }, onPage);

  test.each([
    ['at once', 0],
    ['by a reader who is slow', 5],
  ])('is an error, when the server gives up or ends the session in its middle, taken %s', async (_, slowMs) => {
    const slowly = () => new Promise<void>((resolve) => setTimeout(resolve, slowMs));
    const last = ROWS - 50_000;
    await withTable(
      `CREATE VIEW memory_entries AS SELECT n::text AS id FROM generate_series(1, ${ROWS}) n WHERE 1 / (${last} - n) < 5`,
      async () => {
        await expect(reading(slowly)).rejects.toThrow('division by zero');
      },
    );
    await withTable(
      `CREATE VIEW memory_entries AS SELECT n::text AS id FROM generate_series(1, ${ROWS}) n`,
      async () => {
        let isEnded = false;
        const ended = reading(async () => {
          if (!isEnded)
            await real.sql(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT id%' AND pid <> pg_backend_pid()",
            );
          isEnded = true;
          await slowly();
        });
        await expect(ended).rejects.toThrow(/terminat/);
      },
    );
  });
});
