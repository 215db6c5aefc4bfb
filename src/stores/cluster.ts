import type { Profile, ServiceName, StoreName } from '../config/profile.js';
import { freeBytesIfHere } from '../hosts/files.js';
import type { Host } from '../hosts/host.js';
import { hostOf } from '../hosts/host-of.js';
import type { ServiceDriver } from '../hosts/services/driver.js';
import { driverFor } from '../hosts/services/drivers.js';
import { within } from '../hosts/waiting.js';
import { messageOf } from '../words.js';
import { FalkorDB } from './falkordb/connection.js';
import { Novamem } from './novamem/connection.js';
import { Postgres, sqlState } from './postgres/connection.js';
import { Qdrant, qdrantMessage } from './qdrant/connection.js';
import { tlsFaultIn } from './tls/tls-fault.js';

/** A server that is well says so at once; one that hangs would never. */
const ANSWER_PATIENCE = 10_000;

/** Whether a service answers now, and what was seen. */
export interface Answering {
  answers: boolean;
  seen: string;
}

/** The same, where something that is there without its TLS being agreed on is told apart: whether it answers is not known then. */
export interface Standing extends Answering {
  untrusted?: true;
}

/** One novamem cluster: its three stores, the service, and how each is driven. */
export class Cluster {
  readonly postgres: Postgres;
  readonly qdrant: Qdrant;
  /** Every node of Qdrant that the profile names, that one first. */
  readonly qdrantNodes: Qdrant[];
  readonly falkordb: FalkorDB;
  readonly novamem: Novamem | undefined;
  /** One each: it remembers how its files were reached. */
  readonly #hosts = new Map<ServiceName, Host>();

  /** Resolves the profile's secrets; a missing one is a Problem. */
  constructor(readonly profile: Profile) {
    this.postgres = new Postgres(profile.postgres);
    this.qdrant = new Qdrant(profile.qdrant);
    this.qdrantNodes = [
      this.qdrant,
      ...(profile.qdrant.nodes ?? []).map((url) => new Qdrant({ ...profile.qdrant, url })),
    ];
    this.falkordb = new FalkorDB(profile.falkordb);
    this.novamem = profile.novamem ? new Novamem(profile.novamem) : undefined;
  }

  get name(): string {
    return this.profile.name;
  }

  /** How a service is driven; undefined when the profile does not say. */
  driver(service: ServiceName): ServiceDriver | undefined {
    const settings = this.profile.services[service];
    return settings ? driverFor(service, settings, this.host(service).driven) : undefined;
  }

  /** Where a service's commands run and its files lie. */
  host(service: ServiceName): Host {
    const known = this.#hosts.get(service) ?? hostOf(this.profile.hosts[service]);
    this.#hosts.set(service, known);
    return known;
  }

  /** A store's data folder where it is on this machine, as far as the profile says: whatever has the same path here otherwise is another. */
  dataDirHere(store: StoreName): string | undefined {
    return this.host(store).here ? this.profile[store].dataDir : undefined;
  }

  /** What a host can tell of the disk that a store's data folder is on; undefined where nobody can. */
  async freeBytesOf(store: StoreName): Promise<number | undefined> {
    const { dataDir } = this.profile[store];
    const host = this.host(store);
    if (dataDir === undefined) return undefined;
    return host.here ? freeBytesIfHere(dataDir) : host.files.freeBytes(dataDir).catch(() => undefined);
  }

  /**
   * Whether a service answers and has finished loading. A server that answers that the database is absent, or that this
   * role may not in, does answer. novamem answers when it is alive: whether it is healthy is a check of its own. Rejects with a
   * TlsFault where something is there whose TLS is not agreed on: it is neither up nor down for all that can be known.
   */
  async answering(service: ServiceName): Promise<Answering> {
    try {
      return { answers: true, seen: await within(ANSWER_PATIENCE, this.#ask(service)) };
    } catch (error) {
      const fault = tlsFaultIn(error);
      if (fault) throw fault;
      return { answers: false, seen: service === 'qdrant' ? qdrantMessage(error) : messageOf(error) };
    }
  }

  /** The same, for what only shows it. */
  async standing(service: ServiceName): Promise<Standing> {
    return this.answering(service).catch((error: unknown) => ({
      answers: false,
      seen: messageOf(error),
      untrusted: true,
    }));
  }

  async #ask(service: ServiceName): Promise<string> {
    switch (service) {
      case 'postgres':
        return this.#askPostgres();
      case 'qdrant':
        return `Qdrant ${(await this.qdrant.client.versionInfo()).version}`;
      case 'falkordb': {
        const { loading } = await this.falkordb.info('persistence');
        if (loading !== '0') throw new Error('it is still loading its data');
        return 'nothing left to load';
      }
      case 'novamem': {
        if (!this.novamem) throw new Error('the profile does not say where novamem is');
        // Whether it is alive says nothing of its health.
        const live = await this.novamem.get('/live');
        const asked = live.status === 404 ? '/health' : '/live';
        const { status } = live.status === 404 ? await this.novamem.get(asked) : live;
        return `${asked}: HTTP ${status}`;
      }
    }
  }

  async #askPostgres(): Promise<string> {
    const STARTING = '57P03';
    try {
      await this.postgres.read('SELECT 1');
      return 'answers';
    } catch (error) {
      const state = sqlState(error);
      if (!/^[0-9A-Z]{5}$/.test(state) || state === STARTING) throw error;
      return messageOf(error);
    }
  }
}
