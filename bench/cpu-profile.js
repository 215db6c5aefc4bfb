import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * Whose a profile's time was, in milliseconds: { wall, idle, disk, own, packages, node, collector }, and the parts of `own` by file,
 * the largest first. `own` is the program's code, without the bundle, `disk` what was waited for until it was on the disk, `collector`
 * the garbage collector.
 */
export function readProfile(file) {
  const { nodes, samples, timeDeltas, startTime, endTime } = JSON.parse(readFileSync(file, 'utf8'));
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = { idle: 0, disk: 0, own: 0, packages: 0, node: 0, collector: 0 };
  const files = {};
  for (const [index, sample] of samples.entries()) {
    const ms = timeDeltas[index] / 1000;
    const { whose, path } = ownerOf(frames.get(sample));
    times[whose] += ms;
    if (whose === 'own') files[path] = (files[path] ?? 0) + ms;
  }
  const parts = Object.entries(files).sort(([, a], [, b]) => b - a);
  return { wall: (endTime - startTime) / 1000, ...times, parts };
}

function ownerOf({ functionName, url }) {
  if (functionName === '(idle)') return { whose: 'idle' };
  if (functionName === '(garbage collector)') return { whose: 'collector' };
  if (functionName === 'fsync') return { whose: 'disk' };
  if (!url.startsWith('file:')) return { whose: 'node' };
  const path = relative(ROOT, fileURLToPath(url));
  return { whose: path.startsWith('dist/') ? 'own' : 'packages', path };
}
