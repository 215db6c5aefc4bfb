import { buildIfStale } from '../scripts/built.js';

/** Compiles the program before the tests: they start parts of it as processes of their own. */
export default function setup(): void {
  buildIfStale();
}
