import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Problem } from '../../problem.js';
import { SERVICES, type ServiceName } from '../profile.js';
import { faultLine, readYamlFile } from '../yaml-file.js';
import { readEnvFile } from './env-file.js';
import { interpolate, type Lookup } from './interpolate.js';

/** One service of a Compose file, as far as a profile needs it. */
export interface ComposeService {
  /** What Compose calls it. */
  name: string;
  /** Names under which the other services reach it. */
  names: string[];
  environment: Map<string, string>;
  /** Ports of the container → where this machine publishes them. */
  published: Map<number, { host: string; port: number }>;
  volumes: { target: string /** A folder of this machine; undefined for a named volume. */; folder?: string }[];
}

/** The parts of a novamem cluster that a Compose file describes. */
export interface ComposeCluster {
  file: string;
  /** What to give to `docker compose`: the folder where its name is a usual one, else the file. */
  project: string;
  name: string;
  services: Partial<Record<ServiceName, ComposeService>>;
  /** The files that its values stand in: itself, `.env`, and each `env_file`. */
  files: string[];
  unknown: string[];
}

/** The names under which Docker Compose finds its file. */
export const COMPOSE_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];

/** The Compose file beside another file. */
export const composeBeside = (file: string): string | undefined =>
  COMPOSE_NAMES.map((name) => join(dirname(resolve(file)), name)).find(existsSync);

const IMAGES: Record<ServiceName, RegExp> = {
  postgres: /(^|\/)(postgres(ql)?|pgvector|postgis|timescaledb(-ha)?)(:|@|$)/,
  qdrant: /qdrant/,
  falkordb: /falkordb/,
  novamem: /novamem/,
};

type Plain = Record<string, unknown>;

/** Reads a Compose file with its `.env` and `env_file`s. Variables of this shell count more than those of `.env`, as they do there. */
export function readComposeFile(given: string, shell: NodeJS.ProcessEnv = process.env): ComposeCluster {
  const file = resolve(given);
  const folder = dirname(file);
  const yaml = readYamlFile(file);
  const services = (yaml.value as { services?: Record<string, Plain> } | undefined)?.services;
  if (yaml.faults.length > 0 || typeof services !== 'object' || services === null)
    throw new Problem(
      `${given} is no Compose file that can be read: ${yaml.faults[0] ? faultLine(yaml.faults[0]) : 'it has no services'}.`,
      { next: 'name the .env or the Compose file of novamem' },
    );
  const files = [file];
  const unknown: string[] = [];
  const outer = fileVariables(join(folder, '.env'));
  if (outer.size > 0) files.push(join(folder, '.env'));
  const lookup: Lookup = (name) => shell[name] ?? outer.get(name);
  const unset = new Set<string>();
  const text = (value: unknown) => interpolate(String(value ?? ''), lookup, (name) => unset.add(name));

  const found = Object.entries(services).map(([name, service]) => {
    const environment = new Map<string, string>();
    for (const path of envFilesOf(service).map(text)) {
      const at = resolve(folder, path);
      if (!existsSync(at)) {
        unknown.push(`the service ${name} reads its variables from ${at}, which is not there`);
        continue;
      }
      files.push(at);
      for (const [key, value] of readEnvFile(at, lookup)) environment.set(key, value);
    }
    for (const [key, value] of pairsOf(service.environment))
      environment.set(key, value === undefined ? (lookup(key) ?? '') : text(value));
    return { service, image: text(service.image), one: serviceOf(name, service, environment, folder, text) };
  });
  const parts = Object.fromEntries(
    SERVICES.flatMap((part) => {
      const is = found.find(({ image }) => IMAGES[part].test(image)) ?? found.find(({ one }) => one.name === part);
      return is ? [[part, is.one]] : [];
    }),
  );
  for (const name of unset) unknown.push(`the Compose file uses the variable ${name}, which is set nowhere`);
  for (const name of ['compose.override.yaml', 'compose.override.yml', 'docker-compose.override.yml'])
    if (existsSync(join(folder, name)))
      unknown.push(`${join(folder, name)} may change what ${basename(file)} says; it was not read`);
  const given_ = (yaml.value as { name?: unknown }).name;
  return {
    file,
    project: COMPOSE_NAMES.includes(basename(file)) ? folder : file,
    name: given_ === undefined ? basename(folder) : text(given_),
    services: parts,
    files: [...new Set(files)],
    unknown,
  };
}

const fileVariables = (file: string) => (existsSync(file) ? readEnvFile(file) : new Map<string, string>());

function serviceOf(
  name: string,
  service: Plain,
  environment: Map<string, string>,
  folder: string,
  text: (value: unknown) => string,
): ComposeService {
  const aliases = Object.values((service.networks ?? {}) as Record<string, { aliases?: unknown[] } | null>).flatMap(
    (network) => (network?.aliases ?? []).map(text),
  );
  return {
    name,
    names: [
      name,
      ...[service.container_name, service.hostname].filter((one) => one !== undefined).map(text),
      ...aliases,
    ],
    environment,
    published: new Map(listOf(service.ports).flatMap((port) => portsOf(port, text))),
    volumes: listOf(service.volumes).flatMap((volume) => volumeOf(volume, folder, text)),
  };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** `env_file` is a path, a list of paths, or a list of `{ path }`. */
const envFilesOf = ({ env_file: files }: Plain): unknown[] =>
  (files === undefined ? [] : [files].flat()).map((one) =>
    typeof one === 'object' && one !== null ? (one as { path?: unknown }).path : one,
  );

/** `environment` is a map or a list of `NAME=value`; a name alone is passed on from the shell. */
function pairsOf(environment: unknown): [string, unknown][] {
  if (Array.isArray(environment))
    return environment.map(String).map((line) => {
      const at = line.indexOf('=');
      return at === -1 ? [line, undefined] : [line.slice(0, at), line.slice(at + 1)];
    });
  return Object.entries((environment ?? {}) as Plain).map(([name, value]) => [name, value ?? undefined]);
}

type Published = [number, { host: string; port: number }];

/** `6333:6333`, `127.0.0.1:15432:5432`, `6333-6334:6333-6334`, `{ target, published, host_ip }`. */
function portsOf(port: unknown, text: (value: unknown) => string): Published[] {
  if (typeof port === 'object' && port !== null) {
    const { target, published, host_ip: host } = port as Plain;
    return published === undefined ? [] : [[Number(target), placeOf(text(host), Number(text(published)))]];
  }
  const match = /^(?:(?<host>.*):)?(?<from>\d+)(?:-(?<upTo>\d+))?:(?<target>\d+)(?:-\d+)?(?:\/tcp)?$/.exec(
    text(port),
  );
  if (!match?.groups) return [];
  const { host = '', from, upTo = from, target } = match.groups;
  return Array.from({ length: Number(upTo) - Number(from) + 1 }, (_, step) => [
    Number(target) + step,
    placeOf(host, Number(from) + step),
  ]);
}

const placeOf = (host: string, port: number) => ({
  host: ['', '0.0.0.0', '::', '[::]'].includes(host) ? '127.0.0.1' : host,
  port,
});

/** `name:/data`, `./folder:/data:ro`, `{ type, source, target }`. */
function volumeOf(volume: unknown, folder: string, text: (value: unknown) => string): ComposeService['volumes'] {
  if (typeof volume === 'object' && volume !== null) {
    const { type, source, target } = volume as Plain;
    return [{ target: text(target), ...(type === 'bind' ? { folder: resolve(folder, text(source)) } : {}) }];
  }
  const [source, target] = text(volume).split(':');
  if (target === undefined) return [{ target: source! }];
  const isFolder = /^[./~]/.test(source!);
  return [
    { target, ...(isFolder ? { folder: resolve(folder, source!.replace(/^~/, process.env.HOME ?? '~')) } : {}) },
  ];
}
