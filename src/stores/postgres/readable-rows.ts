import { sleep, waitFor } from '../../hosts/waiting.js';
import { messageOf } from '../../words.js';
import { isDamage, type Postgres, quoteIdentifier, sqlState } from './connection.js';

// Which rows of a table can be read: by ranges of blocks, halved where they cannot, down to single rows.

const BLOCKS_AT_ONCE = 1024;
const NOTICING = 1_000;
const RECOVERY_PATIENCE = 60_000;
/** Of a row on a page: its line pointer and its header. */
const LEAST_PER_ROW = 28;
const PAGE_HEADER = 24;

/** Another plan than reading by row identifier would touch blocks that were not asked for. */
const SETTINGS = {
  statement_timeout: '60s',
  enable_seqscan: 'off',
  max_parallel_workers_per_gather: '0',
  jit: 'off',
};

/** A table with rows on disk, as the catalog knows it. */
export interface Table {
  schema: string;
  name: string;
  /** Its file, relative to the data directory. */
  path: string;
  blocks: number;
  /** By the planner's statistics; absent where there are none yet. */
  expected?: { rows: number; blocks: number };
}

/** Rows that can be read: all of the blocks from `from` to before `to`, or single rows (`(5,3)`) of the block `from`. */
export interface ReadablePart {
  from: number;
  to: number;
  only?: string[];
}

/** What cannot be read, and why: blocks (both ends included), or single rows of the block `from`. */
export interface LostPart {
  from: number;
  to: number;
  rows?: number[];
  why: string;
}

/** What reading a table to its end found. */
export interface TableReading {
  table: string;
  blocks: number;
  rows: number;
  expectedRows?: number;
  /** Blocks that the statistics know of but the file does not have. */
  missingBlocks: number;
  readable: ReadablePart[];
  lost: LostPart[];
  /** Why it was not read any further; absent when it was read to its end. */
  stopped?: string;
}

/** The same without the long list of what can be read. */
export type TableDamage = Omit<TableReading, 'readable'>;

export interface TableReadingOptions {
  database: string;
  blockSize: number;
  /** Told how many blocks are done with. */
  onBlocks: (blocks: number) => void;
  /** A row that ends the server's process ends every session: only on a server of our own it is looked for. */
  mayCrash: boolean;
  /** The time (milliseconds) after which nothing more is read. */
  until: number;
  signal: AbortSignal;
}

export const nameOf = ({ schema, name }: { schema: string; name: string }) => `${schema}.${name}`;
export const sqlNameOf = ({ schema, name }: { schema: string; name: string }) =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

/** The condition that chooses a part of the table `t`. */
export function conditionOf({ from, to, only }: ReadablePart): string {
  if (only) return `t.ctid = ANY('{${only.map((row) => `"${row}"`).join(',')}}'::tid[])`;
  return `t.ctid >= '(${from},0)'::tid AND t.ctid < '(${to},0)'::tid`;
}

/** Whether an error says that the server's process ended while it worked for us. */
export function isCrash(error: unknown): boolean {
  const state = sqlState(error);
  if (/^[0-9A-Z]{5}$/.test(state)) return state === '57P02';
  return /terminated|ECONNRESET|EPIPE/i.test(messageOf(error));
}

/** Reads every row of a table, values that are stored apart too. Rejects where something else than damage hinders it. */
export function readTable(postgres: Postgres, table: Table, options: TableReadingOptions): Promise<TableReading> {
  return new TableReader(postgres, table, options).read();
}

class TableReader {
  readonly #reading: TableReading;
  readonly #select: string;
  /** Says of an error that it is about this table's own file, not that of its values stored apart. */
  readonly #ownFile: RegExp;
  #over = false;
  #planned: Promise<boolean> | undefined;

  constructor(
    readonly postgres: Postgres,
    readonly table: Table,
    readonly options: TableReadingOptions,
  ) {
    const { expected, blocks } = table;
    this.#reading = {
      table: nameOf(table),
      blocks,
      rows: 0,
      ...(expected ? { expectedRows: expected.rows } : {}),
      missingBlocks: Math.max(0, (expected?.blocks ?? 0) - blocks),
      readable: [],
      lost: [],
    };
    this.#select = `SELECT count(t::text)::int AS rows FROM ONLY ${sqlNameOf(table)} AS t WHERE`;
    this.#ownFile = new RegExp(`${table.path}(?!\\d)`);
  }

  async read(): Promise<TableReading> {
    const { signal, until, onBlocks } = this.options;
    const waiting = this.#ranges();
    while (waiting.length > 0 && !this.#over) {
      signal.throwIfAborted();
      const [from, to] = waiting.shift()!;
      if (Date.now() >= until) this.#stop(`no time was left for its blocks from ${from} on`);
      else if (await this.#readBlocks(from, to)) onBlocks(to - from);
      else if (to - from > 1) {
        const half = Math.floor((from + to) / 2);
        waiting.unshift([from, half], [half, to]);
      }
    }
    return this.#reading;
  }

  #ranges(): [number, number][] {
    const end = Math.max(1, this.table.blocks);
    const count = Math.ceil(end / BLOCKS_AT_ONCE);
    return Array.from({ length: count }, (_, index) => [
      index * BLOCKS_AT_ONCE,
      Math.min(end, (index + 1) * BLOCKS_AT_ONCE),
    ]);
  }

  /** Answers whether these blocks are done with; those that are not have to be read in smaller pieces. */
  async #readBlocks(from: number, to: number): Promise<boolean> {
    try {
      const rows = await this.#inSession((count) => count(conditionOf({ from, to })));
      this.#reading.rows += rows;
      this.#addReadable({ from, to });
      return true;
    } catch (error) {
      const why = messageOf(error);
      const crashed = await this.#hasCrashed(error);
      if (crashed && this.#stopsAt(from, to)) return false;
      if (why.includes(`"${this.table.path}": No such file`)) {
        const { blocks, expected } = this.table;
        this.#addLost({ from: 0, to: Math.max(blocks, expected?.blocks ?? 0) - 1, why });
        this.#over = true;
        return true;
      }
      const own = this.#ownFile.test(why);
      if (!own && !crashed && !(await this.#canBePlanned())) return false;
      const noSegment = own && /could not open file/.test(why);
      if (to - from > 1 && !noSegment) return false;
      if (crashed || own) this.#addLost({ from, to: to - 1, why });
      else await this.#readRows(from);
      return true;
    }
  }

  /** A query looks at every index of its table before it reads a row: one whose file is missing hinders it, though no row is damaged. */
  async #canBePlanned(): Promise<boolean> {
    this.#planned ??= this.postgres
      .read(`EXPLAIN ${this.#select} ${conditionOf({ from: 0, to: 0 })}`, [], this.options.database)
      .then(
        () => true,
        (error: unknown) => {
          if (!isDamage(error)) throw error;
          this.#stop(`no query can read it: ${messageOf(error)} (an index of it; its rows may be sound)`);
          return false;
        },
      );
    return this.#planned;
  }

  /** Of a block that itself can be read: row by row. */
  async #readRows(block: number): Promise<void> {
    const most = Math.floor((this.options.blockSize - PAGE_HEADER) / LEAST_PER_ROW);
    const lost = new Map<string, number[]>();
    const only: string[] = [];
    try {
      await this.#inSession(async (count) => {
        for (let row = 1; row <= most; row += 1) {
          this.options.signal.throwIfAborted();
          try {
            if ((await count(`t.ctid = '(${block},${row})'`)) > 0) only.push(`(${block},${row})`);
          } catch (error) {
            if (isCrash(error) || !isDamage(error)) throw error;
            lost.set(messageOf(error), [...(lost.get(messageOf(error)) ?? []), row]);
          }
        }
      });
    } catch (error) {
      await this.#hasCrashed(error);
      if (!this.#stopsAt(block, block + 1)) this.#addLost({ from: block, to: block, why: messageOf(error) });
      return;
    }
    this.#reading.rows += only.length;
    if (only.length > 0) this.#reading.readable.push({ from: block, to: block + 1, only });
    for (const [why, rows] of lost) this.#reading.lost.push({ from: block, to: block, rows, why });
  }

  /** A session of its own for each piece: one that ended takes nothing else along. */
  #inSession<T>(work: (count: (condition: string) => Promise<number>) => Promise<T>): Promise<T> {
    return this.postgres.reading(
      ({ query }) =>
        work(async (condition) => (await query<{ rows: number }>(`${this.#select} ${condition}`))[0]!.rows),
      { database: this.options.database, settings: SETTINGS },
    );
  }

  /** Whether the server's process ended; it is then waited for. What is neither that nor damage is not ours to judge. */
  async #hasCrashed(error: unknown): Promise<boolean> {
    if (isCrash(error)) {
      // It lets us in for a moment still, until it has noticed.
      await sleep(NOTICING, this.options.signal);
      const answers = () =>
        this.postgres.read('SELECT 1', [], this.options.database).then(
          () => true,
          () => undefined,
        );
      await waitFor(answers, { timeoutMs: RECOVERY_PATIENCE, signal: this.options.signal });
      return true;
    }
    if (isDamage(error)) return false;
    throw error;
  }

  #stopsAt(from: number, to: number): boolean {
    if (this.options.mayCrash) return false;
    const where = to - from === 1 ? `block ${from}` : `blocks ${from} to ${to - 1}`;
    this.#stop(`reading its ${where} ends the server's process, so it was not read any further`);
    return true;
  }

  #stop(why: string): void {
    this.#reading.stopped = why;
    this.#over = true;
  }

  #addReadable(part: ReadablePart): void {
    const last = this.#reading.readable.at(-1);
    if (last && !last.only && last.to === part.from) last.to = part.to;
    else this.#reading.readable.push(part);
  }

  /** Neighbouring blocks that are lost for the same reason are one part. */
  #addLost(part: LostPart): void {
    const last = this.#reading.lost.at(-1);
    const kindOf = (why: string) => why.replace(/\d+/g, '#');
    if (last && !last.rows && last.to + 1 === part.from && kindOf(last.why) === kindOf(part.why)) last.to = part.to;
    else this.#reading.lost.push(part);
  }
}

/** Looks once more at what could not be read: `damaged`, or else what was seen. `table`: `schema.name`. */
export async function secondLook(postgres: Postgres, table: string, { from, to, rows }: LostPart): Promise<string> {
  const dot = table.indexOf('.');
  const sqlName = sqlNameOf({ schema: table.slice(0, dot), name: table.slice(dot + 1) });
  const part = rows
    ? { from, to, only: rows.map((row) => `(${from},${row})`) }
    : { from, to: Math.max(to, from) + 1 };
  try {
    await postgres.reading(
      ({ query }) => query(`SELECT count(t::text) FROM ONLY ${sqlName} AS t WHERE ${conditionOf(part)}`),
      { settings: SETTINGS },
    );
    return 'can be read now';
  } catch (error) {
    return isDamage(error) || isCrash(error) ? 'damaged' : messageOf(error);
  }
}

/** `block 5`, `blocks 5 to 6`, `rows (7,2), (7,9)`, for people. */
export function lostText({ from, to, rows }: LostPart): string {
  if (rows) {
    const said = rows.slice(0, 5).map((row) => `(${from},${row})`);
    return `${rows.length === 1 ? 'row' : 'rows'} ${said.join(', ')}${rows.length > 5 ? ` and ${rows.length - 5} more` : ''}`;
  }
  if (to < from) return 'all of it';
  return from === to ? `block ${from}` : `blocks ${from} to ${to}`;
}
