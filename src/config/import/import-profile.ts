import { basename, dirname, resolve } from 'node:path';
import { Problem } from '../../problem.js';
import { SERVICE_TITLES, SERVICES, type ServiceName, STORES, type StoreName } from '../profile.js';
import { type ComposeCluster, type ComposeService, folderOf, readComposeFiles } from './compose-file.js';
import { composeFilesIn } from './compose-merge.js';
import { readEnvFile } from './env-file.js';
import { readSettingFiles, type SettingElsewhere } from './secret-files.js';
import { referenceTo, type Variable } from './secret-reference.js';

type Plain = Record<string, unknown>;

/** A profile made from novamem's own settings. */
export interface ImportedProfile {
  /** As it stands in a file: nothing but what is known, secrets as references. */
  profile: Plain & { name: string } & Record<StoreName, { url: string } & Plain>;
  /** The files that were read. */
  files: string[];
  /** What could not be known, a sentence each. */
  unknown: string[];
}

const WANTED: Record<StoreName, string> = {
  postgres: 'NOVAMEM_WARM_URL',
  qdrant: 'NOVAMEM_COLD_URL',
  falkordb: 'NOVAMEM_GRAPH_URL',
};
const PORTS: Record<ServiceName, number> = { postgres: 5432, qdrant: 6333, falkordb: 6379, novamem: 7778 };
/** The first is the ordinary one. */
const SCHEMES: Record<StoreName, string[]> = {
  postgres: ['postgres:', 'postgresql:'],
  qdrant: ['http:', 'https:'],
  falkordb: ['redis:', 'rediss:'],
};
/** What their secrets are called where they stand by themselves. */
const SECRET_NAMES: Record<StoreName, readonly string[]> = {
  postgres: ['POSTGRES_PASSWORD'],
  qdrant: ['NOVAMEM_COLD_API_KEY', 'QDRANT__SERVICE__API_KEY'],
  falkordb: [],
};
/** Where the images keep their data, unless their variables say otherwise. */
const DATA: Record<StoreName, string> = {
  postgres: '/var/lib/postgresql/data',
  qdrant: '/qdrant/storage',
  falkordb: '/data',
};

/**
 * Makes a profile from a `.env` or a Compose file of novamem, and from the other one where it lies beside. Several Compose files are laid
 * over each other in the order given, as `docker compose -f … -f …` does.
 */
export function importProfile(given: readonly string[], name?: string): ImportedProfile {
  const isYaml = (file: string) => /\.ya?ml$/.test(file);
  const envFiles = given.filter((file) => !isYaml(file));
  if (envFiles.length > 1)
    throw new Problem(`${envFiles.join(' and ')} are not both novamem's settings.`, {
      next: 'name one .env, or the Compose files in the order in which docker compose gets them',
    });
  const [envFile] = envFiles;
  const named = given.filter(isYaml);
  const composeFiles = named.length > 0 || !envFile ? named : composeFilesIn(dirname(resolve(envFile)));
  const own = envFile
    ? readEnvFile(resolve(envFile), (variable) => process.env[variable])
    : new Map<string, string>();
  const compose = composeFiles.length === 0 ? undefined : readComposeFiles(composeFiles);
  return new Import(compose, own, envFile ? [resolve(envFile)] : [], given[0]!, name).profile();
}

class Import {
  readonly #unknown: string[];
  readonly #files: string[];
  readonly #variables: Variable[];
  readonly #settings: Map<string, string>;
  readonly #elsewhere: SettingElsewhere[];

  constructor(
    readonly compose: ComposeCluster | undefined,
    own: Map<string, string>,
    files: string[],
    readonly given: string,
    readonly name: string | undefined,
  ) {
    this.#unknown = [...(compose?.unknown ?? [])];
    this.#files = [...new Set([...files, ...(compose?.files ?? [])])];
    // A copy: what stands in files of their own is added.
    own = new Map(own);
    // What Compose gives to novamem is what it gets; a variable of the file that was named may be used by Compose alone.
    const inFiles = readSettingFiles(own, (path) => `file:${resolve(dirname(given), path)}`, given);
    this.#settings = new Map([...own, ...(compose?.services.novamem?.environment ?? [])]);
    this.#unknown.push(...inFiles.unknown);
    const ofParts = SERVICES.flatMap((part) => compose?.services[part]?.elsewhere ?? []);
    this.#elsewhere = [...inFiles.elsewhere, ...ofParts];
    const ofServices = SERVICES.flatMap((part) => [...(compose?.services[part]?.environment ?? [])]);
    const dotEnv = (compose?.files ?? [])
      .filter((file) => basename(file) === '.env')
      .map((file) => readEnvFile(file));
    this.#variables = [...own, ...dotEnv.flatMap((one) => [...one]), ...ofServices].map(([variable, value]) => ({
      name: variable,
      value,
    }));
  }

  profile(): ImportedProfile {
    const stores = Object.fromEntries(STORES.map((store) => [store, this.#store(store)])) as Record<
      StoreName,
      { url: string } & Plain
    >;
    const novamem = this.#novamem();
    const { compose } = this;
    const name = nameOf(this.name ?? compose?.name ?? basename(dirname(resolve(this.given))));
    const services = compose
      ? Object.fromEntries(
          Object.entries(compose.services).map(([part, one]) => [
            part,
            { driver: 'compose', project: compose.project, service: one.name },
          ]),
        )
      : {};
    const undriven = SERVICES.filter((service) => !(service in services));
    if (undriven.length > 0)
      this.#unknown.push(`how ${undriven.join(', ')} is stopped and started: add services to the profile`);
    const hosts = Object.fromEntries(
      (['postgres', 'falkordb'] as const).flatMap((store) => {
        const one = compose?.services[store];
        return compose &&
          one &&
          stores[store].dataDir !== undefined &&
          folderOf(one, dataIn(store, one)) === undefined
          ? [[store, { compose: compose.project, service: one.name }]]
          : [];
      }),
    );
    this.#unknown.push(
      'whether this is production: it is taken for it',
      'where its backups lie: add backups: [ /a/folder ] to the profile',
      'where Postgres archives its log: add postgres.walArchive, if it does; only going back to a moment needs it',
    );
    return {
      profile: {
        name,
        production: true,
        ...stores,
        ...(novamem ? { novamem } : {}),
        ...(Object.keys(services).length > 0 ? { services } : {}),
        ...(Object.keys(hosts).length > 0 ? { hosts } : {}),
      },
      files: this.#files,
      unknown: this.#unknown,
    };
  }

  #store(store: StoreName): { url: string } & Plain {
    const one = this.compose?.services[store];
    const said = this.#settings.get(WANTED[store]) || this.#derived(store, one);
    if (said === undefined)
      throw new Problem(
        `Where ${SERVICE_TITLES[store]} is cannot be told from ${this.#files.join(', ')}: there is no ${WANTED[store]}, and no such service.`,
        {
          next: 'name the .env or the Compose file of novamem, or answer questions instead: novamem-runbook profile add',
        },
      );
    const url = URL.canParse(said) ? new URL(said) : undefined;
    if (!url || !SCHEMES[store].includes(url.protocol))
      throw new Problem(`${WANTED[store]} is no URL that begins with ${SCHEMES[store].join('// or ')}//.`, {
        next: `mend it in ${this.given}, then try again`,
      });
    const secret = store === 'qdrant' ? this.#keyOfQdrant(one) : decoded(url.password) || this.#password(store, one);
    url.password = '';
    const unread = secret ? undefined : this.#unread(SECRET_NAMES[store]);
    const field = store === 'qdrant' ? 'apiKeyFrom' : 'passwordFrom';
    const purpose = `${SERVICE_TITLES[store]} ${store === 'qdrant' ? 'API key' : 'password'}`;
    this.#moveHere(url, store);
    const dataDir = one && this.#dataDir(store, one);
    const text = store === 'falkordb' && url.username === 'default' ? withoutUser(url) : url.toString();
    return {
      url: store === 'postgres' ? text : text.replace(/\/$/, ''),
      ...(secret ? { [field]: this.#refer(secret, purpose) } : unread ? { [field]: unread } : {}),
      ...(dataDir === undefined ? {} : { dataDir }),
    };
  }

  /** A URL may leave the password to a variable of its own. */
  #password(store: StoreName, one: ComposeService | undefined): string | undefined {
    if (store === 'falkordb') return /--requirepass[= ]+(\S+)/.exec(one?.environment.get('REDIS_ARGS') ?? '')?.[1];
    if (store === 'qdrant') return undefined;
    return this.#settings.get('POSTGRES_PASSWORD') || one?.environment.get('POSTGRES_PASSWORD');
  }

  /** Where a secret is that could not be read now. */
  #unread(names: readonly string[]): string | undefined {
    return this.#elsewhere.find(({ name, value }) => value === undefined && names.includes(name))?.reference;
  }

  #refer(secret: string, purpose: string): string {
    const alone = this.#elsewhere.find(({ value }) => value === secret);
    if (alone) return alone.reference;
    const { reference, todo } = referenceTo(secret, this.#files, this.#variables, purpose);
    if (todo !== undefined) this.#unknown.push(todo);
    return reference;
  }

  #keyOfQdrant(one: ComposeService | undefined): string | undefined {
    return this.#settings.get('NOVAMEM_COLD_API_KEY') || one?.environment.get('QDRANT__SERVICE__API_KEY');
  }

  /** Where novamem does not say it, its stores do. */
  #derived(store: StoreName, one: ComposeService | undefined): string | undefined {
    const password = this.#settings.get('POSTGRES_PASSWORD') ?? one?.environment.get('POSTGRES_PASSWORD');
    if (one === undefined && (store !== 'postgres' || password === undefined)) return undefined;
    const url = new URL(`${SCHEMES[store][0]}//${one?.name ?? '127.0.0.1'}:${PORTS[store]}`);
    if (store !== 'postgres') return url.toString();
    url.username = one?.environment.get('POSTGRES_USER') ?? 'novamem';
    url.password = password ?? '';
    url.pathname = one?.environment.get('POSTGRES_DB') ?? 'novamem';
    return url.toString();
  }

  /** An address inside a Compose network becomes the one that is published on this machine. */
  #moveHere(url: URL, service: ServiceName): void {
    const title = SERVICE_TITLES[service];
    if (url.hostname === 'host.docker.internal') url.hostname = '127.0.0.1';
    const { compose } = this;
    const one = Object.values(compose?.services ?? {}).find(({ names }) => names.includes(url.hostname));
    if (!compose || !one) return;
    const port = Number(url.port || PORTS[service]);
    const published = one.published.get(port);
    if (published) {
      url.hostname = published.host;
      url.port = String(published.port);
    } else
      this.#unknown.push(
        `how ${title} is reached from here: ${url.hostname}:${port} is inside of the Compose network, and nothing publishes it; add ports: [ "127.0.0.1:${port}:${port}" ] to the service ${one.name} in ${compose.file}`,
      );
  }

  #dataDir(store: StoreName, one: ComposeService): string | undefined {
    const data = dataIn(store, one);
    const folder = folderOf(one, data);
    if (folder !== undefined) return folder;
    // Of Qdrant only the room on its disk is looked at, where that is this machine's.
    return store === 'qdrant' ? undefined : data;
  }

  #novamem(): Plain | undefined {
    const one = this.compose?.services.novamem;
    const said = this.#settings.get('NOVAMEM_PORT');
    if (said === undefined && one === undefined && this.#settings.size === 0) return undefined;
    const port = Number(said || PORTS.novamem);
    const url = new URL(`http://${one?.name ?? '127.0.0.1'}:${port}`);
    this.#moveHere(url, 'novamem');
    if (this.#settings.get('NOVAMEM_AUTH_MODE') !== 'none')
      this.#unknown.push(
        'the token of novamem (nm_…), which is not in its settings: add novamem.tokenFrom, or no search can be compared',
      );
    return { url: url.toString().replace(/\/$/, '') };
  }
}

/** Where in its container a store keeps its data. */
function dataIn(store: StoreName, { environment, volumes }: ComposeService): string {
  const said =
    store === 'postgres'
      ? environment.get('PGDATA')
      : store === 'falkordb'
        ? environment.get('FALKORDB_DATA_PATH')
        : environment.get('QDRANT__STORAGE__STORAGE_PATH');
  const [only] = volumes;
  // Versions of the image differ in where that is; what is kept is what a volume holds.
  if (store === 'falkordb' && said === undefined && volumes.length === 1) return only!.target;
  return said || DATA[store];
}

/** A password of a URL. One that holds a percent sign as it is means that sign. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Redis' own name for the user that is none. */
function withoutUser(url: URL): string {
  url.username = '';
  return url.toString();
}

/** A name that can be typed as a confirmation. */
function nameOf(text: string): string {
  return (
    text
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 63) || 'novamem'
  );
}
