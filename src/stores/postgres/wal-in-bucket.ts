import type { S3Settings } from '../../config/s3.js';
import { commandText, shellWord } from '../../hosts/command.js';
import { messageOf } from '../../words.js';
import { awsArguments, s3Storage } from '../storage/s3/s3-storage.js';
import { locate } from '../storage/s3/s3-url.js';
import { folderOf, under } from '../storage/storage.js';
import { ARCHIVE_GONE, COPY_FAILED, listingOf, type WalArchive } from './wal-archive.js';

/** What `aws` says of a key that is not there; it says the same of a bucket that is not there. */
const ABSENT = '(404)';

/** An archive in a bucket, to which an `archive_command` such as `aws s3 cp %p s3://bucket/wal/%f` copies. */
export function bucketArchive(place: string, settings: S3Settings): WalArchive {
  const folder = place.replace(/\/+$/, '');
  const storage = s3Storage(settings);
  const fileOf = (name: string) => ({ file: under(folder, name), storage });
  return {
    place,
    fileOf,
    has: async (name) => (await storage.seen(fileOf(name).file)) !== undefined,
    async list(segmentBytes) {
      const files = await storage.filesBelow(folder).catch((error: unknown) => {
        throw new Error(`the WAL archive ${place} cannot be read. ${messageOf(error)}`, { cause: error });
      });
      const own = files.filter(({ file }) => folderOf(file) === folder);
      const bytes = own.map(({ file, bytes }) => [file.slice(folder.length + 1), bytes] as const);
      return { ...listingOf([...bytes.map(([name]) => name)], segmentBytes), bytes: new Map(bytes) };
    },
    restoreCommand(witness) {
      const { bucket, key } = locate(folder);
      const words = (...args: string[]) =>
        commandText({ file: 'aws', args: [...awsArguments(settings), ...args] }).replaceAll('%', '%%');
      // The server replaces %f and %p; a % of the place itself is doubled.
      const from = `${shellWord(`${folder}/`).replaceAll('%', '%%')}"%f"`;
      const known = ['--bucket', bucket, '--key', key === '' ? witness : `${key}/${witness}`];
      return [
        `e=$(${words('s3', 'cp', '--only-show-errors')} ${from} "%p" 2>&1) && exit 0`,
        'echo "$e" >&2',
        `case "$e" in *'${ABSENT}'*) ;; *) exit ${COPY_FAILED};; esac`,
        `${words('s3api', 'head-object', ...known)} >&2 || exit ${ARCHIVE_GONE}`,
        'exit 1',
      ].join('; ');
    },
  };
}
