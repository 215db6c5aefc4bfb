import type { S3Settings } from '../../config/s3.js';
import { Problem } from '../../problem.js';
import { HERE } from './here.js';
import { s3Storage } from './s3/s3-storage.js';
import { isRemote, isS3, type LocalStorage, type RemoteStorage } from './storage.js';

/** The storage that a path or URL of a profile is in. `s3`: the profile's settings for it. */
export function storageOf(place: string, s3: S3Settings | undefined): LocalStorage | RemoteStorage {
  if (isS3(place)) return s3Storage(s3 ?? {});
  if (!isRemote(place)) return HERE;
  throw new Problem(`${place} cannot be read: a place is a folder of this machine, or s3://BUCKET/FOLDER.`, {
    next: 'mend it in the profile, or on the command line',
  });
}
