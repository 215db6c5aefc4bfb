import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { keepNames } from '../hosts/durable.js';
import { isAlive, isOfThisBoot, markOf, type ProcessMark } from '../hosts/process-mark.js';
import { sleep, steadyNow, within } from '../hosts/waiting.js';
import { durationOf, messageOf } from '../words.js';

/** Who works on a cluster. */
export interface Holder {
  run: string;
  operator: string;
  host: string;
  /** Under which process namespace its pid means something; empty where the system does not tell. */
  processes: string;
  process: ProcessMark;
  /** ISO instant. */
  since: string;
  token: string;
}

/** A lock of somebody else. */
export interface HeldLock {
  file: string;
  /** Undefined when the file cannot be read as a lock: whoever made it died while writing, or it is none. */
  holder: Holder | undefined;
  /** Milliseconds since its last sign of life, by the clock of the file system it lies on; below 0 where that was set back since. */
  quietMs: number;
  /** `gone`: its process ran on this machine and does not any more. `silent`: it has not been heard of for a while. */
  state: 'alive' | 'silent' | 'gone';
}

/** Another run holds the cluster. */
export class ClusterHeld extends Error {
  override name = 'ClusterHeld';

  constructor(readonly held: HeldLock) {
    super(heldText(held));
  }
}

interface LockRequest {
  cluster: string;
  run: string;
  operator: string;
  /** Where the lock is put, in this order: the own machine's first, then those that other machines see. */
  folders: readonly string[];
  /** Whether a silent holder is put aside. One that is gone for certain always is. */
  takeOver: boolean;
  /** Milliseconds between two signs of life, and after how many without one a holder is silent. */
  beatMs?: number;
  silentMs?: number;
  /** Milliseconds that a folder may take to answer. */
  patienceMs?: number;
}

const BEAT_MS = 5_000;
const SILENT_MS = 30_000;
/** How long to wait for somebody who is just taking a dead lock's place. */
const TURN_MS = 20;
/** A folder on a network that does not answer must keep nobody from a recovery, nor from its end. */
const FOLDER_PATIENCE_MS = 5_000;
/** By how much the times of one file system may seem to run backwards without a clock having been set. */
const CLOCK_GRAIN_MS = 1_000;

/** One run at a time on a cluster: a file in each folder, which its holder touches again and again. */
export class ClusterLock {
  /** The files that are held. */
  readonly files: string[] = [];
  /** Folders in which it could not be put, and why. */
  readonly without: { folder: string; why: string }[] = [];
  /** Whose locks were put aside. */
  readonly tookOver: HeldLock[] = [];
  readonly #holder: Holder;
  readonly #request: LockRequest;
  #timer: NodeJS.Timeout | undefined;
  #released = false;
  /** Folders that have not answered yet, and files to which a sign of life is on its way. */
  readonly #late = new Set<Promise<unknown>>();
  readonly #beating = new Map<string, Promise<void>>();
  /** When each file had its last sign of life, by a clock that nobody sets and by the time of day, which goes on in a machine that sleeps. */
  readonly #signs = new Map<string, { steady: number; day: number }>();
  #lost = '';
  #onLost: (why: string) => void = () => {};

  private constructor(request: LockRequest) {
    this.#request = request;
    this.#holder = {
      run: request.run,
      operator: request.operator,
      host: hostname(),
      processes: processNamespace(),
      process: markOf(process.pid),
      since: new Date().toISOString(),
      token: randomBytes(12).toString('hex'),
    };
  }

  /** Takes the lock in every folder that can be written, or in none: throws ClusterHeld when somebody else works on the cluster. */
  static async take(request: LockRequest): Promise<ClusterLock> {
    const lock = new ClusterLock(request);
    try {
      for (const folder of request.folders) await lock.#takeIn(folder);
    } catch (error) {
      await lock.release();
      throw error;
    }
    lock.#timer = setInterval(() => lock.#beat(), request.beatMs ?? BEAT_MS);
    lock.#timer.unref();
    return lock;
  }

  /** Told once when somebody else is found to have the cluster: the lock was taken over, or a folder has answered too late. */
  set onLost(tell: (why: string) => void) {
    this.#onLost = tell;
    if (this.#lost) tell(this.#lost);
  }

  #lose(why: string): void {
    clearInterval(this.#timer);
    if (this.#lost || this.#released) return;
    this.#lost = why;
    this.#onLost(why);
  }

  /** Gives the cluster free. What somebody else has taken over is left to them. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    this.#released = true;
    const giving = this.files.splice(0).map((file) => this.#giveBack(file));
    await within(this.#patienceMs, Promise.all([...giving, ...this.#late])).catch(() => {});
  }

  async #giveBack(file: string): Promise<void> {
    await this.#beating.get(file);
    if ((await readHolder(file).catch(() => undefined))?.token !== this.#holder.token) return;
    await unlink(file).catch(() => {});
  }

  get #patienceMs(): number {
    return this.#request.patienceMs ?? FOLDER_PATIENCE_MS;
  }

  async #takeIn(folder: string): Promise<void> {
    const file = join(folder, lockName(this.#request.cluster));
    let waited = false;
    const taking = this.#takeFile(file).then(() => this.#hold(file));
    // What comes after the time is no less true: a lock that is ours is held and given back, one of somebody else stops us.
    const late = taking.catch((error: unknown) => {
      if (waited && error instanceof ClusterHeld) this.#lose(`${folder} has answered late: ${error.message}`);
    });
    this.#late.add(late);
    void late.finally(() => this.#late.delete(late));
    try {
      await within(this.#patienceMs + (this.#request.takeOver ? this.#watchMs : 0), taking);
    } catch (error) {
      waited = true;
      if (error instanceof ClusterHeld) throw error;
      this.without.push({ folder, why: messageOf(error) });
    }
  }

  async #hold(file: string): Promise<void> {
    if (this.#released) await this.#giveBack(file);
    else {
      this.#sign(file);
      this.files.push(file);
    }
  }

  #sign(file: string): void {
    this.#signs.set(file, { steady: steadyNow(), day: Date.now() });
  }

  #quietMs(file: string): number {
    const { steady, day } = this.#signs.get(file)!;
    return Math.max(steadyNow() - steady, Date.now() - day);
  }

  async #takeFile(file: string): Promise<void> {
    for (;;) {
      if (await create(file, this.#holder)) return;
      const held = await lockAt(file, this.#request.silentMs);
      if (!held) continue;
      const isDead = held.state === 'gone' || (held.state === 'silent' && this.#request.takeOver);
      if (!isDead) throw new ClusterHeld(held);
      if (held.state === 'silent' && (await this.#givesSign(file))) continue;
      if (!(await this.#replace(file, held))) continue;
      this.tookOver.push(held);
      return;
    }
  }

  /**
   * Puts this lock in the place of a dead one. Of several who try the same, one may at a time, and looks again whether the dead
   * one is still there: the place itself is never empty meanwhile.
   */
  async #replace(file: string, held: HeldLock): Promise<boolean> {
    const turn = `${file}.after-${held.holder?.token ?? 'unreadable'}`;
    if (!(await create(turn, this.#holder))) {
      const other = await lockAt(turn, this.#request.silentMs);
      if (other && other.state !== 'alive') await unlink(turn).catch(() => {});
      else await sleep(TURN_MS);
      return false;
    }
    try {
      const now = await readHolder(file).catch(() => undefined);
      if (now?.token !== held.holder?.token) return false;
      const own = `${file}.${this.#holder.token}`;
      await create(own, this.#holder);
      await rename(own, file);
      await keepNames(dirname(file));
      return true;
    } finally {
      await unlink(turn).catch(() => {});
    }
  }

  /** How long a silent holder is watched before it is put aside: two signs of life would fall into it. */
  get #watchMs(): number {
    return 2 * (this.#request.beatMs ?? BEAT_MS);
  }

  /** Whether a holder that seems silent is alive after all: a clock that was set makes a sign of life look old. */
  async #givesSign(file: string): Promise<boolean> {
    const lastSign = () =>
      stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => undefined,
      );
    const before = await lastSign();
    await sleep(this.#watchMs);
    return (await lastSign()) !== before;
  }

  /** One folder that hangs keeps no sign of life from another, and is asked again only once it has answered. */
  #beat(): void {
    for (const file of this.files) {
      if (this.#beating.has(file)) continue;
      const beating = this.#beatIn(file).finally(() => this.#beating.delete(file));
      this.#beating.set(file, beating);
    }
  }

  async #beatIn(file: string): Promise<void> {
    const now = await readHolder(file).catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? ('absent' as const) : ('unreadable' as const),
    );
    if (now === 'unreadable' || this.#released) return;
    const giveSign = (sign: Promise<unknown>) =>
      sign.then(
        () => this.#sign(file),
        () => {},
      );
    const quietMs = this.#quietMs(file);
    if (now === 'absent' && quietMs > (this.#request.silentMs ?? SILENT_MS))
      this.#lose(
        `the lock ${file} is gone: this program stood still for ${durationOf(quietMs)}, and somebody may have taken over`,
      );
    else if (now === 'absent') await giveSign(create(file, this.#holder));
    else if (now?.token === this.#holder.token) await giveSign(touch(file, this.#holder));
    else
      this.#lose(`${now ? `${now.operator} with run ${now.run}` : 'somebody else'} has taken over the lock ${file}`);
  }
}

/** Who holds a cluster, since when, and when that was last heard of: one sentence. */
export function heldText({ holder, file, quietMs, state }: HeldLock): string {
  if (!holder) return `the lock ${file} is on this cluster, and cannot be read; it was written ${agoText(quietMs)}`;
  const who = `run ${holder.run} of ${holder.operator} (process ${holder.process.pid} on ${holder.host}, since ${holder.since})`;
  const alive = state === 'gone' ? 'that process is gone' : `its last sign of life was ${agoText(quietMs)}`;
  return `${who} works on this cluster; ${alive}; the lock is ${file}`;
}

const agoText = (quietMs: number) =>
  quietMs < -CLOCK_GRAIN_MS
    ? `${durationOf(-quietMs)} ahead of the clock, which was set back meanwhile`
    : `${durationOf(Math.max(0, quietMs))} ago`;

/** The lock that is on a cluster in a folder; undefined where there is none. */
export async function lockIn(folder: string, cluster: string): Promise<HeldLock | undefined> {
  return lockAt(join(folder, lockName(cluster)));
}

const lockName = (cluster: string) => `.novamem-runbook-${cluster}.lock`;

async function lockAt(file: string, silentMs = SILENT_MS): Promise<HeldLock | undefined> {
  try {
    const holder = await readHolder(file);
    const quietMs = (await fileClock(file)) - (await stat(file)).mtimeMs;
    return { file, holder, quietMs, state: stateOf(holder, quietMs, silentMs) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function stateOf(holder: Holder | undefined, quietMs: number, silentMs: number): HeldLock['state'] {
  const isSilent = quietMs > silentMs || quietMs < -CLOCK_GRAIN_MS;
  const isOurs = holder && holder.host === hostname() && holder.processes === processNamespace();
  if (!isOurs || holder.process.started === '') return isSilent ? 'silent' : 'alive';
  if (isAlive(holder.process)) return 'alive';
  // Of another boot: this machine was restarted since, unless another one has the same name, which then gives signs of life.
  return isOfThisBoot(holder.process) || isSilent ? 'gone' : 'alive';
}

/** What time it is for the file system of a file: machines that share it may have other clocks. */
async function fileClock(file: string): Promise<number> {
  const probe = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(probe, 'wx', 0o600);
  try {
    return (await handle.stat()).mtimeMs;
  } finally {
    await handle.close();
    await unlink(probe).catch(() => {});
  }
}

async function create(file: string, holder: Holder): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o644);
    try {
      await handle.writeFile(textOf(holder));
      await handle.sync();
    } catch (cause) {
      // Half a lock would keep everybody out.
      await unlink(file).catch(() => {});
      throw cause;
    } finally {
      await handle.close();
    }
    await keepNames(dirname(file));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Writes what stands there anyway: it is the server of the files that sets the time. What another has put there meanwhile stays. */
async function touch(file: string, holder: Holder): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const text = textOf(holder);
    const { buffer } = await handle.read({ buffer: Buffer.alloc(Buffer.byteLength(text)), position: 0 });
    if (buffer.toString('utf8') === text) await handle.write(text, 0);
  } finally {
    await handle.close();
  }
}

const textOf = (holder: Holder) => `${JSON.stringify(holder)}\n`;

async function readHolder(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, 'utf8');
  try {
    const holder = JSON.parse(text) as Partial<Holder>;
    return typeof holder.token === 'string' && typeof holder.process?.pid === 'number'
      ? (holder as Holder)
      : undefined;
  } catch {
    return undefined;
  }
}

function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}
