import type { Host } from '../../hosts/host.js';
import { HERE } from './here.js';
import type { Readable } from './storage.js';

/** The disks of a host, for reading. */
export function storageOn({ here, files, title }: Host): Readable {
  if (here) return HERE;
  return {
    isHere: false,
    of: title,
    async seen(file) {
      const found = await files.stat(file);
      if (found?.kind !== 'file') return undefined;
      const { bytes, mtime } = found;
      return { file, bytes, writtenAt: new Date(mtime * 1000), version: '' };
    },
    async *read(file, { from = 0, to, signal } = {}) {
      const more = signal ? { signal } : {};
      yield* files.stream(file, { from, ...(to === undefined ? {} : { bytes: to + 1 }), ...more });
    },
  };
}
