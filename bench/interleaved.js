import { performance } from 'node:perf_hooks';

/**
 * Measures ways of doing the same thing, one after the other in each round, so that whatever else the machine does meets all of them.
 * The order turns from round to round. `ways`: name → what is done once, which may answer figures of its own; what it needs before is in
 * `before`, which is not measured. Answers name → { ms: every time, median, figures: what each round answered }.
 */
export async function interleaved(ways, { rounds, before = async () => {}, onRound = () => {} }) {
  const names = Object.keys(ways);
  const measured = Object.fromEntries(names.map((name) => [name, { ms: [], figures: [] }]));
  for (let round = 0; round < rounds; round += 1) {
    const turned = names.map((_, index) => names[(index + round) % names.length]);
    for (const name of turned) {
      await before(name);
      const begun = performance.now();
      const figures = await ways[name]();
      measured[name].ms.push(performance.now() - begun);
      if (figures !== undefined) measured[name].figures.push(figures);
      await onRound({ round: round + 1, name, ms: measured[name].ms.at(-1), figures });
    }
  }
  for (const one of Object.values(measured)) one.median = median(one.ms);
  return measured;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median of the ratios of the rounds: what a noisy round does to both of its halves is in neither. */
export const ratioOf = (one, other) => median(one.ms.map((ms, round) => ms / other.ms[round]));
