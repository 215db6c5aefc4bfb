import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { tempFolder } from './temp.js';

// Stand-ins for `docker` and `kubectl`, put first on the PATH: they record how they were called, and run the inner command here. What
// they say where no container runs is what Compose 2 and kubectl 1.31 say.

/** A program that was stood in for. */
export interface StandIn {
  /** How it was called, each a list of words. */
  calls(): string[][];
  /** Whether the service's own container, or pod, runs: a line of shell that tells. It does not, before this is said. */
  runsWhile(line: string): void;
  /** From now on a pod that is made never gets ready: what kubectl prints of it. */
  neverReady(pod: object): void;
  /** What it was given on its standard input to make, where it has made that and not removed it. */
  made(): string | undefined;
}

const RECORD = 'for word; do printf "%s\\0" "$word"; done >> "$STATE/calls"; printf "\\n\\0" >> "$STATE/calls"';

const COMPOSE = `verb=$1
shift
case $verb in
exec)
  [ "$1" = -T ] || exit 1
  if ! . "$STATE/running"; then echo "service \\"$2\\" is not running" >&2; exit 1; fi
  shift 2
  exec "$@" ;;
run)
  [ "$1 $2 $3 $4 $5" = '--rm --no-deps -T --entrypoint env' ] || exit 1
  echo ' Container novamem-falkordb-run-1  Created' >&2
  shift 6
  exec env "$@" ;;
*) exit 1 ;;
esac
`;

const DOCKER = `
${RECORD}
[ "$1" = compose ] || exit 1
shift
if [ -e "$STATE/without-compose" ]; then
  case $1 in --*) echo "unknown flag: $1" >&2 ;; *) echo "docker: unknown command: docker $1" >&2 ;; esac
  exit 125
fi
case $1 in --project-directory|--file) shift 2 ;; esac
${COMPOSE}`;

const DOCKER_COMPOSE = `
${RECORD}
[ -e docker-compose.yml ] || { echo "Can't find a suitable configuration file in this directory or any parent." >&2; exit 1; }
${COMPOSE}`;

const KUBECTL = `
${RECORD}
while :; do case $1 in --context|-n) shift 2 ;; *) break ;; esac; done
verb=$1
shift
case $verb in
exec)
  pod=
  while [ "$1" != -- ]; do case $1 in pod/*) pod=\${1#pod/} ;; esac; shift; done
  shift
  if [ "\${pod%-0}" != "$pod" ]; then
    if ! . "$STATE/running"; then echo "Error from server (NotFound): pods \\"$pod\\" not found" >&2; exit 1; fi
  elif [ -n "$pod" ]; then
    if [ ! -e "$STATE/made" ]; then echo "Error from server (NotFound): pods \\"$pod\\" not found" >&2; exit 1; fi
  elif ! . "$STATE/running"; then
    echo 'error: timed out waiting for the condition' >&2
    exit 1
  fi
  exec "$@" ;;
get)
  case $1 in
  pod) [ ! -e "$STATE/made" ] || echo pod/$2 ;;
  pods) cat "$STATE/pod.json" ;;
  *) cat "$STATE/workload.json" ;;
  esac ;;
apply) cat > "$STATE/made"; echo 'pod/novamem-runbook-files-of-falkordb created' ;;
wait)
  if [ -e "$STATE/pod.json" ]; then echo "error: timed out waiting for the condition on pods/$2" >&2; exit 1; fi
  [ -e "$STATE/made" ] ;;
delete) rm -f "$STATE/made" ;;
*) exit 1 ;;
esac
`;

const before = process.env.PATH;
afterAll(() => {
  process.env.PATH = before;
});

function standIn(program: string, script: string): StandIn & { state: string } {
  const state = tempFolder(`stand-in-${program}`);
  const file = join(state, program);
  writeFileSync(file, `#!/bin/sh\nSTATE='${state}'\n${script}`);
  chmodSync(file, 0o755);
  process.env.PATH = `${state}:${process.env.PATH}`;
  const running = join(state, 'running');
  writeFileSync(running, 'false\n');
  const read = (name: string) =>
    existsSync(join(state, name)) ? readFileSync(join(state, name), 'utf8') : undefined;
  return {
    state,
    calls: () =>
      (read('calls') ?? '')
        .split('\n\0')
        .filter(Boolean)
        .map((call) => call.split('\0').slice(0, -1)),
    runsWhile: (line) => writeFileSync(running, `${line}\n`),
    neverReady: (pod) => writeFileSync(join(state, 'pod.json'), JSON.stringify(pod)),
    made: () => read('made'),
  };
}

export const dockerStandIn = (): StandIn & { state: string } => standIn('docker', DOCKER);

export function dockerWithoutCompose(): StandIn & { state: string } {
  const docker = dockerStandIn();
  writeFileSync(join(docker.state, 'without-compose'), '');
  return docker;
}

/** Of a machine whose docker has no `compose`, and which has Compose 1: it looks for its file where it is called. */
export function dockerComposeStandIn(): StandIn & { state: string } {
  dockerWithoutCompose();
  return standIn('docker-compose', DOCKER_COMPOSE);
}

/** `workload`: what it answers when it is asked for that. */
export function kubectlStandIn(workload: object): StandIn & { state: string } {
  const made = standIn('kubectl', KUBECTL);
  writeFileSync(join(made.state, 'workload.json'), JSON.stringify(workload));
  return made;
}
