import { type Profile, SERVICE_TITLES, type ServiceName } from '../config/profile.js';
import { within } from '../hosts/waiting.js';
import { nextOf, Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { FalkorDB } from './falkordb/connection.js';
import { answerText, Novamem } from './novamem/connection.js';
import { search } from './novamem/search.js';
import { Postgres } from './postgres/connection.js';
import { describeServer } from './postgres/server.js';
import { Qdrant, qdrantMessage } from './qdrant/connection.js';
import { type Ailment, ailmentOf } from './symptoms/looking.js';
import { tlsFaultIn } from './tls/tls-fault.js';

/** What came of one try to reach a part of a cluster. */
export interface Tried {
  service: ServiceName;
  /** `misconfigured`: it was not tried, since a secret or a file that the profile names cannot be had. */
  outcome: 'answers' | Ailment | 'misconfigured';
  /** What was asked, without secrets: `postgres://127.0.0.1:5432/novamem`. */
  address: string;
  /** What was seen, a sentence without its end. */
  seen: string;
  /** The server's version, where it answers: `15.18`. */
  version?: string;
  /** What to do where it does not answer. */
  next?: string;
}

/** The settings of one part, as a profile holds them. */
export type PartSettings = {
  [Service in ServiceName]: { service: Service; settings: NonNullable<Profile[Service]> };
}[ServiceName];

const PATIENCE_MS = 7_000;

/** Connects to one part of a cluster as the profile says, logs in, and reads what it is. Ends within seven seconds; changes nothing. */
export async function tryConnection(part: PartSettings): Promise<Tried> {
  const { service, settings } = part;
  const address = addressOf(settings.url);
  try {
    return { service, outcome: 'answers', address, ...(await within(PATIENCE_MS, ask(part))) };
  } catch (error) {
    // A TLS fault is a Problem, too, but one that the server is there for.
    if (error instanceof Problem && !tlsFaultIn(error))
      return { service, outcome: 'misconfigured', address, seen: error.message.replace(/\.$/, ''), next: error.next };
    const seen = service === 'qdrant' ? qdrantMessage(error) : messageOf(error);
    // Of what fetch says, the cause tells what ails it.
    const outcome = tlsFaultIn(error) ? 'untrusted' : ailmentOf(new Error(seen));
    return { service, outcome, address, seen, next: nextStep(outcome, part, error) };
  }
}

/** A URL without user, password and query. */
function addressOf(text: string): string {
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname.replace(/\/$/, '')}`;
}

async function ask(part: PartSettings): Promise<{ seen: string; version?: string }> {
  switch (part.service) {
    case 'postgres': {
      const { version, role, databaseExists, refusal } = await describeServer(new Postgres(part.settings));
      const database = databaseExists
        ? refusal === ''
          ? ''
          : `; its database lets nobody in: ${refusal}`
        : '; its database is not there';
      return { version, seen: `PostgreSQL ${version}, logged in as ${role.name}${database}` };
    }
    case 'qdrant': {
      const { client } = new Qdrant(part.settings);
      const [{ version }, { collections }] = await Promise.all([client.versionInfo(), client.getCollections()]);
      const own = collections.filter(({ name }) => name.startsWith(part.settings.collectionPrefix)).length;
      return { version, seen: `Qdrant ${version}, ${own} of ${collections.length} collections are novamem's` };
    }
    case 'falkordb': {
      const falkordb = new FalkorDB(part.settings);
      const [server, graphs] = [await falkordb.info('server'), await falkordb.graphs()];
      const version = server.valkey_version ?? server.redis_version ?? '';
      const title = server.valkey_version ? 'Valkey' : 'Redis';
      const has = graphs.includes(falkordb.graph) ? 'has' : 'does not have';
      return { version, seen: `${title} ${version} with the graph module; it ${has} the graph ${falkordb.graph}` };
    }
    case 'novamem': {
      const novamem = new Novamem(part.settings);
      const health = await novamem.get('/health');
      if (part.settings.tokenFrom !== undefined) await search(novamem, { query: 'recall', k: 1 });
      return { seen: `novamem: /health answers ${answerText(health)}` };
    }
  }
}

function nextStep(outcome: Ailment, { service, settings }: PartSettings, error: unknown): string {
  const title = SERVICE_TITLES[service];
  const { hostname } = new URL(settings.url);
  const login =
    service === 'postgres'
      ? 'user and passwordFrom'
      : service === 'qdrant'
        ? 'apiKeyFrom'
        : service === 'novamem'
          ? 'tokenFrom'
          : 'passwordFrom';
  switch (outcome) {
    case 'stopped':
      return /ENOTFOUND|EAI_AGAIN/.test(messageOf(error))
        ? `the name ${hostname} is not known on this machine; a name of a Compose network or of Kubernetes is known only there: give the address at which ${title} is published here`
        : `see that ${title} runs, and that its host and port are right`;
    case 'silent':
      return `see whether a firewall lies between, and whether the machine of ${title} is well`;
    case 'denied':
      return `correct ${login}: ${title} is there and does not accept this login`;
    default:
      return tlsFaultIn(error) ? nextOf(error) : `see that it is ${title} that answers there`;
  }
}
