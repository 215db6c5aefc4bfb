import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Problem } from '../../problem.js';
import { faultLine, readYamlFile } from '../yaml-file.js';
import { readEnvFile } from './env-file.js';

export type Plain = Record<string, unknown>;

/** Several Compose files, each over those before it, as one. */
export interface MergedCompose {
  value: Plain & { services: Record<string, Plain> };
  /** What in them is not understood here, a sentence each. */
  unknown: string[];
}

/** The names under which Docker Compose finds its file, and those of what it reads over that. */
const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];
const OVERRIDES = NAMES.flatMap((name) => name.replace('.y', '.override.y'));

/** The files that Docker Compose reads in a folder, when it is told none: those that `.env` names, else those of a usual name. */
export function composeFilesIn(folder: string): string[] {
  const settings = existsSync(join(folder, '.env')) ? readEnvFile(join(folder, '.env')) : new Map<string, string>();
  const named = settings.get('COMPOSE_FILE');
  if (named)
    return named
      .split(settings.get('COMPOSE_PATH_SEPARATOR') || ':')
      .filter(Boolean)
      .map((one) => resolve(folder, one));
  const first = (names: string[]) => names.map((name) => join(folder, name)).find(existsSync);
  const file = first(NAMES);
  const override = first(OVERRIDES);
  return file === undefined ? [] : [file, ...(override === undefined ? [] : [override])];
}

/** All that Docker Compose reads where one file is named: that alone, unless it is what it finds by itself. */
export function withOverrides(given: readonly string[]): string[] {
  const files = given.map((one) => resolve(one));
  if (files.length > 1) return files;
  const found = composeFilesIn(dirname(files[0]!));
  return found[0] === files[0] ? found : files;
}

/** Reads the files and lays each over those before it, as Docker Compose does. */
export function mergeCompose(files: readonly string[]): MergedCompose {
  const unknown: string[] = [];
  let merged: Plain = {};
  for (const file of files) {
    const yaml = readYamlFile(file);
    const value = inherited(yaml.value) as Plain | undefined;
    const isOverride = files.length > 1;
    const services = value?.services;
    if (yaml.faults.length > 0 || typeof value !== 'object' || value === null || !(isMap(services) || isOverride))
      throw new Problem(
        `${file} is no Compose file that can be read: ${yaml.faults[0] ? faultLine(yaml.faults[0]) : 'it has no services'}.`,
        { next: 'name the .env or the Compose file of novamem' },
      );
    if (value.include !== undefined)
      unknown.push(`${file} includes other files (include), which were not read: name them as well, after it`);
    for (const [name, service] of Object.entries((services ?? {}) as Record<string, Plain>))
      if (service?.extends !== undefined)
        unknown.push(
          `the service ${name} in ${basename(file)} extends another one (extends), which was not followed`,
        );
    if (/![a-z]*(reset|override)\b/.test(yaml.text))
      unknown.push(
        `${file} takes settings back (!reset, !override), which is not understood: they were added instead`,
      );
    merged = over(merged, value);
  }
  if (!isMap(merged.services))
    throw new Problem(`${files.join(', ')} are no Compose files that can be read: they have no services.`, {
      next: 'name the .env or the Compose file of novamem',
    });
  return { value: merged as MergedCompose['value'], unknown };
}

const isMap = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** With the maps that it takes over by `<<`. */
function inherited(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inherited);
  if (!isMap(value)) return value;
  const { '<<': taken, ...own } = value;
  const bases = (taken === undefined ? [] : [taken].flat()).map(inherited).filter(isMap).reverse();
  const inner = Object.fromEntries(Object.entries(own).map(([key, one]) => [key, inherited(one)]));
  return Object.assign({}, ...bases, inner);
}

/** Maps are laid over each other, lists are added up, anything else is replaced. */
function over(base: Plain, top: Plain): Plain {
  const merged: Plain = { ...base };
  for (const [key, value] of Object.entries(top)) {
    const before = base[key];
    if (key === 'environment') merged[key] = { ...asMap(before), ...asMap(value) };
    else if (key === 'networks') merged[key] = over(asMap(before), asMap(value));
    else if (REPLACED.has(key) || before === undefined || before === null) merged[key] = value;
    else if (Array.isArray(before) || Array.isArray(value)) merged[key] = [before, value].flat();
    else merged[key] = isMap(before) && isMap(value) ? over(before, value) : value;
  }
  return merged;
}

const REPLACED = new Set(['command', 'entrypoint']);

/** `environment` and `networks` are maps, or lists of `NAME=value` and of names; a name alone has no value. */
export function asMap(value: unknown): Plain {
  if (isMap(value)) return value;
  if (!Array.isArray(value)) return {};
  return Object.fromEntries(
    value.map(String).map((line) => {
      const at = line.indexOf('=');
      return at === -1 ? [line, null] : [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}
