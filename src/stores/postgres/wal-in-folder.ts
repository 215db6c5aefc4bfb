import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { shellWord } from '../../hosts/command.js';
import { NotReached } from '../../hosts/elsewhere/reaching.js';
import { HERE, type Host } from '../../hosts/host.js';
import { messageOf } from '../../words.js';
import { storageOn } from '../storage/on-host.js';
import { ARCHIVE_GONE, COPY_FAILED, listingOf, type WalArchive } from './wal-archive.js';

/** An archive in a folder of the server's host, to which an `archive_command` such as `cp %p /backups/wal/%f` copies. */
export function folderArchive(folder: string, host: Host = HERE): WalArchive {
  const storage = storageOn(host);
  const fileOf = (name: string) => ({ file: join(folder, name), storage });
  return {
    place: folder,
    fileOf,
    has: async (name) => (await storage.seen(fileOf(name).file)) !== undefined,
    async list(segmentBytes) {
      try {
        if (host.here) {
          await access(folder, constants.R_OK | constants.X_OK);
          return listingOf(await readdir(folder), segmentBytes);
        }
        // How long each is comes along: to ask for one after the other would take long.
        const found = (await host.files.tree(folder, { deep: false })).filter(({ kind }) => kind === 'file');
        const bytes = new Map(found.map((one) => [one.path, one.bytes]));
        return { ...listingOf([...bytes.keys()], segmentBytes), bytes };
      } catch (error) {
        if (error instanceof NotReached) throw error;
        const where = host.here ? '' : ` on ${host.title}`;
        throw new Error(`the WAL archive ${folder}${where} cannot be read: ${messageOf(error)}`);
      }
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
