import { durationOf } from '../../words.js';
import type { observing } from './observation.js';

/** HTTP tells the time to the second, and a slow answer makes it less sure. */
const TOLERANCE_MS = 3_000;

/** Compares a server's clock with this machine's. A server that does not tell the time says nothing. */
export async function observeClock(
  { ok, warn }: Pick<ReturnType<typeof observing>, 'ok' | 'warn'>,
  ask: () => Promise<Date | undefined>,
): Promise<void> {
  const before = Date.now();
  const told = await ask().catch(() => undefined);
  if (told === undefined) return;
  const after = Date.now();
  // It was told at some moment between the two.
  const ahead = told.getTime() - (before + after) / 2;
  const off = Math.abs(ahead) - (after - before) / 2;
  if (off <= TOLERANCE_MS) ok('its clock agrees with this machine’s');
  else
    warn(
      `its clock is ${durationOf(Math.abs(ahead))} ${ahead > 0 ? 'ahead of' : 'behind'} this machine’s: ages of backups and moments to go back to are off by that`,
      'set both clocks by NTP (timedatectl), and give moments to go back to by the clock of Postgres',
    );
}
