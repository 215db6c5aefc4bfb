import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ownTempFolder } from '../../hosts/temp-folders.js';
import { type DumpContents, readContents } from '../postgres/dump.js';
import type { Installation } from '../postgres/tools.js';
import { HERE } from '../storage/here.js';
import { headOf } from '../storage/storage.js';
import type { BackupFile } from './backup-set.js';

const MIB = 1 << 20;

/**
 * The table of contents of a dump of a set, wherever it lies. It stands at the beginning of the file: of one that is not on
 * this machine only that is fetched, more of it where it does not reach.
 */
export async function contentsOf(tools: Installation, dump: BackupFile): Promise<DumpContents> {
  const { storage = HERE } = dump;
  if (storage.isHere) return readContents(tools, dump.file);
  const folder = await ownTempFolder('dump');
  try {
    for (let bytes = MIB; ; bytes *= 8) {
      const file = join(folder, 'head.dump');
      await writeFile(file, await headOf(storage, dump, bytes), { mode: 0o600 });
      const isAll = bytes >= dump.bytes;
      const contents = await readContents(tools, file, dump.file).catch((error: unknown) => {
        if (isAll) throw error;
        return undefined;
      });
      if (contents) return contents;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
