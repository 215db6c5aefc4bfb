import { keepMemoryFlat } from '../../hosts/flat-memory.js';
import { inParallel } from '../../in-parallel.js';
import type { Cluster } from '../cluster.js';
import { countNodes, nodePages } from '../falkordb/nodes.js';
import { type MemoryRow, memoriesAmong, memoriesNow, orphansAmong, readMemories } from '../postgres/memories.js';
import { listCollections } from '../qdrant/inventory.js';
import { type PointOf, pointPages } from '../qdrant/points.js';
import { holds, MemoryIndex } from './memory-index.js';
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
 * Compares every memory in Postgres with every vector and every node, both ways. All three stores are streamed, Postgres last; a store
 * with vectors or nodes that are too many is read once more, to tell which. What is kept is an index of some 20 bytes a memory.
 * Nothing is changed. Rejects when a store cannot be read to its end.
 */
export async function crosscheck(cluster: Cluster, options: CrosscheckOptions = {}): Promise<Crosscheck> {
  keepMemoryFlat();
  const work = new Work(cluster, options);
  await work.begin();
  await sideBySide(
    () => work.countVectors(),
    () => work.countNodes(),
  );
  await work.readMemories();
  await sideBySide(
    () => work.tellVectors(),
    () => work.tellNodes(),
  );
  return work.result;
}

const sideBySide = (...works: (() => Promise<void>)[]) => inParallel(works, works.length, (work) => work());

/** What was counted of vectors or nodes. */
interface Counted {
  /** Of different ids. */
  ids: number;
  /** A further one of the same id. */
  further: number;
  nameless: number;
}

type Other = 'vector' | 'node';
type Found = Pick<Difference, 'memory' | 'collection' | 'point' | 'node'>;

const nothingYet = (): Counted => ({ ids: 0, further: 0, nameless: 0 });

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
  readonly #counted: Record<Other, Counted> = { vector: nothingYet(), node: nothingYet() };
  /** The greatest id of each store, in capitals: no lesser one is younger. */
  readonly #newest = { memories: '', vectors: '', nodes: '' };
  readonly #begun = Date.now();
  /** The same moment by the clock of Postgres. */
  #since = 0;
  /** How many Postgres and FalkorDB count. */
  #memories = 0;
  #nodes = 0;

  constructor(
    readonly cluster: Cluster,
    readonly options: CrosscheckOptions,
  ) {}

  async begin(): Promise<void> {
    const { postgres, falkordb } = this.cluster;
    const { count, at } = await memoriesNow(postgres);
    this.#since = at;
    this.#memories = count;
    this.#nodes = (await countNodes(falkordb)).count;
    this.#index = new MemoryIndex(count);
  }

  async countVectors(): Promise<void> {
    const { result } = this;
    await this.#readVectors((page, collection) => {
      this.#count('vector', page);
      result.collections[collection] = (result.collections[collection] ?? 0) + page.length;
      result.vectors += page.length;
      this.#stepCounted(`vectors, now ${collection}`);
    });
  }

  async countNodes(): Promise<void> {
    const { result, cluster } = this;
    for await (const page of nodePages(cluster.falkordb)) {
      this.#count('node', page);
      result.nodes += page.length;
      this.#stepCounted(`nodes of the graph ${cluster.falkordb.graph}`);
    }
  }

  async readMemories(): Promise<void> {
    const { result } = this;
    const moments = { begun: this.#since, qdrant: this.options.moments?.qdrant };
    await readMemories(this.cluster.postgres, moments, async (rows) => {
      for (let last = rows.length - 1; last >= 0; last -= 1) this.#noteAge('memories', rows[last]!.id);
      for (const row of rows) {
        const seen = this.#index.note(row.id, 'memory');
        // A row may be there twice, as a damaged index lets it be: counted again, its vector would hide a stray one.
        if (holds(seen, 'memory')) continue;
        const [vector, node] = [holds(seen, 'vector'), holds(seen, 'node')];
        if (vector) result.withVector += 1;
        if (node) result.withNode += 1;
        // One that was written since we began nobody has looked for.
        if ((vector && node) || row.isNew) continue;
        const at = instantOfUlid(row.id);
        const told = [
          vector ? undefined : this.#vectorMissing(row, at),
          node ? undefined : this.#nodeMissing(row, at),
        ];
        for (const waiting of told) if (waiting) await waiting;
      }
      result.memories += rows.length;
      this.#step(result.memories, Math.max(result.memories, this.#memories), 'memories in Postgres');
    });
  }

  #nodeMissing({ id }: MemoryRow, at: number | undefined): Promise<void> | undefined {
    const moment = this.options.moments?.falkordb ?? this.result.youngest.nodes;
    return this.#tell('missing-nodes', this.#reasonOf(at, isAfter(at, moment)), { memory: id }, at);
  }

  #vectorMissing({ id, pending, embeddedLater }: MemoryRow, at: number | undefined): Promise<void> | undefined {
    if (pending) {
      this.result.pending += 1;
      return undefined;
    }
    // When a vector was made counts only beside a moment of the same kind: a whole store may have been embedded anew.
    const moment = this.options.moments?.qdrant ?? this.result.youngest.vectors;
    const reason = this.#reasonOf(at, embeddedLater || isAfter(at, moment));
    return this.#tell('missing-vectors', reason, { memory: id }, at);
  }

  #reasonOf(at: number | undefined, isYounger: boolean): Reason {
    return isAfter(at, this.#begun) ? 'recent' : isYounger ? 'younger' : 'unexplained';
  }

  /** Reads the vectors once more, where there are some too many. */
  async tellVectors(): Promise<void> {
    if (!this.#areTooMany('vector', this.result.withVector)) return;
    const strays = this.#strays('stray-vectors');
    let done = 0;
    await this.#readVectors(async (page, collection) => {
      for (const { point, memory } of page) {
        const of = { collection, point, memory };
        if (memory === null || !this.#index.has(memory, 'memory')) await strays.add(of);
        else if (holds(this.#index.note(memory, 'vector told'), 'vector told'))
          await this.#tell('double-vectors', 'unexplained', of);
      }
      done += page.length;
      this.#step(done, Math.max(done, this.result.vectors), `vectors, for what is too many, now ${collection}`);
    });
    await strays.flush();
  }

  async tellNodes(): Promise<void> {
    if (!this.#areTooMany('node', this.result.withNode)) return;
    const strays = this.#strays('stray-nodes');
    let done = 0;
    for await (const page of nodePages(this.cluster.falkordb)) {
      for (const { node, memory } of page) {
        if (memory === null || !this.#index.has(memory, 'memory')) await strays.add({ node, memory });
        else if (holds(this.#index.note(memory, 'node told'), 'node told'))
          await this.#tell('double-nodes', 'unexplained', { node, memory });
      }
      done += page.length;
      this.#step(done, Math.max(done, this.result.nodes), 'nodes, for what is too many');
    }
    await strays.flush();
  }

  /** `matched`: memories that have one. */
  #areTooMany(what: Other, matched: number): boolean {
    const { ids, further, nameless } = this.#counted[what];
    return nameless > 0 || further > 0 || ids > matched;
  }

  #count(what: Other, page: readonly { memory: string | null }[]): void {
    const counted = this.#counted[what];
    const store = what === 'vector' ? 'vectors' : 'nodes';
    for (let last = page.length - 1; last >= 0; last -= 1) {
      const { memory } = page[last]!;
      if (memory === null) {
        counted.nameless += 1;
        continue;
      }
      this.#noteAge(store, memory);
      counted[holds(this.#index.note(memory, what), what) ? 'further' : 'ids'] += 1;
    }
  }

  async #readVectors(onPage: (page: PointOf[], collection: string) => void | Promise<void>): Promise<void> {
    const { qdrant } = this.cluster;
    await inParallel(await listCollections(qdrant), COLLECTIONS_AT_ONCE, async (collection) => {
      this.result.collections[collection] ??= 0;
      for await (const page of pointPages(qdrant, collection)) await onPage(page, collection);
    });
  }

  /** Collects what has no memory, and asks Postgres again before it is said: a memory may have been written meanwhile. */
  #strays(kind: 'stray-vectors' | 'stray-nodes') {
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
        await this.#tell(kind, reason, found);
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

  #tell(
    kind: DifferenceKind,
    reason: Reason,
    found: Found,
    at = found.memory === null ? undefined : instantOfUlid(found.memory),
  ): Promise<void> | undefined {
    const tally = this.result.differences[kind];
    const { memory } = found;
    tally[reason] += 1;
    if (memory === null) tally.nameless += 1;
    const said = memory ?? `(${found.point ?? found.node} names no memory)`;
    // The unexplained push out the others.
    if (tally.examples.length < EXAMPLES) tally.examples.push(said);
    else if (reason === 'unexplained' && tally.unexplained <= EXAMPLES) {
      tally.examples.splice(tally.unexplained - 1, 0, said);
      tally.examples.length = EXAMPLES;
    }
    const difference: Difference = { kind, reason, ...found };
    if (at !== undefined) difference.at = new Date(at).toISOString();
    return this.options.onDifference?.(difference);
  }

  /** ULIDs sort as their instants do, and a store mostly gives the younger later: from the last of a page to its first, few are taken apart. */
  #noteAge(store: keyof Crosscheck['youngest'], id: string): void {
    if (id <= this.#newest[store]) return;
    const at = instantOfUlid(id);
    if (at === undefined) return;
    if (id === id.toUpperCase()) this.#newest[store] = id;
    const { youngest } = this.result;
    youngest[store] = Math.max(at, youngest[store] ?? at);
  }

  /** Vectors and nodes are read side by side. */
  #stepCounted(text: string): void {
    const { vectors, nodes } = this.result;
    this.#step(vectors + nodes, Math.max(this.#memories, vectors) + Math.max(this.#nodes, nodes), text);
  }

  #step(done: number, total: number, text: string): void {
    this.options.signal?.throwIfAborted();
    this.options.onProgress?.({ done, total, text });
  }
}

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
