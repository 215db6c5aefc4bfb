import { createHash } from 'node:crypto';

// What a sandbox remembers: the same for the same seed, so that two runs can be compared.

export interface SeedMemory {
  id: string;
  user: string;
  project: string | null;
  namespace: string;
  content: string;
  source: string;
  cold: boolean;
  createdAt: Date;
}

export type RelationKind = 'vector_neighbour' | 'co_occurs' | 'co_inferred';

export interface SeedRelation {
  from: SeedMemory;
  to: SeedMemory;
  kind: RelationKind;
  strength: number;
}

export interface SeedData {
  users: { id: string; email: string }[];
  projects: { id: string; owner: string }[];
  memories: SeedMemory[];
  relations: SeedRelation[];
}

/** user, project, namespace, and how large a share of the memories it has. */
const SCOPES: readonly (readonly [string, string | null, string, number])[] = [
  ['acme', null, 'default', 18],
  ['acme', null, 'notes', 9],
  ['acme', 'atlas', 'default', 14],
  ['acme', 'atlas', 'decisions', 6],
  ['globex', null, 'default', 13],
  ['globex', null, 'incidents', 8],
  ['globex', 'borealis', 'default', 11],
  ['initech', null, 'default', 10],
  ['initech', null, 'notes', 6],
  ['initech', 'cobalt', 'decisions', 5],
];

const SUBJECTS = [
  'billing',
  'the search index',
  'the staging cluster',
  'onboarding',
  'the payment gateway',
  'the release train',
  'login',
  'the data import',
  'the mobile app',
  'the nightly report',
];
const VERBS = [
  'depends on',
  'was moved to',
  'must never call',
  'is owned by',
  'replaces',
  'was blocked by',
  'is documented in',
  'fails without',
  'was agreed with',
  'is measured by',
];
const OBJECTS = [
  'the new schema',
  'team Orion',
  'the legacy queue',
  'a feature flag',
  'the audit log',
  'the cache layer',
  'an external vendor',
  'the weekly review',
  'the retry policy',
  'the support desk',
];
const SOURCES = ['chat', 'import', 'agent', 'api'];

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A ULID: 10 characters of time, 16 of chance. https://github.com/ulid/spec */
export function ulid(at: number, random: () => number): string {
  let time = '';
  for (let rest = at, index = 0; index < 10; index += 1) {
    time = CROCKFORD[rest % 32] + time;
    rest = Math.floor(rest / 32);
  }
  return time + Array.from({ length: 16 }, () => CROCKFORD[Math.floor(random() * 32)]).join('');
}

/** Makes about `count` memories over all tenants, projects and namespaces, with relations of all three kinds. */
export function makeSeedData(count: number, seed = 1): SeedData {
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)]!;
  const begin = Date.UTC(2026, 0, 1);
  const memories: SeedMemory[] = [];
  const relations: SeedRelation[] = [];
  for (const [user, project, namespace, share] of SCOPES) {
    const first = memories.length;
    const size = Math.ceil((count * share) / 100);
    for (let index = 0; index < size; index += 1) {
      const at = begin + Math.floor(random() * 300 * 86_400_000);
      const number = memories.length + 1;
      memories.push({
        id: ulid(at, random),
        user,
        project,
        namespace,
        content: `${pick(SUBJECTS)} ${pick(VERBS)} ${pick(OBJECTS)}, see ticket ${pick(['ops', 'dev', 'sec'])} ${number}`,
        source: pick(SOURCES),
        cold: random() < 0.1,
        createdAt: new Date(at),
      });
    }
    const scope = memories.slice(first);
    const related = new Set<string>();
    const relate = (from: number, to: number, kind: RelationKind) => {
      const [a, b] = [scope[from], scope[to % scope.length]];
      const key = `${from} ${to % scope.length} ${kind}`;
      if (!a || !b || a === b || related.has(key)) return;
      related.add(key);
      relations.push({ from: a, to: b, kind, strength: Math.round(random() * 1000) / 1000 });
    };
    for (let index = 0; index < scope.length; index += 1) {
      relate(index, index + 1, 'vector_neighbour');
      relate(index, index + 7, 'vector_neighbour');
      if (random() < 0.3) relate(index, index + 2, 'co_occurs');
      if (random() < 0.05) relate(index, index + 3, 'co_inferred');
    }
  }
  const users = [...new Set(SCOPES.map(([user]) => user))];
  return {
    users: users.map((id) => ({ id, email: `${id}@example.com` })),
    projects: SCOPES.flatMap(([owner, id], index) =>
      id !== null && SCOPES.findIndex((one) => one[1] === id) === index ? [{ id, owner }] : [],
    ),
    memories,
    relations,
  };
}

export const contentHashOf = (content: string) => createHash('sha256').update(content).digest('hex');
