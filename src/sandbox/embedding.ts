import { createHash } from 'node:crypto';

/** Dimensions of novamem's default embedding model. */
export const DIMENSIONS = 384;

/**
 * An embedding without a model: every word adds to a few dimensions that its hash chooses; the sum has length 1. Texts
 * that share words are near each other, which is all that the stand-in's search needs.
 */
export function embed(text: string): number[] {
  const vector = new Array<number>(DIMENSIONS).fill(0);
  for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? []) {
    const hash = hashes(word);
    for (let index = 0; index < 16; index += 2) {
      const dimension = ((hash[index]! << 8) | hash[index + 1]!) % DIMENSIONS;
      vector[dimension] = vector[dimension]! + (hash[index]! & 1 ? 1 : -1);
    }
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => Math.round((value / length) * 1e5) / 1e5);
}

const known = new Map<string, Buffer>();

function hashes(word: string): Buffer {
  const found = known.get(word) ?? createHash('md5').update(word).digest();
  known.set(word, found);
  return found;
}

/** The id of a memory's vector: a hash of the memory's id in the shape of a UUID. */
export function pointIdOf(memoryId: string): string {
  const hex = createHash('md5').update(memoryId).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The Qdrant collection of a memory: by project where it has one, else by user. */
export function collectionOf(user: string, project: string | null, namespace: string): string {
  return project === null ? `novamem_u_${user}_${namespace}` : `novamem_p_${project}_${namespace}`;
}
