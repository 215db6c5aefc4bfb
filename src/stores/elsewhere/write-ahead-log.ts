import { readdir } from 'node:fs/promises';
import type { S3Settings } from '../../config/s3.js';
import { countOf, instantOf, messageOf } from '../../words.js';
import { folderOf, under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import { lookedAt, notLookedAt, type Place } from './source.js';

const SEGMENT = /^[0-9A-F]{24}(\.\w+)*$/;

/** What lies in a folder of archived write-ahead log. By itself it brings nothing back: it goes on from a base backup. */
export async function lookAtArchive(folder: string, s3?: S3Settings): Promise<Place> {
  try {
    const storage = storageOf(folder, s3);
    const names = storage.isHere
      ? (await readdir(folder)).sort()
      : (await storage.filesBelow(folder)).map(({ file }) => file.slice(folderOf(file).length + 1));
    const segments = names.filter((name) => SEGMENT.test(name));
    const [first, last] = [segments[0], segments.at(-1)];
    if (!first || !last)
      return lookedAt(folder, [
        { what: 'WAL archive', where: folder, facts: 'no segment lies in it', worth: 'none' },
      ]);
    const newest = await storage.seen(under(folder, last));
    const timelines = new Set(segments.map((name) => name.slice(0, 8))).size;
    return lookedAt(folder, [
      {
        what: 'WAL archive',
        where: folder,
        facts: `${countOf(segments.length)} segments, ${first.slice(0, 24)} to ${last.slice(0, 24)}${timelines > 1 ? ` on ${timelines} timelines` : ''}, the newest written ${newest ? instantOf(newest.writtenAt) : 'nobody knows when'}; of use only together with a base backup that is older`,
        worth: 'perhaps',
        next: 'novamem-runbook plan postgres-point-in-time',
      },
    ]);
  } catch (error) {
    return notLookedAt(folder, messageOf(error));
  }
}
