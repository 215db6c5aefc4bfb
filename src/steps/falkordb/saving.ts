import { basename, join } from 'node:path';
import { copyTo, filesBelow, remove, sha256Of } from '../../hosts/files.js';
import { bytesOf } from '../../stores/backup-set/backup-set.js';
import type { FalkordbForm } from '../../stores/falkordb/persistence.js';
import { filesFaults } from '../../stores/falkordb/persistence.js';
import { type Moment, momentOn } from '../../stores/storage/moment.js';
import type { Sent } from '../../stores/storage/storage.js';
import { under } from '../../stores/storage/storage.js';
import { newBackupFolder } from '../backup/new-backup.js';
import { beginSending, destinationOf, sendStraight } from '../backup/sending.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

/** A file of a new set; `file`: its path in the set. */
export type Saved = Sent & { file: string };

/** How the files of a server become part of a new set. */
export interface Saving {
  /** Takes the server's file, or the files of its folder, as they are now. */
  take(from: string): Promise<void>;
  /** Drops what was taken: it is of two moments. */
  drop(): Promise<void>;
  /** Has what was taken in the set, whole. */
  finish(): Promise<Saved[]>;
  /** Ends it, whether that was well or not. */
  close(): Promise<void>;
}

const FOLDER = 'falkordb';

/** Begins with an empty folder of the new set. */
export async function savingInto(
  ctx: StepContext,
  form: FalkordbForm,
  emit: Emitter<unknown>,
  signal: AbortSignal,
): Promise<Saving> {
  if (!destinationOf(ctx)) return intoFolder(ctx, form, emit, signal, await newBackupFolder(ctx, FOLDER));
  await beginSending(ctx, FOLDER);
  return intoBucket(ctx, form, emit, signal);
}

const refuseFaults = (faults: readonly string[]) => {
  if (faults.length > 0) throw new Error(`the copy is not whole: ${faults[0]}`);
};

function intoFolder(
  ctx: StepContext,
  form: FalkordbForm,
  emit: Emitter<unknown>,
  signal: AbortSignal,
  folder: string,
): Saving {
  const to = join(folder, form);
  return {
    take: (from) => copyHere(ctx, emit, from, to, signal),
    drop: () => remove(ctx.gateway, to),
    async finish() {
      refuseFaults((await filesFaults({ form, path: to })).faults);
      const names = form === 'appendonlydir' ? (await filesBelow(to)).map((name) => join(form, name)) : [form];
      return Promise.all(
        names.map(async (name) => {
          const path = join(folder, name);
          return { file: join(FOLDER, name), bytes: await bytesOf(path), sha256: await sha256Of(path, { signal }) };
        }),
      );
    },
    async close() {},
  };
}

/** Copies a file, or the files of a folder, from the server's host. */
async function copyHere(
  { cluster, gateway }: StepContext,
  emit: Emitter<unknown>,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const { here, files, title } = cluster.host('falkordb');
  if (here) return copyTo(gateway, from, to);
  const isFolder = (await files.stat(from))?.kind === 'folder';
  const pairs = isFolder
    ? (await files.list(from)).map(({ name }) => ({ from: join(from, name), to: join(to, name) }))
    : [{ from, to }];
  const sizes = await Promise.all(pairs.map(async (pair) => (await files.stat(pair.from))?.bytes ?? 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const onBytes = emit.bytes(total, `bringing ${basename(from)} from ${title}`);
  for (const pair of pairs) await files.fetch(gateway, pair.from, pair.to, { onBytes, signal });
}

/**
 * Straight into a bucket, and never onto this machine's disk. Files of this machine are held open when they are taken, and sent when the server
 * needs no more attention; those of another host are sent when they are taken, since nothing keeps them there.
 */
function intoBucket(ctx: StepContext, form: FalkordbForm, emit: Emitter<unknown>, signal: AbortSignal): Saving {
  const host = ctx.cluster.host('falkordb');
  const { to, storage } = destinationOf(ctx)!;
  let taken: { from: string; paths: string[]; moment: Moment } | undefined;
  let saved: Saved[] = [];
  const close = async () => {
    await taken?.moment.close();
    taken = undefined;
  };
  const send = async () => {
    const { from, paths, moment } = taken!;
    refuseFaults((await filesFaults({ form, path: from }, moment.files)).faults);
    const sizes = await Promise.all(paths.map(async (path) => (await moment.files.stat(path))!.bytes));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const onBytes = emit.bytes(2 * total, `sending ${basename(from)} to ${to}, and reading back`);
    for (const [index, path] of paths.entries()) {
      const bytes = sizes[index]!;
      const file = join(FOLDER, form, path.slice(from.length));
      const source = moment.files.stream(path, { signal });
      const sent = await sendStraight(ctx, { file, bytes }, source, { signal, onBytes });
      const there = host.here ? sent.sha256 : await host.files.sha256(path, { bytes, signal });
      if (there !== sent.sha256)
        throw new Error(
          `${path} of ${host.title} did not arrive in ${to} as it is there: its SHA-256 is ${there}, of what arrived it is ${sent.sha256}. The set stays unfinished; retry`,
        );
      saved.push({ file, ...sent });
    }
  };
  return {
    async take(from) {
      const names = form === 'appendonlydir' ? (await host.files.list(from)).map(({ name }) => name).sort() : [];
      const paths = form === 'appendonlydir' ? names.map((name) => join(from, name)) : [from];
      taken = { from, paths, moment: await momentOn(host, paths) };
      if (!host.here) await send();
    },
    async drop() {
      await close();
      if (saved.length > 0) await storage.remove(ctx.gateway, under(to, FOLDER));
      saved = [];
    },
    async finish() {
      if (host.here) await send();
      return saved;
    },
    close,
  };
}
