import { z } from 'zod';
import type { Command } from '../../hosts/command.js';
import { type Ended, type Listening, runCommand } from '../../hosts/run-command.js';
import type { StepContext } from '../step.js';

/** How long the server may let nobody in before a program that works on it is ended. */
export const patienceSeconds = z.number().int().positive().max(86_400).default(120);

interface Attending extends Listening {
  signal: AbortSignal;
  patienceSeconds: number;
}

/**
 * Runs one of the vendor's own programs, which by themselves wait for ever on a server that hangs. Rejects when it fell silent, and
 * when it was aborted; an exit code is the caller's to judge.
 */
export function runTool(
  { cluster: { postgres }, gateway }: Pick<StepContext, 'cluster' | 'gateway'>,
  command: Command,
  { signal, patienceSeconds, ...listening }: Attending,
): Promise<Ended> {
  return postgres.watched(patienceSeconds * 1000, async (silence) => {
    const ended = await runCommand(gateway, command, { signal: AbortSignal.any([signal, silence]), ...listening });
    signal.throwIfAborted();
    silence.throwIfAborted();
    return ended;
  });
}
