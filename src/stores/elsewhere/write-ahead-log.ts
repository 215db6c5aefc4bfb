import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { countOf, instantOf, messageOf } from '../../words.js';
import { lookedAt, notLookedAt, type Place } from './source.js';

const SEGMENT = /^[0-9A-F]{24}(\.\w+)*$/;

/** What lies in a folder of archived write-ahead log. By itself it brings nothing back: it goes on from a base backup. */
export async function lookAtArchive(folder: string): Promise<Place> {
  try {
    const names = (await readdir(folder)).sort();
    const segments = names.filter((name) => SEGMENT.test(name));
    const [first, last] = [segments[0], segments.at(-1)];
    if (!first || !last)
      return lookedAt(folder, [
        { what: 'WAL archive', where: folder, facts: 'no segment lies in it', worth: 'none' },
      ]);
    const { mtime } = await stat(join(folder, last));
    const timelines = new Set(segments.map((name) => name.slice(0, 8))).size;
    return lookedAt(folder, [
      {
        what: 'WAL archive',
        where: folder,
        facts: `${countOf(segments.length)} segments, ${first.slice(0, 24)} to ${last.slice(0, 24)}${timelines > 1 ? ` on ${timelines} timelines` : ''}, the newest written ${instantOf(mtime)}; of use only together with a base backup that is older`,
        worth: 'perhaps',
        next: 'novamem-runbook plan postgres-point-in-time',
      },
    ]);
  } catch (error) {
    return notLookedAt(folder, messageOf(error));
  }
}
