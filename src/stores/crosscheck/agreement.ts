import { z } from 'zod';
import { type Crosscheck, DIFFERENCES, type DifferenceKind } from './crosscheck.js';

/** How far the stores agreed when they were backed up: what a restore of all three must come back to. */
export const agreementSchema = z.object({
  memories: z.number(),
  /** Differences that did not explain themselves: they are in the backup as well. */
  differences: z.record(z.enum(DIFFERENCES), z.number()),
  /** Whether the stores were written to between the moments of their parts: then a restore cannot be held to these numbers. */
  moved: z.boolean(),
});
export type Agreement = z.infer<typeof agreementSchema>;

/** What the parts of a backup set hold, as far as it shows that the stores were written to in between. */
export interface PartsCounted {
  memories: number | undefined;
  collections: Record<string, number>;
  nodes: number;
  /** The oldest part's moment (ms since 1970). */
  begun: number;
}

/** What a backup set remembers of a cross-check that was made at its end. */
export function agreementOf(found: Crosscheck, parts: PartsCounted): Agreement {
  const { youngest } = found;
  const written = [youngest.memories, youngest.vectors, youngest.nodes].some(
    (at) => at !== null && at >= parts.begun,
  );
  const counted =
    parts.memories === found.memories &&
    parts.nodes === found.nodes &&
    sameCounts(parts.collections, found.collections);
  return {
    memories: found.memories,
    differences: Object.fromEntries(DIFFERENCES.map((kind) => [kind, found.differences[kind].unexplained])) as Record<
      DifferenceKind,
      number
    >,
    moved: written || !counted,
  };
}

function sameCounts(a: Record<string, number>, b: Record<string, number>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
