import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { QdrantClient } from '@qdrant/js-client-rest';
import { Redis } from 'ioredis';
import pg from 'pg';
import { STAND_IN_TITLE } from '../stores/novamem/stand-in-title.js';
import { messageOf } from '../words.js';
import { collectionOf, embed } from './embedding.js';
import { DEFAULT_PER_MINUTE, Embedder } from './embedding-worker.js';
import { NOVAMEM_SCHEMA } from './novamem-schema.js';
import { contentHashOf, ulid } from './seed-data.js';

/** How the stand-in reaches its three stores. */
export interface StandInSettings {
  port: number;
  token: string;
  postgres: { host: string; port: number; user: string; password: string; database: string };
  qdrant: { port: number; apiKey: string };
  falkordb: { port: number; password: string; graph: string };
  /** It and its three stores speak TLS only; what it shows them it is itself known by. `caFile` must be in NODE_EXTRA_CA_CERTS, too. */
  tls?: { caFile: string; certFile: string; keyFile: string };
  /** How many memories a minute it embeds; 0 is an embedder that is out of order. */
  embeddingsPerMinute?: number;
  /** Whether it has POST /v1/admin/reindex, as novamem's handbook plans it; most servers have not. */
  reindexEndpoint?: boolean;
}

interface Hit {
  id: string;
  score: number;
  content: string;
  tier: 'warm' | 'cold';
  namespace: string;
  project: string | null;
  source: string;
  metadata: unknown;
  signals: { keyword?: number; vector?: number; graph?: number };
}

const WEIGHTS = { keyword: 0.3, vector: 0.6, graph: 0.1 };
const LARGEST_BODY = 1024 * 1024;

/**
 * A stand-in for the novamem service, for sandboxes: it answers the paths that a recovery looks at, in novamem's shapes, from
 * the three real stores. It is not novamem.
 */
export class StandIn {
  readonly #pool: pg.Pool;
  readonly #qdrant: QdrantClient;
  readonly #redis: Redis;
  readonly #embedder: Embedder;
  readonly #server: http.Server;

  constructor(readonly settings: StandInSettings) {
    const tls = settings.tls && {
      ca: readFileSync(settings.tls.caFile),
      cert: readFileSync(settings.tls.certFile),
      key: readFileSync(settings.tls.keyFile),
    };
    // A copy: pg hides the key in what it is given.
    const postgres = { ...settings.postgres, ...(tls ? { ssl: { ...tls } } : {}) };
    this.#pool = new pg.Pool({
      ...postgres,
      max: 4,
      connectionTimeoutMillis: 2_000,
      application_name: 'novamem',
    });
    this.#pool.on('error', () => {});
    this.#qdrant = new QdrantClient({
      host: '127.0.0.1',
      port: settings.qdrant.port,
      https: tls !== undefined,
      headers: { 'api-key': settings.qdrant.apiKey },
      timeout: 3_000,
      checkCompatibility: false,
    });
    this.#embedder = new Embedder(
      this.#qdrant,
      { ...postgres, connectionTimeoutMillis: 2_000 },
      settings.embeddingsPerMinute ?? DEFAULT_PER_MINUTE,
    );
    this.#redis = new Redis({
      host: '127.0.0.1',
      port: settings.falkordb.port,
      password: settings.falkordb.password,
      ...(tls ? { tls } : {}),
      maxRetriesPerRequest: 0,
      commandTimeout: 3_000,
      lazyConnect: true,
    });
    this.#redis.on('error', () => {});
    const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.#answer(request)
        .catch((error: unknown) => ({ status: 500, body: { error: messageOf(error) } }))
        .then(({ status, body }) => {
          response.writeHead(status, { 'content-type': 'application/json' });
          response.end(JSON.stringify(body));
        });
    };
    this.#server = tls ? https.createServer(tls, answer) : http.createServer(answer);
  }

  async start(): Promise<void> {
    this.#redis.connect().catch(() => {});
    await this.#migrate().catch(() => {});
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.settings.port, '127.0.0.1', resolve);
    });
    this.#embedder.start();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#redis.disconnect();
    await this.#embedder.stop();
    await this.#pool.end();
  }

  /** As novamem does at its start: in a database without its tables it makes them. One that does not answer is left for later. */
  async #migrate(): Promise<void> {
    const { rows } = await this.#pool.query("SELECT to_regclass('memory_entries') IS NULL AS empty");
    if (rows[0].empty) await this.#pool.query(NOVAMEM_SCHEMA);
  }

  async #answer(request: http.IncomingMessage): Promise<{ status: number; body: unknown }> {
    const route = `${request.method} ${request.url?.split('?')[0]}`;
    if (route === 'GET /live') return { status: 200, body: { ok: true } };
    if (route === 'GET /openapi.json')
      return {
        status: 200,
        body: { openapi: '3.0.3', info: { title: STAND_IN_TITLE, version: '1' }, paths: this.#paths() },
      };
    if (route === 'GET /ready' || route === 'GET /health') {
      const ok = (await this.#isOk('warm')) && (await this.#isOk('cold'));
      return { status: ok ? 200 : 503, body: { ok } };
    }
    if (request.headers.authorization !== `Bearer ${this.settings.token}`)
      return { status: 401, body: { error: 'unauthorized' } };
    switch (route) {
      case 'GET /v1/admin/health/deep':
        return { status: 200, body: await this.#deepHealth() };
      case 'GET /v1/stats':
        return { status: 200, body: await this.#stats() };
      case 'POST /v1/search':
        return this.#search((await bodyOf(request)) as SearchRequest);
      case 'POST /v1/remember':
        return this.#remember((await bodyOf(request)) as { content?: string; namespace?: string });
      case 'POST /v1/admin/reindex':
        if (this.settings.reindexEndpoint) return this.#reindex();
        return { status: 404, body: { error: 'not found' } };
      default:
        return { status: 404, body: { error: 'not found' } };
    }
  }

  async #isOk(tier: 'warm' | 'cold' | 'graph'): Promise<boolean> {
    try {
      if (tier === 'warm') await this.#pool.query('SELECT 1 FROM memory_entries LIMIT 1');
      else if (tier === 'cold') await this.#qdrant.getCollections();
      else await this.#redis.call('GRAPH.RO_QUERY', this.settings.falkordb.graph, 'MATCH (m) RETURN m.id LIMIT 1');
      return true;
    } catch {
      return false;
    }
  }

  async #deepHealth() {
    const state = async (tier: 'warm' | 'cold' | 'graph') => ((await this.#isOk(tier)) ? 'ok' : 'unreachable');
    const deps = {
      warm: await state('warm'),
      cold: await state('cold'),
      graph: await state('graph'),
      embedder: this.#embedder.state,
    };
    const pending = await this.#pool
      .query('SELECT count(*)::int AS count FROM memory_entries WHERE embedded_at IS NULL')
      .catch(() => ({ rows: [{ count: null }] }));
    // As novamem has it, an embedder that fails takes no service away: keywords and the graph still find.
    const ok = [deps.warm, deps.cold, deps.graph].every((one) => one === 'ok');
    return { ok, deps, pendingEmbeddings: pending.rows[0].count };
  }

  #paths(): Record<string, object> {
    const posts = ['/v1/search', '/v1/remember', ...(this.settings.reindexEndpoint ? ['/v1/admin/reindex'] : [])];
    return Object.fromEntries(posts.map((path) => [path, { post: {} }]));
  }

  /** Queues every memory: the background does the rest. */
  async #reindex(): Promise<{ status: number; body: unknown }> {
    const { rowCount } = await this.#pool.query('UPDATE memory_entries SET embedded_at = NULL');
    return { status: 202, body: { queued: rowCount } };
  }

  async #stats() {
    const memories = await this.#pool.query('SELECT count(*)::int AS count FROM memory_entries');
    const { collections } = await this.#qdrant.getCollections();
    return { memories: memories.rows[0].count, collections: collections.length };
  }

  async #search(wanted: SearchRequest): Promise<{ status: number; body: unknown }> {
    const { query = '', k = 10, namespace = 'default', project = null, user = 'acme' } = wanted;
    const weights = { ...WEIGHTS, ...wanted.weights };
    const signals = new Map<string, Hit['signals']>();
    let degraded = false;
    const tier = async (work: () => Promise<void>) => {
      try {
        await work();
      } catch {
        degraded = true;
      }
    };
    const note = (id: string, name: keyof Hit['signals'], value: number) =>
      signals.set(id, { ...signals.get(id), [name]: value });
    await tier(async () => {
      const found = await this.#pool.query(
        `SELECT f.entry_id AS id, ts_rank(f.tsv, plainto_tsquery('english', $1)) AS rank FROM memory_fts f JOIN memory_entries m ON m.id = f.entry_id
          WHERE f.tsv @@ plainto_tsquery('english', $1) AND m.user_id = $2 AND m.project_id IS NOT DISTINCT FROM $3 AND m.namespace = $4
          ORDER BY rank DESC, id LIMIT $5`,
        [query, user, project, namespace, k * 2],
      );
      for (const row of found.rows) note(row.id, 'keyword', Number(row.rank));
    });
    await tier(async () => {
      const found = await this.#qdrant.query(collectionOf(user, project, namespace), {
        query: embed(query),
        limit: k * 2,
        with_payload: true,
        params: { exact: true },
      });
      for (const point of found.points) note(String(point.payload?.entryId), 'vector', point.score);
    });
    await tier(async () => {
      for (const id of [...signals.keys()]) {
        const found = (await this.#redis.call(
          'GRAPH.RO_QUERY',
          this.settings.falkordb.graph,
          `MATCH (:Memory {id:'${id}'})-[r:RELATES]-() RETURN count(r), avg(r.strength)`,
        )) as unknown[][][];
        const [count, strength] = found[1]?.[0] ?? [];
        if (Number(count) > 0) note(id, 'graph', Number(strength));
      }
    });
    const results = await this.#hits(signals, weights, k).catch(() => {
      degraded = true;
      return [];
    });
    return { status: degraded && results.length === 0 ? 503 : 200, body: { results, degraded } };
  }

  async #hits(signals: Map<string, Hit['signals']>, weights: typeof WEIGHTS, k: number): Promise<Hit[]> {
    const rows = await this.#pool.query(
      'SELECT id, content, cold, namespace, project_id, source, metadata FROM memory_entries WHERE id = ANY($1)',
      [[...signals.keys()]],
    );
    const hits = rows.rows.map((row): Hit => {
      const seen = signals.get(row.id) ?? {};
      const score =
        weights.keyword * (seen.keyword ?? 0) +
        weights.vector * (seen.vector ?? 0) +
        weights.graph * (seen.graph ?? 0);
      return {
        id: row.id,
        score,
        content: row.content,
        tier: row.cold ? 'cold' : 'warm',
        namespace: row.namespace,
        project: row.project_id,
        source: row.source,
        metadata: row.metadata,
        signals: seen,
      };
    });
    return hits.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1)).slice(0, k);
  }

  async #remember({
    content,
    namespace = 'default',
  }: {
    content?: string;
    namespace?: string;
  }): Promise<{ status: number; body: unknown }> {
    if (!content) return { status: 400, body: { error: 'content is missing' } };
    const id = ulid(Date.now(), Math.random);
    const user = 'acme';
    // Both rows, or none: what was refused is not there by half.
    await this.#pool.query(
      `WITH entry AS (
         INSERT INTO memory_entries (id, user_id, content, namespace, source, content_hash, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'api', $5, now(), now()) RETURNING id, content)
       INSERT INTO memory_fts SELECT id, to_tsvector('english', content) FROM entry`,
      [id, user, content, namespace, contentHashOf(content)],
    );
    // A memory without its vector is kept all the same: the row says that it still waits for one.
    const embedded = await this.#embedder
      .store(collectionOf(user, null, namespace), [{ id, user, project: null, namespace, content, source: 'api' }])
      .then(() => this.#pool.query('UPDATE memory_entries SET embedded_at = now() WHERE id = $1', [id]))
      .then(
        () => true,
        () => false,
      );
    await this.#redis.call(
      'GRAPH.QUERY',
      this.settings.falkordb.graph,
      `CREATE (:Memory {id:'${id}', user:'${user}', project:''})`,
    );
    return { status: 201, body: { id, embedded } };
  }
}

interface SearchRequest {
  query?: string;
  k?: number;
  namespace?: string;
  project?: string | null;
  user?: string;
  weights?: Partial<typeof WEIGHTS>;
}

async function bodyOf(request: http.IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) {
    text += (chunk as Buffer).toString('utf8');
    if (text.length > LARGEST_BODY) throw new Error('the body is too large');
  }
  return text === '' ? {} : JSON.parse(text);
}
