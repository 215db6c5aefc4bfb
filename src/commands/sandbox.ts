import { readFileSync } from 'node:fs';
import { EXIT } from '../problem.js';
import {
  cleanStale,
  DEFAULT_SANDBOX,
  sandboxDown,
  sandboxProfileFile,
  sandboxStatus,
  sandboxUp,
} from '../sandbox/sandbox.js';
import { placesIn } from '../sandbox/sandbox-profile.js';
import { durationOf } from '../words.js';
import { columns, print, say } from './print.js';

export async function sandboxUpCommand({
  name = DEFAULT_SANDBOX,
  memories,
}: {
  name?: string;
  memories?: number;
}): Promise<number> {
  const started = Date.now();
  const record = await sandboxUp({
    name,
    ...(memories === undefined ? {} : { memories }),
    onLine: (line) => say(line),
  });
  const { ports } = record;
  print(
    `The sandbox ${name} is up after ${durationOf(Date.now() - started)}.`,
    `  Postgres 127.0.0.1:${ports.postgres} · Qdrant 127.0.0.1:${ports.qdrant} · FalkorDB 127.0.0.1:${ports.falkordb} · novamem stand-in http://127.0.0.1:${ports.novamem}`,
    `  folder   ${record.folder}`,
    `  profile  ${placesIn(record.folder).profile}`,
    `Next: novamem-runbook backup --profile ${name}, novamem-runbook --profile ${name}; at the end: novamem-runbook sandbox down${name === DEFAULT_SANDBOX ? '' : ` --name ${name}`}`,
  );
  return EXIT.recovered;
}

export async function sandboxDownCommand({ name = DEFAULT_SANDBOX }: { name?: string }): Promise<number> {
  const was = await sandboxDown(name);
  print(
    was
      ? `The sandbox ${name} is down: every process ended, its folder removed.`
      : `There is no sandbox ${name}; nothing to do.`,
  );
  return EXIT.recovered;
}

export async function sandboxStatusCommand({ json }: { json?: boolean }): Promise<number> {
  await cleanStale((line) => say(line));
  const all = await sandboxStatus();
  if (json)
    print(
      JSON.stringify(
        all.map(({ name, folder, state, createdAt, ports, running }) => ({
          name,
          folder,
          state,
          createdAt,
          ports,
          running,
        })),
      ),
    );
  else if (all.length === 0) print('No sandbox is up. Next: novamem-runbook sandbox up');
  else
    print(
      ...columns([
        ['NAME', 'STATE', 'RUNNING', 'AGE', 'FOLDER'],
        ...all.map((one) => [
          one.name,
          one.state,
          one.running.join(' ') || 'nothing',
          durationOf(Date.now() - Date.parse(one.createdAt)),
          one.folder,
        ]),
      ]),
    );
  return EXIT.recovered;
}

/** Prints the sandbox's profile: what one for a cluster of your own looks like. */
export async function sandboxProfileCommand({ name = DEFAULT_SANDBOX }: { name?: string }): Promise<number> {
  process.stdout.write(readFileSync(sandboxProfileFile(name), 'utf8'));
  return EXIT.recovered;
}
