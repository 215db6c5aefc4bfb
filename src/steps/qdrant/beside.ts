import { dirname } from 'node:path';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { recoverText } from '../../stores/qdrant/recovery.js';
import { uploadText } from '../../stores/qdrant/transfer.js';
import type { Snapshot } from './snapshots.js';

// A server on this machine reads snapshots from the disk itself, which spares it and us the sending. Whether it really does is seen
// when it is asked to: it may be in a container, or somewhere else behind a forwarded port, or may not read what the operator may.

/** Server → the folders of which it has refused to read a file. */
const unread = new WeakMap<Qdrant, Set<string>>();

const LOOPBACK = /^(localhost|127(\.\d+){3}|::1)$/;

/** Whether the server may be asked to read this file: it is reached on this machine, where the file is. */
export const mayRead = (qdrant: Qdrant, { file, storage }: Snapshot): boolean =>
  storage?.isHere !== false && LOOPBACK.test(qdrant.endpoint.host) && !unread.get(qdrant)?.has(dirname(file));

/** The server has refused to read this file: others beside it are not tried. */
export function noteUnread(qdrant: Qdrant, { file }: Snapshot): void {
  unread.set(qdrant, (unread.get(qdrant) ?? new Set()).add(dirname(file)));
}

/** How a person would give a server this snapshot. */
export const givingText = (qdrant: Qdrant, snapshot: Snapshot, sha256: string, byUpload: boolean): string =>
  (byUpload || !mayRead(qdrant, snapshot) ? uploadText : recoverText)(qdrant, { ...snapshot, sha256 });
