import { exists, sha256Of } from '../hosts/files.js';
import { EXIT } from '../problem.js';
import { bytesOf } from '../stores/backup-set/backup-set.js';
import { findBackupSet, listBackupSets } from '../stores/backup-set/find-backup-set.js';
import { countOf, durationOf, plural, sizeOf } from '../words.js';
import { findCluster } from './find-cluster.js';
import { columns, print } from './print.js';

export async function backupsListCommand({ profile, json }: { profile?: string; json?: boolean }): Promise<number> {
  const { backups } = findCluster(profile);
  const listed = await listBackupSets(backups);
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
        ['ID', 'AGE', 'SIZE', 'KIND', 'COLLECTIONS', 'SKEW', ''],
        ...listed.map((one) =>
          'set' in one
            ? [
                one.id,
                one.set.takenAt ? durationOf(Date.now() - one.set.takenAt.getTime()) : 'unknown',
                sizeOf(one.set.bytes),
                one.set.kind,
                countOf(one.set.qdrant.length + one.set.unnamed.length),
                one.set.skewMs === undefined ? 'unknown' : durationOf(one.set.skewMs),
                one.set.unproven.join('; '),
              ]
            : [one.id, '', '', 'unusable', '', '', one.problem],
        ),
      ]),
    );
  }
  return EXIT.recovered;
}

/** Reads every file of a backup set and compares it with the manifest. */
export async function backupsVerifyCommand(wanted: string, { profile }: { profile?: string }): Promise<number> {
  const roots = wanted.includes('/') ? [] : findCluster(profile).backups;
  const set = await findBackupSet(wanted, roots);
  const files = [
    ...(set.postgres ? [set.postgres] : []),
    ...set.qdrant,
    ...set.unnamed,
    ...(set.falkordb?.files ?? []),
  ];
  let faults = 0;
  for (const { file, bytes, sha256 } of files) {
    const there = await exists(file);
    const said = !there
      ? 'MISSING'
      : (await bytesOf(file)) !== bytes
        ? `${countOf(await bytesOf(file))} bytes, expected ${countOf(bytes)}`
        : sha256 === undefined
          ? 'not proven: no manifest'
          : (await sha256Of(file)) === sha256
            ? 'ok'
            : 'CHANGED: its SHA-256 is another';
    if (said !== 'ok' && !said.startsWith('not proven')) faults += 1;
    print(`${said.padEnd(10)} ${file}`);
  }
  print(
    faults === 0
      ? `${plural(files.length, 'file')}: ${set.kind === 'manifest' ? 'as backed up' : 'readable; without a manifest nothing can vouch for their content'}`
      : `${plural(faults, 'file')} of ${files.length} cannot be restored from`,
  );
  return faults === 0 ? EXIT.recovered : EXIT.stepFailed;
}
