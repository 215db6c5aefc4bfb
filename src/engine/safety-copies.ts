import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { filesBelow } from '../hosts/files.js';
import type { CopyNow, SafetyCopy } from './snapshot.js';

/** The copies as they are now: how large, and whether they are still there. What is no path is not looked for. */
export function copiesNow(copies: readonly SafetyCopy[]): Promise<CopyNow[]> {
  return Promise.all(
    copies.map(async (copy) => {
      if (!isAbsolute(copy.at)) return { ...copy, gone: false };
      try {
        return { ...copy, bytes: await bytesOf(copy.at), gone: false };
      } catch (error) {
        return { ...copy, gone: (error as NodeJS.ErrnoException).code === 'ENOENT' };
      }
    }),
  );
}

async function bytesOf(path: string): Promise<number> {
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  const sizes = await Promise.all((await filesBelow(path)).map(async (file) => (await stat(join(path, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const NAMED = 3;

/** Where copies are, in a sentence: the first few of them. */
export function copiesText(copies: readonly SafetyCopy[]): string {
  const more = copies.length - NAMED;
  return [
    ...copies.slice(0, NAMED).map(({ of, at }) => `${of}: ${at}`),
    ...(more > 0 ? [`and ${more} more`] : []),
  ].join('; ');
}
