import { keepMemoryFlat } from '../../hosts/flat-memory.js';
import { inParallel } from '../../in-parallel.js';
import type { Cluster } from '../cluster.js';
import { countNodes, nodePages } from '../falkordb/nodes.js';
import { type MemoryRow, memoriesAmong, orphansAmong, readMemories, readMemoryIds } from '../postgres/memories.js';
import { listCollections } from '../qdrant/inventory.js';
import { pointPages } from '../qdrant/points.js';
import { MemoryIndex, type Seen } from './memory-index.js';
import { instantOfUlid } from './ulid.js';

/**
 * In what the stores can differ. `stray`: a vector or node without a memory in Postgres. `missing`: a memory without one. `double`:
 * a further one of the same memory.
 */
export const DIFFERENCES = [
  'missing-vectors',
  'stray-vectors',
  'double-vectors',
  'missing-nodes',
  'stray-nodes',
  'double-nodes',
] as const;
export type DifferenceKind = (typeof DIFFERENCES)[number];

/**
 * How a difference explains itself. `younger`: its memory was written after the moment for which the other store stands. `known`:
 * novamem has noted the vector itself, to delete it. `recent`: written within the last minute, so its vector and node may be under way.
 * Else `unexplained`.
 */
export const REASONS = ['unexplained', 'younger', 'known', 'recent'] as const;
export type Reason = (typeof REASONS)[number];

export interface Difference {
  kind: DifferenceKind;
  /** The memory; null where the point or node names none. */
  memory: string | null;
  reason: Reason;
  /** When the memory was written, as its id tells. */
  at?: string;
  /** Of vectors. */
  collection?: string;
  point?: string | number;
  /** Of nodes: the server's own number. */
  node?: number;
}

export interface Tally extends Record<Reason, number> {
  /** Of these, how many name no memory at all. */
  nameless: number;
  /** Some of their memories, the unexplained first. */
  examples: string[];
}

/** How far the three stores agree about the memories. */
export interface Crosscheck {
  memories: number;
  /** Exact points of each collection under the profile's prefix. */
  collections: Record<string, number>;
  vectors: number;
  nodes: number;
  /** Memories that have a vector, or a node. */
  withVector: number;
  withNode: number;
  /** Memories without a vector that novamem has yet to embed. */
  pending: number;
  differences: Record<DifferenceKind, Tally>;
  /** The youngest memory in each store (ms since 1970), as the ids tell; null where none does. */
  youngest: { memories: number | null; vectors: number | null; nodes: number | null };
}

export interface CrosscheckOptions {
  /**
   * The moment (ms since 1970) for which a store stands, where that is known: then nothing older explains itself. Else it is its youngest memory's.
   */
  moments?: { postgres?: number; qdrant?: number; falkordb?: number };
  /** Told of every difference, but not of memories that are pending. The next waits for what it answers, if anything. */
  onDifference?(difference: Difference): Promise<void> | undefined;
  onProgress?(progress: { done: number; total: number; text: string }): void;
  signal?: AbortSignal;
}

/** Clocks of several machines, and what is under way between two stores: so near to a moment nothing is certain. */
const GRACE = 60_000;
const COLLECTIONS_AT_ONCE = 2;
const EXAMPLES = 5;
/** As many strays are asked for in Postgres at once. */
const ASKED_AT_ONCE = 500;

/**
 * Compares every memory in Postgres with every vector and every node, both ways. All three stores are streamed; what is kept is an
 * index of some 20 bytes a memory. Nothing is changed. Rejects when a store cannot be read to its end.
 */
export async function crosscheck(cluster: Cluster, options: CrosscheckOptions = {}): Promise<Crosscheck> {
  keepMemoryFlat();
  const work = new Work(cluster, options);
  await work.readMemories();
  await inParallel([() => work.readVectors(), () => work.readNodes()], 2, (read) => read());
  await work.findMissing();
  return work.result;
}

class Work {
  readonly result: Crosscheck = {
    memories: 0,
    collections: {},
    vectors: 0,
    nodes: 0,
    withVector: 0,
    withNode: 0,
    pending: 0,
    differences: Object.fromEntries(DIFFERENCES.map((kind) => [kind, emptyTally()])) as Record<DifferenceKind, Tally>,
    youngest: { memories: null, vectors: null, nodes: null },
  };
  #index = new MemoryIndex(0);
  /** The greatest id of each store, in capitals: no lesser one is younger. */
  readonly #newest = { memories: '', vectors: '', nodes: '' };
  readonly #begun = Date.now();
  /** How many the server counts. */
  #nodes = 0;

  constructor(
    readonly cluster: Cluster,
    readonly options: CrosscheckOptions,
  ) {}

  async readMemories(): Promise<void> {
    const { result } = this;
    let total = 0;
    await readMemoryIds(
      this.cluster.postgres,
      (count) => {
        total = count;
        this.#index = new MemoryIndex(count);
      },
      (rows) => {
        for (const { id } of rows) {
          this.#index.add(id);
          this.#noteAge('memories', id);
        }
        this.#step(this.#index.size, total, 'memories in Postgres');
      },
    );
    result.memories = this.#index.size;
  }

  async readVectors(): Promise<void> {
    const { result, cluster } = this;
    const names = await listCollections(cluster.qdrant);
    await inParallel(names, COLLECTIONS_AT_ONCE, async (collection) => {
      const strays = this.#strays('stray-vectors');
      let points = 0;
      for await (const page of pointPages(cluster.qdrant, collection)) {
        for (const { point, memory } of page) {
          if (memory !== null) this.#noteAge('vectors', memory);
          const seen = memory === null ? 'unknown' : this.#see(memory, 'vector');
          if (seen === 'first') continue;
          const of = { collection, point, memory };
          if (seen === 'unknown') await strays.add(of);
          else await this.#tell({ kind: 'double-vectors', reason: 'unexplained', ...of });
        }
        points += page.length;
        result.vectors += page.length;
        this.#stepSeen(`vectors, now ${collection}`);
      }
      await strays.flush();
      result.collections[collection] = points;
    });
  }

  async readNodes(): Promise<void> {
    const { result, cluster } = this;
    this.#nodes = (await countNodes(cluster.falkordb)).count;
    const strays = this.#strays('stray-nodes');
    for await (const page of nodePages(cluster.falkordb)) {
      for (const { node, memory } of page) {
        if (memory !== null) this.#noteAge('nodes', memory);
        const seen = memory === null ? 'unknown' : this.#see(memory, 'node');
        if (seen === 'first') continue;
        if (seen === 'unknown') await strays.add({ node, memory });
        else await this.#tell({ kind: 'double-nodes', reason: 'unexplained', node, memory });
      }
      result.nodes += page.length;
      this.#stepSeen(`nodes of the graph ${cluster.falkordb.graph}`);
    }
    await strays.flush();
  }

  /** Reads Postgres once more, where something is missing at all: the index knows no ids. */
  async findMissing(): Promise<void> {
    const { result } = this;
    if (result.withVector === result.memories && result.withNode === result.memories) return;
    let done = 0;
    await readMemories(
      this.cluster.postgres,
      () => {},
      async (rows) => {
        for (const row of rows)
          for (const difference of this.#missingOf(row)) {
            const told = this.#tell(difference);
            if (told) await told;
          }
        done += rows.length;
        this.#step(done, Math.max(done, result.memories), 'memories, for what is missing');
      },
    );
  }

  #missingOf({ id, pending, embeddedAt }: MemoryRow): Omit<Difference, 'at'>[] {
    // One that was written since the first reading nobody looked for.
    const unseen = this.#index.unseenOf(id);
    if (unseen.length === 0) return NONE;
    const { moments = {} } = this.options;
    const { youngest } = this.result;
    const at = instantOfUlid(id);
    const reasonOf = (younger: boolean): Reason =>
      isAfter(at, this.#begun) ? 'recent' : younger ? 'younger' : 'unexplained';
    const missing: Omit<Difference, 'at'>[] = [];
    for (const what of unseen) {
      if (what === 'node') {
        const reason = reasonOf(isAfter(at, moments.falkordb ?? youngest.nodes));
        missing.push({ kind: 'missing-nodes', reason, memory: id });
      } else if (pending) this.result.pending += 1;
      else {
        // When a vector was made counts only beside a moment of the same kind: a whole store may have been embedded anew.
        const embeddedSince = moments.qdrant !== undefined && embeddedAt !== null && embeddedAt >= moments.qdrant;
        const reason = reasonOf(embeddedSince || isAfter(at, moments.qdrant ?? youngest.vectors));
        missing.push({ kind: 'missing-vectors', reason, memory: id });
      }
    }
    return missing;
  }

  #see(memory: string, what: Seen): 'first' | 'again' | 'unknown' {
    const seen = this.#index.see(memory, what);
    if (seen === 'first') this.result[what === 'vector' ? 'withVector' : 'withNode'] += 1;
    return seen;
  }

  /** Collects what has no memory, and asks Postgres again before it is said: a memory may have been written meanwhile. */
  #strays(kind: 'stray-vectors' | 'stray-nodes') {
    type Found = Pick<Difference, 'memory' | 'collection' | 'point' | 'node'>;
    let waiting: Found[] = [];
    const flush = async () => {
      const batch = waiting;
      waiting = [];
      if (batch.length === 0) return;
      const { postgres } = this.cluster;
      const named = batch.flatMap(({ memory }) => (memory === null ? [] : [memory]));
      const there = await memoriesAmong(postgres, named);
      const points = batch.flatMap(({ point }) => (point === undefined ? [] : [String(point)]));
      const known = await orphansAmong(postgres, points);
      const moment = this.options.moments?.postgres ?? this.result.youngest.memories;
      for (const found of batch) {
        if (found.memory !== null && there.has(found.memory)) continue;
        const younger = found.memory !== null && isYounger(found.memory, moment);
        const reason = known.has(String(found.point)) ? 'known' : younger ? 'younger' : 'unexplained';
        await this.#tell({ kind, reason, ...found });
      }
    };
    return {
      async add(found: Found) {
        waiting.push(found);
        if (waiting.length >= ASKED_AT_ONCE) await flush();
      },
      flush,
    };
  }

  #tell(difference: Omit<Difference, 'at'>): Promise<void> | undefined {
    const tally = this.result.differences[difference.kind];
    const { memory, reason } = difference;
    tally[reason] += 1;
    if (memory === null) tally.nameless += 1;
    const said = memory ?? `(${difference.point ?? difference.node} names no memory)`;
    // The unexplained push out the others.
    if (tally.examples.length < EXAMPLES) tally.examples.push(said);
    else if (reason === 'unexplained' && tally.unexplained <= EXAMPLES) {
      tally.examples.splice(tally.unexplained - 1, 0, said);
      tally.examples.length = EXAMPLES;
    }
    const at = memory === null ? undefined : instantOfUlid(memory);
    return this.options.onDifference?.({
      ...difference,
      ...(at === undefined ? {} : { at: new Date(at).toISOString() }),
    });
  }

  #noteAge(store: keyof Crosscheck['youngest'], id: string): void {
    // ULIDs sort as their instants do: few are taken apart.
    if (id <= this.#newest[store]) return;
    const at = instantOfUlid(id);
    if (at === undefined) return;
    if (id === id.toUpperCase()) this.#newest[store] = id;
    const { youngest } = this.result;
    youngest[store] = Math.max(at, youngest[store] ?? at);
  }

  /** Vectors and nodes are read side by side. */
  #stepSeen(text: string): void {
    const { memories, vectors, nodes } = this.result;
    this.#step(vectors + nodes, Math.max(memories, vectors) + Math.max(this.#nodes, nodes), text);
  }

  #step(done: number, total: number, text: string): void {
    this.options.signal?.throwIfAborted();
    this.options.onProgress?.({ done, total, text });
  }
}

const NONE: never[] = [];

const emptyTally = (): Tally => ({
  unexplained: 0,
  younger: 0,
  known: 0,
  recent: 0,
  nameless: 0,
  examples: [],
});

const isYounger = (id: string, moment: number | null): boolean => isAfter(instantOfUlid(id), moment);

const isAfter = (at: number | undefined, moment: number | null): boolean =>
  at !== undefined && moment !== null && at >= moment - GRACE;

/** How many of one kind there are, whatever explains them. */
export const all = (tally: Tally): number => REASONS.reduce((sum, reason) => sum + tally[reason], 0);
