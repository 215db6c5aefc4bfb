import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { keepSecret } from './redact.js';

/**
 * The value behind a reference (`env:NAME`, `file:PATH`, `command:COMMAND`); one trailing newline is not part of it.
 * The value is registered for redaction before it is returned. `purpose` names it in errors: `the Postgres password`.
 */
export function resolveSecret(reference: string, purpose: string): string {
  const [kind, rest] = [reference.slice(0, reference.indexOf(':')), reference.slice(reference.indexOf(':') + 1)];
  const value =
    kind === 'env'
      ? fromEnvironment(rest, purpose)
      : kind === 'file'
        ? fromFile(rest, purpose)
        : fromCommand(rest, purpose);
  if (value === '')
    throw new Problem(`${purpose} is empty (${reference}).`, { next: 'give it a value, then try again' });
  keepSecret(value);
  return value;
}

function fromEnvironment(name: string, purpose: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new Problem(`${purpose} is to come from the variable ${name}, which is not set.`, {
      next: `export ${name}=… and try again`,
    });
  }
  return value;
}

function fromFile(path: string, purpose: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw new Problem(`${purpose} is to come from the file ${path}: ${messageOf(error)}.`, {
      next: 'make that file readable, then try again',
    });
  }
}

function fromCommand(command: string, purpose: string): string {
  const ran = spawnSync('/bin/sh', ['-c', command], {
    encoding: 'utf8',
    timeout: 30_000,
    stdio: ['inherit', 'pipe', 'pipe'],
  });
  if (ran.status !== 0) {
    const why = ran.error
      ? messageOf(ran.error)
      : `it ended with ${ran.status ?? ran.signal}: ${ran.stderr.trim().split('\n').at(-1) ?? ''}`;
    throw new Problem(`${purpose} is to come from the command "${command}", but ${why}.`, {
      next: 'run that command by hand to see why',
    });
  }
  return ran.stdout.replace(/\r?\n$/, '');
}

/** The secret as a shell would fetch it, for commands that are shown: `$NAME`, `$(cat 'PATH')`, `$(COMMAND)`; to stand in double quotes. */
export function secretWord(reference: string): string {
  const [kind, rest] = [reference.slice(0, reference.indexOf(':')), reference.slice(reference.indexOf(':') + 1)];
  if (kind === 'env') return `$${rest}`;
  return kind === 'file' ? `$(cat '${rest.replaceAll("'", "'\\''")}')` : `$(${rest})`;
}
