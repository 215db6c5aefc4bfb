import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { shellWord } from '../../hosts/command.js';
import { messageOf } from '../../words.js';
import { HERE } from '../storage/here.js';
import { ARCHIVE_GONE, COPY_FAILED, listingOf, type WalArchive } from './wal-archive.js';

/** An archive in a folder of this machine, to which an `archive_command` such as `cp %p /backups/wal/%f` copies. */
export function folderArchive(folder: string): WalArchive {
  const fileOf = (name: string) => ({ file: join(folder, name), storage: HERE });
  return {
    place: folder,
    fileOf,
    has: async (name) => (await HERE.seen(fileOf(name).file)) !== undefined,
    async list(segmentBytes) {
      let names: string[];
      try {
        await access(folder, constants.R_OK | constants.X_OK);
        names = await readdir(folder);
      } catch (error) {
        throw new Error(`the WAL archive ${folder} cannot be read: ${messageOf(error)}`);
      }
      return listingOf(names, segmentBytes);
    },
    restoreCommand(witness) {
      // The server replaces %f and %p; a % of the path itself is doubled.
      const at = shellWord(folder).replaceAll('%', '%%');
      return [
        `a=${at}`,
        `if [ -e "$a/%f" ]; then cp "$a/%f" "%p" || exit ${COPY_FAILED}; exit 0; fi`,
        `[ -r "$a/${witness}" ] || exit ${ARCHIVE_GONE}`,
        'exit 1',
      ].join('; ');
    },
  };
}
