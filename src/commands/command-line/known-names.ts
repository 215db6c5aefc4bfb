import { basename } from 'node:path';
import { listProfiles } from '../../config/profiles.js';
import { listRuns } from '../../engine/runs.js';
import { loadRunbook, scenarios } from '../../runbook/library.js';
import { DISASTERS } from '../../sandbox/disasters.js';
import { lessonFiles } from '../../sandbox/lessons.js';
import { sandboxNames } from '../../sandbox/sandbox.js';
import type { Candidate, Names } from './complete.js';

const plain = (words: readonly string[], about = ''): Candidate[] => words.map((word) => ({ word, about }));
const MOST_RUNS = 20;

/** What this machine knows by name, by what the command line calls its place. */
const KNOWN: Record<string, () => Candidate[]> = {
  scenario: () => scenarios().map((word) => ({ word, about: loadRunbook(word).title })),
  profile: () => [
    ...Object.entries(listProfiles().profiles).map(([word, about]) => ({ word, about })),
    ...plain(sandboxNames(), 'sandbox'),
  ],
  sandbox: () => plain(sandboxNames()),
  run: () => plain(['latest', ...listRuns().slice(0, MOST_RUNS)]),
  lesson: () => plain(lessonFiles().map((file) => basename(file).replace(/\.ya?ml$/, ''))),
  disaster: () => plain(DISASTERS.map(({ id }) => id)),
};

/** What this machine knows, for a command line that stands at this command: `name` is a sandbox's there, a profile's elsewhere. */
export function namesFor(command: string | undefined): Names {
  const named = command === 'sandbox' ? 'sandbox' : 'profile';
  const places: Record<string, string> = { name: named, 'name|file': 'profile' };
  return async (placeholder) => KNOWN[places[placeholder] ?? placeholder]?.() ?? [];
}
