import type { QdrantClient } from '@qdrant/js-client-rest';
import pg from 'pg';
import { sleep } from '../hosts/waiting.js';
import { collectionOf, DIMENSIONS, embed, pointIdOf } from './embedding.js';

/** A memory as far as its vector needs it. */
export interface Embeddable {
  id: string;
  user: string;
  project: string | null;
  namespace: string;
  content: string;
  source: string;
}

/** How fast the stand-in embeds when nothing else is said: a sandbox is not to take minutes. */
export const DEFAULT_PER_MINUTE = 60_000;
const TICK = 250;
const IDLE = 500;

/**
 * What keeps the vectors of the stand-in: embeds what is written, and re-embeds in the background the rows whose embedded_at
 * is NULL. As novamem does, it makes a collection that is missing, and remembers which it has seen until it is restarted.
 */
export class Embedder {
  readonly #seen = new Set<string>();
  readonly #ended = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    readonly qdrant: QdrantClient,
    readonly connection: pg.ClientConfig,
    /** Memories a minute; 0 is an embedder that is out of order. */
    readonly perMinute: number,
  ) {}

  get state(): 'ok' | 'failing' {
    return this.perMinute > 0 ? 'ok' : 'failing';
  }

  start(): void {
    this.#loop = this.#work();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#loop;
  }

  /** Stores the vectors of memories that belong into one collection. */
  async store(collection: string, memories: readonly Embeddable[]): Promise<void> {
    if (this.state === 'failing') throw new Error('the embedder does not answer');
    if (!this.#seen.has(collection)) {
      if (!(await this.qdrant.collectionExists(collection)).exists)
        await this.qdrant.createCollection(collection, { vectors: { size: DIMENSIONS, distance: 'Cosine' } });
      this.#seen.add(collection);
    }
    await this.qdrant.upsert(collection, {
      wait: true,
      points: memories.map(({ id, user, project, content, source }) => ({
        id: pointIdOf(id),
        vector: embed(content),
        payload: { entryId: id, userId: user, projectId: project, source, agentName: `agent-${source}` },
      })),
    });
  }

  async #work(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      // Its session lasts no longer than the work: one that stayed would keep the database from being renamed.
      await this.#drain().catch(() => {});
      await sleep(IDLE, this.#ended.signal).catch(() => {});
    }
  }

  async #drain(): Promise<void> {
    if (this.state === 'failing') return;
    const client = new pg.Client({ ...this.connection, application_name: 'novamem' });
    client.on('error', () => {});
    try {
      await client.connect();
      while (!this.#ended.signal.aborted && (await this.#batch(client))) await sleep(TICK, this.#ended.signal);
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** Embeds one tick's share, the oldest first; what cannot be embedded waits on. Answers whether anything was. */
  async #batch(client: pg.Client): Promise<boolean> {
    const share = Math.max(1, Math.round((this.perMinute * TICK) / 60_000));
    const { rows } = await client.query<Embeddable>(
      `SELECT id, user_id AS "user", project_id AS project, namespace, content, source FROM memory_entries
        WHERE embedded_at IS NULL ORDER BY created_at, id LIMIT $1`,
      [share],
    );
    let stored = false;
    for (const [collection, memories] of Map.groupBy(rows, ({ user, project, namespace }) =>
      collectionOf(user, project, namespace),
    )) {
      const isStored = await this.store(collection, memories).then(
        () => true,
        () => false,
      );
      if (!isStored) continue;
      stored = true;
      await client.query('UPDATE memory_entries SET embedded_at = now() WHERE id = ANY($1) AND embedded_at IS NULL', [
        memories.map((memory) => memory.id),
      ]);
    }
    return stored;
  }
}
