import { isAbsolute } from 'node:path';
import { profileSchema, SERVICES, type ServiceName } from '../../config/profile.js';

/** What was answered so far, by the question's id; an empty answer means "none". */
export type Answers = Readonly<Record<string, string>>;

/** One question of `profile add`. */
export interface ProfileQuestion {
  id: string;
  ask: string;
  /** Lines below it: what forms an answer may have. */
  hint: string[];
  /** The answers to choose from; free text without. */
  choices?: { value: string; label: string }[];
  /** What enter alone means, where that is anything. */
  usual?: (answers: Answers) => string;
  /** Whether it is asked at all, after these answers. */
  belongs?: (answers: Answers) => boolean;
  /** Why an answer cannot be taken; undefined where it can. */
  refuses?: (answer: string, answers: Answers) => string | undefined;
  /** After this one the part of the cluster is tried. */
  tries?: ServiceName;
}

const SECRET_HINT = [
  'Not the secret itself: env:NAME (a variable), file:/a/path, or command:a command that',
  'prints it. Nothing where there is none.',
];

/** Why the profile's own schema refuses a value at a place of it; undefined where it takes it. */
function refusalAt(part: ServiceName | 'name', value: unknown): string | undefined {
  const checked = profileSchema.shape[part].safeParse(value);
  return checked.success ? undefined : checked.error.issues.map((issue) => issue.message).join('; ');
}

const TITLES: Record<ServiceName, string> = {
  postgres: 'Postgres (warm)',
  qdrant: 'Qdrant (cold)',
  falkordb: 'FalkorDB (graph)',
  novamem: 'novamem itself',
};
const URLS: Record<ServiceName, string> = {
  postgres: 'postgres://novamem@127.0.0.1:5432/novamem',
  qdrant: 'http://127.0.0.1:6333',
  falkordb: 'redis://127.0.0.1:6379',
  novamem: 'http://127.0.0.1:7778',
};
/** What the secret of each part is called, and where in a profile its reference stands. */
export const SECRETS: Record<ServiceName, { title: string; field: string; usual: string }> = {
  postgres: { title: 'password', field: 'passwordFrom', usual: 'env:POSTGRES_PASSWORD' },
  qdrant: { title: 'API key', field: 'apiKeyFrom', usual: 'env:NOVAMEM_COLD_API_KEY' },
  falkordb: { title: 'password', field: 'passwordFrom', usual: '' },
  novamem: { title: 'token (nm_…)', field: 'tokenFrom', usual: 'env:NOVAMEM_TOKEN' },
};

const TLS_FILES = ['caFile', 'certFile', 'keyFile'] as const;

/** Whether the address that was given asks for TLS. */
const isSecure = (url: string | undefined) => /^(https|rediss):|[?&]sslmode=(require|verify)/.test(url ?? '');

function aboutPart(service: ServiceName): ProfileQuestion[] {
  const secret = SECRETS[service];
  const url = `${service}.url`;
  const [caFile, certFile, keyFile] = TLS_FILES.map((field) => `${service}.${field}`) as [string, string, string];
  const isThere = (answers: Answers) => answers[url] !== '';
  return [
    {
      id: url,
      ask: `Where is ${TITLES[service]}?`,
      hint: [
        ...(service === 'postgres'
          ? ['With the user, without its password; ?sslmode=verify-full where TLS is wanted.']
          : ['https:// or rediss:// where TLS is wanted.']),
        ...(service === 'novamem' ? ['none: it is left out, and its health is not looked at.'] : []),
      ],
      usual: () => URLS[service],
      refuses: (answer) =>
        answer === ''
          ? service === 'novamem'
            ? undefined
            : 'it is needed: a cluster without it cannot be recovered'
          : refusalAt(service, { url: answer }),
    },
    {
      id: caFile,
      ask: `Which CA has signed the certificate of ${TITLES[service]}?`,
      hint: ['A file in PEM. none: one of those that every browser knows.'],
      belongs: (answers) => isThere(answers) && isSecure(answers[url]),
      refuses: (answer, answers) =>
        answer === '' ? undefined : refusalAt(service, { url: answers[url], caFile: answer }),
    },
    {
      id: certFile,
      ask: `Which certificate does this program show to ${TITLES[service]}?`,
      hint: ['A file in PEM, where it asks for one (mutual TLS). none: it asks for none.'],
      belongs: (answers) => isThere(answers) && isSecure(answers[url]),
      refuses: (answer, answers) =>
        answer === '' ? undefined : refusalAt(service, { url: answers[url], certFile: answer, keyFile: answer }),
    },
    {
      id: keyFile,
      ask: 'Where is the private key of that certificate?',
      hint: ['A file in PEM, which only you may read.'],
      belongs: (answers) => isThere(answers) && isSecure(answers[url]) && Boolean(answers[certFile]),
      refuses: (answer, answers) =>
        answer === ''
          ? 'it is needed: a certificate without its key proves nothing'
          : refusalAt(service, { url: answers[url], certFile: answers[certFile], keyFile: answer }),
    },
    {
      id: `${service}.secret`,
      ask: `Where does the ${secret.title} of ${TITLES[service]} come from?`,
      hint: SECRET_HINT,
      usual: () => secret.usual,
      belongs: isThere,
      refuses: (answer, answers) =>
        answer === '' ? undefined : refusalAt(service, { url: answers[url], [secret.field]: answer }),
      tries: service,
    },
  ];
}

const DRIVEN: ProfileQuestion[] = [
  {
    id: 'driver',
    ask: 'What stops and starts the services?',
    hint: ['One answer for all of them; what differs is changed in the file afterwards.'],
    choices: [
      { value: 'compose', label: 'Docker Compose' },
      { value: 'systemd', label: 'systemd' },
      { value: 'kubernetes', label: 'Kubernetes' },
      { value: 'none', label: 'something else: I add it to the file afterwards' },
    ],
  },
  {
    id: 'compose.project',
    ask: 'In which folder is the Compose file?',
    hint: ['The services are taken to be called postgres, qdrant, falkordb and novamem.'],
    usual: () => '/srv/novamem',
    belongs: ({ driver }) => driver === 'compose',
    refuses: needsAbsolute,
  },
  {
    id: 'kubernetes.namespace',
    ask: 'In which namespace?',
    hint: ['statefulset/postgres, statefulset/qdrant, statefulset/falkordb, deploy/novamem.'],
    usual: () => 'novamem',
    belongs: ({ driver }) => driver === 'kubernetes',
    refuses: (answer) =>
      /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(answer) ? undefined : 'small letters, digits and dashes are needed',
  },
];

function needsAbsolute(answer: string): string | undefined {
  return isAbsolute(answer) ? undefined : 'a whole path is needed: /…';
}

function needsPlace(answer: string): string | undefined {
  return /^s3:\/\/[^/]+/.test(answer) ? undefined : needsAbsolute(answer);
}

/** Every question, in the order in which they are asked. */
export const PROFILE_QUESTIONS: readonly ProfileQuestion[] = [
  {
    id: 'name',
    ask: 'What is the cluster called?',
    hint: ['It is typed wherever something is to be destroyed: acme-prod.'],
    refuses: (answer) => refusalAt('name', answer),
  },
  {
    id: 'production',
    ask: 'Is it production?',
    hint: [],
    choices: [
      { value: 'yes', label: 'yes: it is marked on every screen' },
      { value: 'no', label: 'no' },
    ],
  },
  ...aboutPart('postgres'),
  ...aboutPart('qdrant'),
  ...aboutPart('falkordb'),
  {
    id: 'falkordb.dataDir',
    ask: 'Where does FalkorDB keep its files?',
    hint: ['The folder on its machine. none: they cannot be replaced, and the graph is made anew from Postgres.'],
    usual: ({ 'falkordb.seenDir': seen }) => seen ?? '',
    refuses: (answer) => (answer === '' ? undefined : needsAbsolute(answer)),
  },
  ...aboutPart('novamem'),
  ...DRIVEN,
  {
    id: 'backups',
    ask: 'Into which folder do backups go?',
    hint: ['Of this machine, or s3://bucket/folder. none: it is added to the file later.'],
    usual: () => '/backups/novamem',
    refuses: (answer) => (answer === '' ? undefined : needsPlace(answer)),
  },
  {
    id: 'postgres.walArchive',
    ask: 'Where does Postgres archive its log (WAL)?',
    hint: ['Of this machine, or s3://bucket/folder. none: there is no going back to a moment.'],
    refuses: (answer) => (answer === '' ? undefined : needsPlace(answer)),
  },
  {
    id: 'postgres.dataDir',
    ask: 'Where does Postgres keep its data?',
    hint: ['The folder on its machine, which going back to a moment replaces. none: it does not do that.'],
    usual: ({ 'postgres.seenDir': seen }) => seen ?? '',
    belongs: (answers) => Boolean(answers['postgres.walArchive']),
    refuses: (answer) => (answer === '' ? undefined : needsAbsolute(answer)),
  },
];

/** The profile that the answers describe, as it stands in a file: nothing but what was said. */
export function profileFrom(answers: Answers): { name: string } & Record<string, unknown> {
  const said = (id: string) => answers[id] || undefined;
  const given = (service: ServiceName, ...fields: string[]) =>
    Object.fromEntries(
      fields.flatMap((field) => {
        const answer = said(`${service}.${field}`);
        return answer === undefined ? [] : [[field, answer]];
      }),
    );
  const part = (service: ServiceName) =>
    said(`${service}.url`) === undefined
      ? {}
      : {
          [service]: {
            url: answers[`${service}.url`],
            // A key belongs to its certificate: one that was taken back takes it along.
            ...given(service, ...TLS_FILES.filter((field) => field !== 'keyFile' || said(`${service}.certFile`))),
            ...(said(`${service}.secret`) ? { [SECRETS[service].field]: answers[`${service}.secret`] } : {}),
            ...given(service, 'dataDir', 'walArchive'),
          },
        };
  const services = Object.fromEntries(
    SERVICES.filter((service) => said(`${service}.url`) !== undefined).flatMap((service) => {
      const driver = driverOf(service, answers);
      return driver ? [[service, driver]] : [];
    }),
  );
  return {
    name: answers.name ?? '',
    production: answers.production !== 'no',
    ...part('postgres'),
    ...part('qdrant'),
    ...part('falkordb'),
    ...part('novamem'),
    ...(Object.keys(services).length > 0 ? { services } : {}),
    ...(said('backups') ? { backups: [answers.backups] } : {}),
  };
}

function driverOf(service: ServiceName, answers: Answers): object | undefined {
  switch (answers.driver) {
    case 'compose':
      return { driver: 'compose', project: answers['compose.project'], service };
    case 'systemd':
      return { driver: 'systemd', unit: service === 'postgres' ? 'postgresql' : service };
    case 'kubernetes':
      return {
        driver: 'kubernetes',
        namespace: answers['kubernetes.namespace'],
        workload: `${service === 'novamem' ? 'deploy' : 'statefulset'}/${service}`,
      };
    default:
      return undefined;
  }
}
