import type { ServiceName } from '../../config/profile.js';
import { messageOf } from '../../words.js';
import { tlsFaultIn } from '../tls/tls-fault.js';

/**
 * What ails a part of the cluster. `stopped`: nothing listens; `silent`: no answer in time; `denied`: it answers, but not to this login;
 * `untrusted`: something answers, and TLS with it is not agreed on;
 * `missing`, `unreadable`, `fewer`: data that should be there is not, cannot be read, or is far less than it should be; `full`: its disk has no
 * room left; `unwell`: it answers and complains.
 */
export type Ailment =
  | 'stopped'
  | 'silent'
  | 'denied'
  | 'untrusted'
  | 'missing'
  | 'unreadable'
  | 'fewer'
  | 'full'
  | 'unwell';

export interface Symptom {
  service: ServiceName;
  ailment: Ailment;
  /** A sentence: what was seen. */
  seen: string;
  /** What to do about it, where that is known. */
  next?: string;
}

/** How many there are, where it could be counted in time. */
export interface Counts {
  memories?: number;
  /** Memories that wait for their vector. */
  pending?: number;
  points?: number;
  nodes?: number;
  relationships?: number;
}

/** One look at one service: what it has told so far is kept even when it then falls silent. */
export class Looking {
  readonly symptoms: Symptom[] = [];
  /** What is as it should be, a sentence each. */
  readonly well: string[] = [];
  readonly counts: Counts = {};
  #doing = 'connecting';
  #over = false;

  constructor(readonly service: ServiceName) {}

  ail(ailment: Ailment, seen: string, next?: string): void {
    if (!this.#over) this.symptoms.push({ service: this.service, ailment, seen, ...(next ? { next } : {}) });
  }

  /** An error of a connection as a symptom; `to` stands before what it says. Answers what kind of ailment it is. */
  fail(error: unknown, to = ''): Ailment {
    const fault = tlsFaultIn(error);
    const ailment = ailmentOf(error);
    if (fault) this.ail(ailment, fault.message, fault.next);
    else this.ail(ailment, to + messageOf(error));
    return ailment;
  }

  isWell(sentence: string): void {
    if (!this.#over) this.well.push(sentence);
  }

  counted(counts: Counts): void {
    if (!this.#over) Object.assign(this.counts, counts);
  }

  /** What is being asked now, should no answer come. */
  now(doing: string): void {
    this.#doing = doing;
  }

  /** Looks until done or until the time is over, whatever hangs; what is told later is not heard. An error is a symptom. */
  async within(ms: number, look: (looking: this) => Promise<void>): Promise<this> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), ms);
    });
    const looked = look(this).catch((error: unknown) => {
      this.fail(error, `${this.service}: ${this.#doing}: `);
    });
    const ended = await Promise.race([looked, late]);
    clearTimeout(timer);
    if (ended === 'late') this.ail('silent', `${this.service} gave no answer within ${ms / 1000} s (${this.#doing})`);
    this.#over = true;
    return this;
  }
}

const STOPPED =
  /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ECONNRESET|socket hang up|closed|disconnected before|terminated unexpectedly/i;
const DENIED =
  /password authentication failed|no pg_hba\.conf entry|WRONGPASS|NOAUTH|NOPERM|HTTP 40[13]|Unauthorized|Forbidden/i;
const SILENT = /timeout|timed out|ETIMEDOUT|no answer within/i;

/** What kind of ailment an error of a connection is. */
export function ailmentOf(error: unknown): Ailment {
  if (tlsFaultIn(error)) return 'untrusted';
  const text = messageOf(error);
  if (DENIED.test(text)) return 'denied';
  if (SILENT.test(text)) return 'silent';
  return STOPPED.test(text) ? 'stopped' : 'unwell';
}

/** Whether a count is so much lower than it should be that it is no ordinary change: nothing is left, or 5 % of at least a hundred are gone. */
export function isFarBelow(actual: number, expected: number): boolean {
  return (actual === 0 && expected > 0) || (expected >= 100 && actual < expected * 0.95);
}
