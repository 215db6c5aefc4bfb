import { resolve } from 'node:path';
import type { Profile } from '../config/profile.js';
import { listProfiles, profileWord } from '../config/profiles.js';
import { shellWord } from '../hosts/command.js';
import { openGateway } from '../hosts/gateway.js';
import { EXIT, Problem } from '../problem.js';
import { adopt, heldBy } from '../stores/backup-set/adopt.js';
import { bytesThere, checksumOf } from '../stores/backup-set/backup-set.js';
import { faultOfBaseIn } from '../stores/backup-set/base-in-set.js';
import { copiesOf, findBackupSet, listBackupSets } from '../stores/backup-set/find-backup-set.js';
import { openBackupSet } from '../stores/backup-set/open-backup-set.js';
import { pruningOf, removeSet } from '../stores/backup-set/prune.js';
import { isS3 } from '../stores/storage/storage.js';
import { countOf, durationOf, plural, sizeOf } from '../words.js';
import { findCluster } from './find-cluster.js';
import { columns, print } from './print.js';

export async function backupsListCommand({ profile, json }: { profile?: string; json?: boolean }): Promise<number> {
  const { name, backups, s3 } = findCluster(profile);
  const listed = await listBackupSets(backups, s3);
  if (json) {
    print(
      JSON.stringify(
        listed.map((one) =>
          'set' in one
            ? {
                id: one.id,
                folder: one.folder,
                kind: one.set.kind,
                takenAt: one.set.takenAt,
                bytes: one.set.bytes,
                cluster: one.set.cluster ?? null,
              }
            : one,
        ),
      ),
    );
    return EXIT.recovered;
  }
  if (listed.length === 0)
    print(
      `No backup set below ${backups.join(', ') || '(the profile names no backup root)'}. Next: novamem-runbook backup`,
    );
  else {
    print(
      ...columns([
        ['ID', 'AGE', 'SIZE', 'KIND', 'COLLECTIONS', 'SKEW', 'FOLDER', ''],
        ...listed.map((one) =>
          'set' in one
            ? [
                one.id,
                one.set.takenAt ? durationOf(Date.now() - one.set.takenAt.getTime()) : 'unknown',
                sizeOf(one.set.bytes),
                one.set.kind,
                countOf(one.set.qdrant.length + one.set.unnamed.length),
                one.set.skewMs === undefined ? 'unknown' : durationOf(one.set.skewMs),
                one.folder,
                [
                  ...(one.set.cluster === undefined || one.set.cluster === name
                    ? []
                    : [`of another cluster, "${one.set.cluster}"`]),
                  ...copiesOf(one, listed).map((other) => `the same set as ${other.folder}`),
                  ...one.set.unproven,
                ].join('; '),
              ]
            : [one.id, '', '', 'unusable', '', '', one.folder, wordsOf(one)],
        ),
      ]),
    );
  }
  return EXIT.recovered;
}

/** Reads every file of a backup set and compares it with the manifest. */
export async function backupsVerifyCommand(wanted: string, { profile }: { profile?: string }): Promise<number> {
  const set = wanted.includes('/')
    ? await openBackupSet(wanted, s3For(wanted, profile))
    : await findSetOf(findCluster(profile), wanted);
  const files = [
    ...(set.postgres ? [set.postgres] : []),
    ...(set.postgresBase ? [set.postgresBase.manifest] : []),
    ...set.qdrant,
    ...set.unnamed,
    ...(set.falkordb?.files ?? []),
  ];
  let faults = 0;
  for (const one of files) {
    const { file, bytes, sha256 } = one;
    const there = await bytesThere(one);
    const said =
      there === undefined
        ? 'MISSING'
        : there !== bytes
          ? `${countOf(there)} bytes, expected ${countOf(bytes)}`
          : sha256 === undefined
            ? 'not proven: no manifest'
            : (await checksumOf(one)) === sha256
              ? 'ok'
              : 'CHANGED: its SHA-256 is another';
    if (said !== 'ok' && !said.startsWith('not proven')) faults += 1;
    print(`${said.padEnd(10)} ${file}`);
  }
  if (set.postgresBase) {
    const { fault, unread } = await faultOfBaseIn(set);
    if (fault !== '') faults += 1;
    print(
      `${(fault === '' ? 'ok' : 'CHANGED').padEnd(10)} ${set.postgresBase.folder}${[fault, unread]
        .filter((words) => words !== '')
        .map((words) => `: ${words}`)
        .join('')}`,
    );
  }
  print(
    faults === 0
      ? `${plural(files.length, 'file')}: ${set.kind === 'manifest' ? 'as backed up' : 'readable; without a manifest nothing can vouch for their content'}`
      : `${plural(faults, 'file')} of ${files.length} cannot be restored from`,
  );
  return faults === 0 ? EXIT.recovered : EXIT.stepFailed;
}

/** `backups adopt FOLDER`: gives a folder of loose files a manifest. */
export async function backupsAdoptCommand(
  folder: string,
  { cluster, profile }: { cluster?: string; profile?: string },
): Promise<number> {
  const s3 = s3For(folder, profile);
  const set = await adopt(QUIET, isS3(folder) ? folder.replace(/\/+$/, '') : resolve(folder), {
    ...(cluster === undefined ? {} : { cluster }),
    ...(s3 ? { s3 } : {}),
    onFile: ({ file, bytes }) => print(`read ${sizeOf(bytes).padStart(9)}  ${file}`),
  });
  print(
    `${set.folder} is now a backup set: ${heldBy(set)}.`,
    ...set.unproven.map((line) => `Not proven: ${line}.`),
    `Next: novamem-runbook plan whole-cluster-lost --backup ${shellWord(set.folder)}`,
  );
  return EXIT.recovered;
}

/** `backups prune`: says what would be removed, and removes it once the cluster's name is given with --confirm. */
export async function backupsPruneCommand({
  profile,
  keep,
  confirm,
}: {
  profile?: string;
  keep: number;
  confirm?: string;
}): Promise<number> {
  const found = findCluster(profile);
  const { name, backups, s3 } = found;
  const refused = { safe: 'Nothing was removed.', exitCode: EXIT.refused };
  if (keep < 1) throw new Problem('--keep 0 would leave no backup at all.', { ...refused, next: 'keep at least 1' });
  if (confirm !== undefined && confirm !== name)
    throw new Problem(`--confirm says "${confirm}", but this cluster is called "${name}".`, {
      ...refused,
      next: 'see what would be removed, and whether it is the right cluster: the same without --confirm',
    });
  const pruning = await pruningOf(backups, keep, { s3 });
  for (const one of pruning.keep) print(`keep     ${one.id.padEnd(18)} ${one.why}`);
  for (const one of pruning.remove) {
    if (confirm !== undefined) await removeSet(QUIET, one.folder, s3);
    print(`${confirm === undefined ? 'remove  ' : 'removed '} ${one.id.padEnd(18)} ${one.why}`);
  }
  if (confirm === undefined && pruning.remove.length > 0)
    print(
      `Nothing was removed yet. Next: novamem-runbook backups prune --profile ${shellWord(profileWord(found))} --keep ${keep} --confirm ${name}`,
    );
  return EXIT.recovered;
}

const wordsOf = ({ problem, next }: { problem: string; next?: string }) =>
  next ? `${problem} Next: ${next}` : problem;

const findSetOf = ({ backups, s3 }: Profile, wanted: string) => findBackupSet(wanted, backups, s3);

/** How the bucket of a folder is reached: as the profile says that is named or remembered, else as AWS usually is. */
const s3For = (folder: string, profile: string | undefined) =>
  isS3(folder) && (profile !== undefined || listProfiles().current !== undefined)
    ? findCluster(profile).s3
    : undefined;

const QUIET = openGateway(() => {});
