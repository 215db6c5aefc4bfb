import { steadyNow } from '../../hosts/waiting.js';

const FIRST = 4;
const LEAST = 2;
/** Less than this is no gain but chance. */
const GAIN = 1.05;

/**
 * How many collections a server is given at a time: one more or one less after every few of them, on as long as that brings more done in
 * a second, and else back. What suits a server of two cores wastes one of sixteen.
 */
export class Pace {
  limit: number;
  #direction = 1;
  #rate = 0;
  #ended = 0;
  #done = 0;
  #since: number;

  constructor(
    readonly most: number,
    readonly now: () => number = steadyNow,
  ) {
    this.limit = Math.min(FIRST, most);
    this.#since = now();
  }

  /** Told of each that has ended, with a measure of how much it was. */
  ended(amount: number): void {
    this.#ended += 1;
    this.#done += amount;
    if (this.#ended < 2 * this.limit) return;
    const now = this.now();
    const rate = this.#done / Math.max(1, now - this.#since);
    if (rate < this.#rate * GAIN) this.#direction = -this.#direction;
    this.limit = Math.min(this.most, Math.max(Math.min(LEAST, this.most), this.limit + this.#direction));
    [this.#rate, this.#since, this.#ended, this.#done] = [rate, now, 0, 0];
  }
}
