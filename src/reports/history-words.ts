import { type HistoryEntry, outcomeWord } from '../engine/history.js';
import type { Mode } from '../engine/journal.js';
import { durationOf, instantOf } from '../words.js';

/** `drilled 12 d 3 h ago in 5 min 48 s` */
export function agoText({ startedAt, mode, outcome, tookMs }: HistoryEntry): string {
  const done = outcome === 'recovered' || outcome === 'recovered-with-exceptions';
  const what = done ? (DONE[mode ?? 'live'] ?? 'done') : outcome === 'unfinished' ? 'broken off' : outcome;
  const ago = startedAt ? ` ${durationOf(Date.now() - startedAt.getTime())} ago` : '';
  return `${what}${ago}${done && tookMs !== null ? ` in ${durationOf(tookMs)}` : ''}`;
}

const DONE: Partial<Record<Mode, string>> = { drill: 'drilled', train: 'practised' };

/** `2026-11-02 02:00 UTC, drill: recovered, RTO 5 min 48 s, RPO 25 h 12 min` */
export function lastText(entry: HistoryEntry): string {
  const { startedAt, mode, fromBackup, tookMs, rpoMs } = entry;
  const at = startedAt ? `${instantOf(startedAt).slice(0, 16)} UTC` : 'at an unknown time';
  return [
    `${at}, ${mode ?? 'unknown'}: ${outcomeWord(entry).replaceAll('-', ' ')}`,
    ...(tookMs === null ? [] : [`${fromBackup ? 'RTO' : 'time'} ${durationOf(tookMs)}`]),
    ...(rpoMs === null ? [] : [`RPO ${durationOf(rpoMs)}`]),
  ].join(', ');
}
