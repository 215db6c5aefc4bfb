import type { Command } from '../command.js';

/** The command with its secrets at the beginning of its standard input, a line each: what stands among arguments everybody there can read. */
export function withoutSecrets({
  secretEnvironment = {},
  secretWords: _,
  folder,
  input,
  ...command
}: Command): Command {
  const names = Object.keys(secretEnvironment);
  for (const name of names)
    if (/[\r\n]/.test(secretEnvironment[name]!))
      throw new Error(`${name} holds a line end, and cannot be handed over to another machine`);
  if (names.length === 0 && folder === undefined) return { ...command, ...(input === undefined ? {} : { input }) };
  const script = [
    ...names.map((name) => `IFS= read -r ${name} && export ${name}`),
    ...(folder === undefined ? [] : ['cd -- "$0"']),
    'exec "$@"',
  ].join(' && ');
  const lines = names.map((name) => `${secretEnvironment[name]}\n`).join('') + (input ?? '');
  return {
    ...command,
    file: 'sh',
    args: ['-c', script, folder ?? 'sh', command.file, ...command.args],
    ...(lines === '' ? {} : { input: lines }),
  };
}

/** How a person would hand those over: `printf '%s\n' "$(cat FILE)" | `. */
export function secretsBefore({ secretEnvironment = {}, secretWords = {} }: Command): string {
  const names = Object.keys(secretEnvironment);
  if (names.length === 0) return '';
  return `printf '%s\\n' ${names.map((name) => (secretWords[name] ? `"${secretWords[name]}"` : '…')).join(' ')} | `;
}

/**
 * Reads its standard input to the end beside the command, and ends that, with all that it has started, when nobody waits for it any more:
 * neither ssh nor docker nor kubectl would. Only what every shell has; without `setsid` what it has started is not reached.
 */
const GUARD = [
  'exec 3<&0 </dev/null',
  'if command -v setsid >/dev/null 2>&1; then setsid "$@" 3<&- & else "$@" 3<&- & fi',
  'p=$!',
  '{ while read -r _ <&3; do :; done; kill -- -$p || kill $p; } >/dev/null 2>&1 &',
  'w=$!',
  'exec 3<&-',
  'wait $p',
  's=$?',
  'kill $w >/dev/null 2>&1',
  'exit $s',
].join('\n');

/** The command under guard; secrets are read before the guard begins to listen. */
export function guarded(command: Command): Command {
  const { input } = command;
  const lines = input === undefined ? 0 : input.split('\n').length - 1;
  if (lines === 0) return { ...command, file: 'sh', args: ['-c', GUARD, 'sh', command.file, ...command.args] };
  // `sh -c SCRIPT NAME …`: what the script ends with is put under guard, not the script.
  const [flag, script, name, ...words] = command.args;
  return { ...command, args: [flag!, script!, name!, 'sh', '-c', GUARD, 'sh', ...words] };
}
