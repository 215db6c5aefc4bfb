import { messageOf } from '../words.js';
import { type Happening, Journal, type JournalEvent, type JournalReading } from './journal.js';
import { ignoringErrors } from './publisher.js';

/** The record of a run: its journal, and those who are told of every event once it is on disk. */
export class RunRecord {
  /** Why the record could not be kept any further; empty while it can. */
  lost = '';
  readonly #journal: Journal;
  readonly #folder: string;
  readonly #onLost: (why: string) => void;
  #listeners = new Set<(event: JournalEvent) => void>();

  /** `before`: the journal of an earlier process, to go on with. */
  constructor(run: string, folder: string, onLost: (why: string) => void, before?: JournalReading) {
    this.#journal = before ? Journal.goOn(run, folder, before) : Journal.begin(run, folder);
    this.#folder = folder;
    this.#onLost = onLost;
  }

  get file(): string {
    return this.#journal.file;
  }

  onEvent(listener: (event: JournalEvent) => void): void {
    this.#listeners.add(listener);
  }

  append(happening: Happening): void {
    if (this.lost) return;
    try {
      const event = this.#journal.append(happening);
      for (const listener of this.#listeners) ignoringErrors(() => listener(event));
    } catch (error) {
      this.lose(error);
    }
  }

  close(): void {
    try {
      this.#journal.close();
    } catch (error) {
      this.lose(error);
    }
  }

  /** Nothing may be done that cannot be recorded: told once, as soon as the disk takes no more. */
  lose(error: unknown): void {
    if (this.lost) return;
    this.lost = `the record of this run cannot be kept (${messageOf(error)}), so it was stopped; make room in ${this.#folder}`;
    this.#onLost(this.lost);
  }
}
