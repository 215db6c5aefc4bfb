import type { S3Settings } from '../../config/s3.js';
import type { Host } from '../../hosts/host.js';
import { isS3 } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import type { WalArchive } from './wal-archive.js';
import { bucketArchive } from './wal-in-bucket.js';
import { folderArchive } from './wal-in-folder.js';

/** Opens the archive that a profile names. `s3`: the profile's settings, for one in a bucket; `host`: that of the server, for a folder. */
export function openWalArchive(place: string, s3?: S3Settings, host?: Host): WalArchive {
  if (isS3(place)) return bucketArchive(place, s3 ?? {});
  // Any other URL is refused there.
  storageOf(place, s3);
  return folderArchive(place, host);
}
