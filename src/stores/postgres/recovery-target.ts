import { type Lsn, lsnText, parseLsn } from './wal-position.js';

/**
 * Up to where a recovery goes. Every target but `latest` and a restore point means the moment just before: what was committed
 * at that very instant, by that very transaction, or from that position on, is left out.
 */
export type RecoveryTarget =
  | { kind: 'latest' }
  /** Microseconds since 1970. */
  | { kind: 'time'; at: number }
  | { kind: 'lsn'; lsn: Lsn }
  | { kind: 'transaction'; transaction: number }
  | { kind: 'restore-point'; name: string };

/** The forms that a target may have, a line each, for people. */
export const TARGET_FORMS = [
  '2026-11-21 03:10:00 UTC   just before that moment (or …Z, or with an offset: +01:00)',
  'before 1234               just before the transaction 1234 was committed',
  '0/3000148                 just before that position in the log (LSN)',
  'point NAME                the restore point NAME',
  'latest                    everything that was ever committed',
];

const INSTANT =
  /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$/i;

/** Reads a target, or answers why it is none. `now` is for the words only. */
export function parseTarget(text: string, now = new Date()): { target: RecoveryTarget } | { refusal: string } {
  const words = text.trim().replace(/\s+/g, ' ');
  if (words === '') return { refusal: 'nothing was given' };
  if (/^latest$/i.test(words)) return { target: { kind: 'latest' } };
  const lsn = parseLsn(words);
  if (lsn !== undefined) return lsn > 0 ? { target: { kind: 'lsn', lsn } } : { refusal: 'the log begins after 0/0' };
  const transaction = /^before (?:transaction |xid )?(\d{1,10})$/i.exec(words)?.[1];
  if (transaction) return { target: { kind: 'transaction', transaction: Number(transaction) } };
  const name = /^point (\S.{0,62})$/i.exec(words)?.[1];
  if (name) return { target: { kind: 'restore-point', name } };
  const instant = INSTANT.exec(words);
  if (instant) return parseInstant(instant, now);
  if (/^\d+$/.test(words))
    return { refusal: `a number alone says nothing; for the transaction type: before ${words}` };
  return { refusal: 'it is no moment that is understood' };
}

function parseInstant(match: RegExpExecArray, now: Date): { target: RecoveryTarget } | { refusal: string } {
  const [whole, year, month, day, hour, minute, second = '00', fraction = '', zone] = match as unknown as string[];
  if (zone === undefined) {
    // T7: the server would take its own zone, which need not be that of the one who types.
    return {
      refusal: `a time without a zone means another moment on every machine: add UTC, or this machine's own offset (${whole} ${offsetOf(now)})`,
    };
  }
  const offset = /^[A-Z]/i.test(zone) ? 'Z' : zone.replace(/^([+-]\d\d):?(\d\d)?$/, (_, h, m) => `${h}:${m ?? '00'}`);
  const seconds = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${offset}`);
  // The parser takes the 31st of February for the 3rd of March.
  const asTyped = new Date(Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`));
  if (Number.isNaN(seconds) || asTyped.getUTCDate() !== Number(day))
    return { refusal: `there is no such moment: ${whole}` };
  return { target: { kind: 'time', at: seconds * 1000 + Number(fraction.padEnd(6, '0')) } };
}

/** The offset of this machine's zone at an instant: `+01:00`. */
export function offsetOf(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

/** Microseconds since 1970 as people and the server read them: `2026-11-21 03:10:00.250000 UTC`; whole seconds without a fraction. */
export function microsText(at: number, zone = ' UTC'): string {
  const seconds = Math.floor(at / 1_000_000);
  const fraction = at - seconds * 1_000_000;
  const text = new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
  return `${text}${fraction === 0 ? '' : `.${String(fraction).padStart(6, '0')}`}${zone}`;
}

/** `the moment just before 2026-11-21 03:10:00 UTC` */
export function targetWords(target: RecoveryTarget): string {
  switch (target.kind) {
    case 'latest':
      return 'the end of everything that was committed';
    case 'time':
      return `the moment just before ${microsText(target.at)}`;
    case 'lsn':
      return `the moment just before the log's position ${lsnText(target.lsn)}`;
    case 'transaction':
      return `the moment just before transaction ${target.transaction} ended`;
    case 'restore-point':
      return `the restore point "${target.name}"`;
  }
}

/** The server's settings for a target: exactly one of them, none for `latest`. */
export function targetSettings(target: RecoveryTarget): Record<string, string> {
  switch (target.kind) {
    case 'latest':
      return {};
    case 'time':
      return { recovery_target_time: microsText(target.at, '+00'), recovery_target_inclusive: 'false' };
    case 'lsn':
      return { recovery_target_lsn: lsnText(target.lsn), recovery_target_inclusive: 'false' };
    case 'transaction':
      return { recovery_target_xid: String(target.transaction), recovery_target_inclusive: 'false' };
    case 'restore-point':
      return { recovery_target_name: target.name };
  }
}
