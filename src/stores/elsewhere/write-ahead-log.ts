import type { S3Settings } from '../../config/s3.js';
import { HERE, type Host } from '../../hosts/host.js';
import { countOf, instantOf, messageOf } from '../../words.js';
import { storageOn } from '../storage/on-host.js';
import { folderOf, isRemote, under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import { lookedAt, notLookedAt, type Place } from './source.js';

const SEGMENT = /^[0-9A-F]{24}(\.\w+)*$/;

/** What lies in a folder of archived write-ahead log, of the server's host or in a bucket. By itself it brings nothing back: it goes on from a base backup. */
export async function lookAtArchive(folder: string, s3?: S3Settings, host: Host = HERE): Promise<Place> {
  try {
    const storage = isRemote(folder) ? storageOf(folder, s3) : storageOn(host);
    const names = isRemote(folder)
      ? (await storageOf(folder, s3).filesBelow(folder)).map(({ file }) => file.slice(folderOf(file).length + 1))
      : (await host.files.tree(folder, { deep: false })).map(({ path }) => path).sort();
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
