import { dirname } from 'node:path';
import { Box, Text } from 'ink';
import { useState } from 'react';
import type { DeskSnapshot, OfferedSet, ScenarioCard } from '../engine/desk.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { copiesOf } from '../stores/backup-set/find-backup-set.js';
import { durationOf, instantOf, plural, sizeOf } from '../words.js';
import { Frame, Lines, useSpace } from './frame.js';
import { useEveryKey, useKeys } from './keys.js';
import { Scrolled } from './scrolled.js';
import { Select } from './select.js';
import { cut, cutStart, labelled, wrap } from './text.js';

interface Props {
  desk: DeskSnapshot;
  card: ScenarioCard;
  /** It is chosen for a dry run. */
  dry: boolean;
  /** The id of the set whose plan was looked at before. */
  from?: string | undefined;
  onChoose: (folder: string) => void;
  onHelp: () => void;
  onBack: () => void;
}

/** From which backup? Its age is what will be lost. */
export function BackupPicker({ desk, card, dry, from, onChoose, onHelp, onBack }: Props) {
  const { columns, bodyRows } = useSpace();
  const sets = desk.backups ?? [];
  const [chosen, setHighlighted] = useState<string | undefined>(undefined);
  const first = Math.max(
    0,
    sets.findIndex(({ id }) => id === from),
  );
  const highlighted = chosen === undefined ? sets[first] : sets.find(({ folder }) => folder === chosen);
  useEveryKey((_input, key) => {
    if (key.escape) onBack();
  });
  useKeys((input) => input === '?' && onHelp());
  const about = aboutSet(highlighted, sets, columns - 2);
  const tallest = Math.max(0, ...sets.map((one) => aboutSet(one, sets, columns - 2).length));
  const problem = desk.problem.flatMap((line) => wrap(`✗ ${line}`, columns - 2, 2));
  const room = bodyRows - problem.length - 3;
  const items: { key: string; label: string; value: OfferedSet | undefined }[] = sets.map((one) => ({
    key: one.folder,
    label: labelOf(one, sets, desk.cluster, columns - 4),
    value: one,
  }));
  if (card.restores === 'may' && desk.backups) items.push({ key: 'none', label: WITHOUT, value: undefined });
  const listed = Math.min(items.length, Math.max(LEAST_LISTED, room - tallest));
  return (
    <Frame
      cluster={desk.cluster}
      production={desk.production}
      title={`${dry ? 'DRY RUN · ' : ''}${card.title.toLowerCase()}`}
      right={`${new Date().toISOString().slice(11, 19)} UTC`}
      keys={['↑↓ choose', 'enter use it', '? help', 'esc back']}
    >
      <Text bold>
        {' '}
        From which backup? What is younger than it {card.restores === 'may' ? 'is not in it.' : 'will be missing.'}
      </Text>
      <Text> </Text>
      {desk.backups === undefined && <Text> looking for backup sets…</Text>}
      {desk.backups?.length === 0 && <Lines lines={noBackups(desk, columns - 2)} />}
      {/* A list without items would answer enter with nothing. */}
      {items.length > 0 && (
        <Box flexDirection="column">
          <Select
            items={items}
            limit={listed}
            initialIndex={first}
            onSelect={({ value }) => {
              if (!value) onChoose('none');
              else if ('set' in value) onChoose(value.folder);
            }}
            onHighlight={(item) => setHighlighted(item.key ?? '')}
          />
        </Box>
      )}
      <Scrolled
        key={highlighted?.folder ?? ''}
        lines={about}
        rows={Math.max(1, room - Math.max(1, listed))}
        by="space"
        hint="above"
      />
      <Lines lines={problem} />
    </Frame>
  );
}

/** How many sets are seen at once, however small the window. */
const LEAST_LISTED = 3;

const WITHOUT = 'without a backup set: this disaster can be answered in other ways, too';
const ABOUT_WITHOUT =
  'The runbook then makes what is lost again out of the other stores, and asks how. Its ways that need a backup are not possible. A set that is chosen here does not have to be used.';

function noBackups(desk: DeskSnapshot, width: number): string[] {
  return [
    ' There is no backup set below the roots that the profile names (backups: [ … ]).',
    ...wrap(
      ` Next: leave with ctrl-c, then name a folder: novamem-runbook --profile ${desk.profile} --backup FOLDER`,
      width,
      1,
    ),
  ];
}

function labelOf(one: OfferedSet, sets: readonly OfferedSet[], cluster: string, width: number): string {
  const isCopy = copiesOf(one, sets).some((other) => sets.indexOf(other) < sets.indexOf(one));
  const label = `${one.id.padEnd(18)} ${isCopy && !one.fault ? 'the same set, copied' : stateOf(one, cluster)}`;
  const roots = new Set(sets.filter((other) => 'set' in other).map(rootOf));
  if (roots.size < 2 || !('set' in one)) return cut(label, width);
  const where = `  in ${cutStart(rootOf(one), Math.max(LEAST_WHERE, width - label.length - 5))}`;
  return `${cut(label, width - where.length)}${where}`;
}

/** How much of a root is shown at least; what kind of set it is has to make room for it. */
const LEAST_WHERE = 16;

const rootOf = ({ folder }: OfferedSet) => dirname(folder);

function stateOf(one: OfferedSet, cluster: string): string {
  if (!('set' in one)) return '✗ unusable';
  const age = one.set.takenAt ? `${durationOf(Date.now() - one.set.takenAt.getTime())} old` : 'age unknown';
  return `${age.padEnd(15)} ${sizeOf(one.set.bytes).padStart(8)}  ${standingOf(one, cluster) || one.set.kind}`;
}

/** What is known to be wrong with it; empty where nothing is. */
function standingOf({ set, fault }: OfferedSet & { set: BackupSet }, cluster: string): string {
  if (fault) return '✗ damaged';
  return set.cluster !== undefined && set.cluster !== cluster ? `! of ${set.cluster}` : '';
}

function aboutSet(one: OfferedSet | undefined, sets: readonly OfferedSet[], width: number): string[] {
  if (!one) return sets.length > 0 ? wrap(ABOUT_WITHOUT, width) : [];
  if (!('set' in one)) return labelled('Problem', one.problem, width);
  const { set } = one;
  const holds = [
    set.postgres ? `Postgres ${sizeOf(set.postgres.bytes)}` : 'NO Postgres dump',
    set.qdrant.length + set.unnamed.length > 0
      ? plural(set.qdrant.length + set.unnamed.length, 'Qdrant snapshot')
      : 'NO Qdrant snapshot',
    set.falkordb ? `FalkorDB ${set.falkordb.form}` : 'NO FalkorDB data',
  ];
  return [
    ...(one.fault ? labelled('Damaged', one.fault, width) : []),
    ...labelled(
      'Taken',
      set.takenAt ? `${instantOf(set.takenAt)}${set.cluster ? ` from ${set.cluster}` : ''}` : 'nobody knows when',
      width,
    ),
    ...labelled('Holds', holds.join(' · '), width),
    ...(set.unproven.length === 0 ? [] : labelled('Unproven', set.unproven.join('; '), width)),
    ...(set.skewMs === undefined ? [] : labelled('Skew', `its stores are ${durationOf(set.skewMs)} apart`, width)),
    ...copiesOf(one, sets).flatMap((other) =>
      labelled('Same set', `also in ${other.folder} (equal manifests)`, width),
    ),
    ...labelled('Folder', set.folder, width),
  ];
}
