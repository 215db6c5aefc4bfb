import { existsSync } from 'node:fs';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { SERVICES, type ServiceName } from '../profile.js';
import { asMap, composeFilesIn, mergeCompose, type Plain, withOverrides } from './compose-merge.js';
import { readEnvFile } from './env-file.js';
import { interpolate, type Lookup } from './interpolate.js';
import { readSettingFiles, type SettingElsewhere } from './secret-files.js';

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
  /** Settings that stand in files of their own. */
  elsewhere: SettingElsewhere[];
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

const IMAGES: Record<ServiceName, RegExp> = {
  postgres: /(^|\/)(postgres(ql)?|pgvector|postgis|timescaledb(-ha)?)(:|@|$)/,
  qdrant: /qdrant/,
  falkordb: /falkordb/,
  novamem: /novamem/,
};

/**
 * Reads Compose files, each over those before it, with their `.env` and `env_file`s. Variables of this shell count more than those of
 * `.env`, as they do there. One file of a usual name is read with its override, as Docker Compose does.
 */
export function readComposeFiles(given: readonly string[], shell: NodeJS.ProcessEnv = process.env): ComposeCluster {
  const composed = withOverrides(given);
  const [file] = composed as [string];
  const folder = dirname(file);
  const { value, unknown } = mergeCompose(composed);
  const files = [...composed];
  const outer = fileVariables(join(folder, '.env'));
  if (outer.size > 0) files.push(join(folder, '.env'));
  const lookup: Lookup = (name) => shell[name] ?? outer.get(name);
  const unset = new Set<string>();
  const text = (value: unknown) => interpolate(String(value ?? ''), lookup, (name) => unset.add(name));

  const found = Object.entries(value.services).map(([name, service]) => {
    const environment = new Map<string, string>();
    for (const { path, required } of envFilesOf(service)) {
      const at = resolve(folder, text(path));
      if (existsSync(at)) {
        files.push(at);
        for (const [key, value] of readEnvFile(at, lookup)) environment.set(key, value);
      } else if (required !== false)
        unknown.push(`the service ${name} reads its variables from ${at}, which is not there`);
    }
    for (const [key, given] of Object.entries(asMap(service.environment)))
      environment.set(key, given === null ? (lookup(key) ?? '') : text(given));
    const one = serviceOf(name, service, environment, folder, text);
    return { service, image: text(service.image), one };
  });
  const parts = Object.fromEntries(
    SERVICES.flatMap((part) => {
      const is = found.find(({ image }) => IMAGES[part].test(image)) ?? found.find(({ one }) => one.name === part);
      return is ? [[part, is.one]] : [];
    }),
  );
  for (const name of unset) unknown.push(`the Compose file uses the variable ${name}, which is set nowhere`);
  const secretAt = secretsOf(value, folder, text);
  for (const { service, one } of found.filter(({ one }) => Object.values(parts).includes(one))) {
    const read = readSettingFiles(
      one.environment,
      (path) => secretAt(service, path) ?? mountedAt(one, path),
      `the service ${one.name}`,
    );
    one.elsewhere.push(...read.elsewhere);
    unknown.push(...read.unknown);
  }
  const isFound = composeFilesIn(folder).join() === composed.join();
  if (!isFound && composed.length > 1)
    unknown.push(
      `how several Compose files are given to docker compose: the services are driven by ${basename(file)} alone; write COMPOSE_FILE=${composed.map((one) => basename(one)).join(':')} into ${join(folder, '.env')}, and project: ${folder} into the profile`,
    );
  return {
    file,
    project: isFound ? folder : file,
    name: value.name === undefined ? basename(folder) : text(value.name),
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
    // What a later file mounts at the same place counts.
    volumes: [
      ...new Map(
        listOf(service.volumes)
          .flatMap((volume) => volumeOf(volume, folder, text))
          .map((volume) => [volume.target, volume]),
      ).values(),
    ],
    elsewhere: [],
  };
}

/** The folder of this machine in which a path of the container lies; undefined for a named volume. */
export function folderOf({ volumes }: Pick<ComposeService, 'volumes'>, path: string): string | undefined {
  const [deepest] = volumes
    .filter(({ target }) => path === target || path.startsWith(`${target.replace(/\/$/, '')}/`))
    .sort((a, b) => b.target.length - a.target.length);
  return deepest?.folder === undefined ? undefined : resolve(deepest.folder, posix.relative(deepest.target, path));
}

function mountedAt(one: ComposeService, path: string): string | undefined {
  const file = folderOf(one, path);
  return file === undefined ? undefined : `file:${file}`;
}

/** What of this machine a service has as a secret of Compose: `secrets: [name]`, `[{ source, target }]`; `/run/secrets/NAME` there. */
function secretsOf(value: Plain, folder: string, text: (value: unknown) => string) {
  const defined = (value.secrets ?? {}) as Record<string, Plain | null>;
  return (service: Plain, path: string): string | undefined => {
    for (const given of listOf(service.secrets)) {
      const { source, target = source } = (typeof given === 'string' ? { source: given } : given) as Plain;
      const { file, environment } = defined[text(source)] ?? {};
      if (posix.resolve('/run/secrets', text(target)) !== path) continue;
      if (environment !== undefined) return `env:${text(environment)}`;
      if (file !== undefined) return `file:${resolve(folder, text(file))}`;
    }
    return undefined;
  };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** `env_file` is a path, a list of paths, or a list of `{ path }`, which may say that it need not be there. */
const envFilesOf = ({ env_file: files }: Plain): { path: unknown; required?: unknown }[] =>
  (files === undefined ? [] : [files].flat()).map((one) =>
    typeof one === 'object' && one !== null ? (one as { path: unknown; required?: unknown }) : { path: one },
  );

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
