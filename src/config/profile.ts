import { z } from 'zod';
import { s3Schema } from './s3.js';
import { postgresTlsSettings, type TlsFiles, type TlsSettingsFault, tlsFields, tlsSettingsFaults } from './tls.js';

// The profile: how to reach one cluster. Secrets are references, so that the file can be shown and shared.

const secretReference = z
  .string()
  .regex(
    /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|command:.+)$/s,
    'a secret is a reference, never a value: env:NAME, file:PATH or command:COMMAND',
  );

const urlOf = (...protocols: string[]) =>
  z.string().superRefine((text, context) => {
    if (!URL.canParse(text)) {
      context.addIssue({ code: 'custom', message: `not a URL (expected ${protocols.join(' or ')}//host:port)` });
      return;
    }
    const url = new URL(text);
    if (!protocols.includes(url.protocol)) {
      context.addIssue({
        code: 'custom',
        message: `begins with ${url.protocol}// but must begin with ${protocols.join('// or ')}//`,
      });
    }
    if (url.password !== '') {
      context.addIssue({
        code: 'custom',
        message: 'holds a password; take it out and add passwordFrom: env:NAME, file:PATH or command:COMMAND',
      });
    }
  });

/** The store's own rules for its TLS settings, as faults at their fields. */
const soundTls =
  (faultsOf: (settings: { url: string } & TlsFiles) => TlsSettingsFault[]) =>
  (settings: { url: string } & TlsFiles, context: z.RefinementCtx) => {
    for (const { field, message } of faultsOf(settings)) context.addIssue({ code: 'custom', path: [field], message });
  };

/** A search of novamem. Absent fields are the server's own defaults, which differ by version. */
export const searchRequestSchema = z.strictObject({
  query: z.string().min(1),
  k: z.number().int().positive().max(100).default(10),
  namespace: z.string().optional(),
  project: z.string().optional(),
  weights: z.strictObject({ keyword: z.number(), vector: z.number(), graph: z.number() }).partial().optional(),
});
export type SearchRequest = z.infer<typeof searchRequestSchema>;

/** A word that a vendor's program takes as its argument: it must not be read as an option. */
const argument = z.string().regex(/^[^-\s][^\s]*$/, 'one word that does not begin with a dash');
const workload = z
  .string()
  .regex(/^(statefulset|deploy|deployment)\/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'statefulset/NAME or deploy/NAME');

const serviceDriver = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('compose'),
    /** The folder of the Compose file, or that file, on the machine where Docker is asked. */
    project: z.string().min(1),
    service: argument,
  }),
  z.strictObject({
    driver: z.literal('systemd'),
    unit: argument,
    /** A unit of the user's own manager, `systemctl --user`. */
    user: z.boolean().default(false),
    /** Asks `sudo -n` for what only root may do. */
    sudo: z.boolean().default(false),
  }),
  z.strictObject({
    driver: z.literal('kubernetes'),
    context: argument.optional(),
    namespace: argument.default('default'),
    workload,
  }),
  z.strictObject({
    driver: z.literal('command'),
    start: z.string().min(1),
    stop: z.string().min(1),
    /** Exits 0 while the service runs, anything else while it does not. Without it the service itself is asked. */
    status: z.string().min(1).optional(),
  }),
  z.strictObject({
    driver: z.literal('process'),
    command: z.array(z.string()).min(1),
    environment: z.record(z.string(), z.string()).default({}),
    /** Variables that are read from a file at start, so that a profile never holds them. */
    environmentFile: z.string().optional(),
    folder: z.string(),
    pidFile: z.string(),
    log: z.string(),
    stopSignal: z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT']).default('SIGTERM'),
    /** Numeric user and group to run as, when this program runs as root. */
    user: z.strictObject({ uid: z.number().int(), gid: z.number().int() }).optional(),
  }),
]);

/** Where commands run and files lie: another machine, a service of Docker Compose, a workload of Kubernetes. */
const host = z.union(
  [
    z.strictObject({
      /** As `ssh` takes it: its configuration, agents and jump hosts are ssh's own. */
      ssh: argument,
      /** Asks `sudo -n` there. */
      sudo: z.boolean().default(false),
    }),
    z.strictObject({
      /** The folder of the Compose file, or that file. */
      compose: z.string().min(1),
      service: argument,
      /** Where Docker is asked, when not here. */
      ssh: argument.optional(),
    }),
    z.strictObject({
      kubernetes: workload,
      context: argument.optional(),
      namespace: argument.default('default'),
      container: argument.optional(),
    }),
  ],
  'must be { ssh: … }, { compose: …, service: … } or { kubernetes: …, namespace: … }',
);

/** The parts of a cluster that are stopped and started. */
export const SERVICES = ['novamem', 'postgres', 'qdrant', 'falkordb'] as const;
export type ServiceName = (typeof SERVICES)[number];

export const profileSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, dot, dash and underscore, at most 63'),
    production: z.boolean().default(false),
    postgres: z
      .strictObject({
        url: urlOf('postgres:', 'postgresql:'),
        ...tlsFields,
        passwordFrom: secretReference.optional(),
        dataDir: z.string().optional(),
        walArchive: z.string().optional(),
        /** pg_restore runs on the server's host (`hosts.postgres`) and not on this machine; the dump is brought there. */
        besideServer: z
          .strictObject({
            /** How that host itself reaches the server: an address, or the folder of its socket. */
            host: argument.default('127.0.0.1'),
            /** Otherwise that of the URL, which another one may be behind a tunnel or a published port. */
            port: z.number().int().positive().max(65_535).optional(),
            /** The folder of pg_restore and psql there; otherwise it is looked for. */
            bin: z.string().startsWith('/').optional(),
            /** Where the dump lies meanwhile. One of the same name and content that lies there already is used as it is. */
            folder: z.string().startsWith('/').default('/var/tmp'),
          })
          .optional(),
      })
      .superRefine(soundTls((settings) => postgresTlsSettings(settings).faults)),
    qdrant: z
      .strictObject({
        url: urlOf('http:', 'https:'),
        ...tlsFields,
        apiKeyFrom: secretReference.optional(),
        collectionPrefix: z.string().default('novamem_'),
        /** The other nodes of a cluster of several: each restores and backs up its own shards, so each must be reached by itself. */
        nodes: z.array(urlOf('http:', 'https:')).max(64).optional(),
        /** Where its storage lies, when that is on this machine: how much room is left is then known. */
        dataDir: z.string().optional(),
      })
      .superRefine(soundTls(tlsSettingsFaults)),
    falkordb: z
      .strictObject({
        url: urlOf('redis:', 'rediss:'),
        ...tlsFields,
        passwordFrom: secretReference.optional(),
        graph: z.string().default('novamem'),
        dataDir: z.string().optional(),
      })
      .superRefine(soundTls(tlsSettingsFaults)),
    novamem: z
      .strictObject({
        url: urlOf('http:', 'https:'),
        ...tlsFields,
        tokenFrom: secretReference.optional(),
        /** What a backup remembers the answers of, instead of searches for sampled memories. */
        goldenSearches: z.array(searchRequestSchema).min(1).max(50).optional(),
      })
      .superRefine(soundTls(tlsSettingsFaults))
      .optional(),
    services: z
      .strictObject({
        novamem: serviceDriver.optional(),
        postgres: serviceDriver.optional(),
        qdrant: serviceDriver.optional(),
        falkordb: serviceDriver.optional(),
      })
      .default({}),
    /** Where a service's commands and files are, when not here. */
    hosts: z
      .strictObject({
        novamem: host.optional(),
        postgres: host.optional(),
        qdrant: host.optional(),
        falkordb: host.optional(),
      })
      .default({}),
    /** Folders of this machine, and folders in buckets: `s3://bucket/folder`. A new backup set goes into the first. */
    backups: z.array(z.string().min(1)).default([]),
    /** For every s3:// of this profile, where it is not AWS with its usual settings. */
    s3: s3Schema.optional(),
    /** How a backup of this cluster is put to the proof. */
    drill: z
      .strictObject({
        /** After so many days without a proven restore a drill is due. */
        everyDays: z.number().int().positive().max(3650).default(90),
        /** The real novamem, for the throw-away cluster; it finds its stores in NOVAMEM_WARM_URL, NOVAMEM_COLD_URL, NOVAMEM_COLD_API_KEY, NOVAMEM_GRAPH_URL and NOVAMEM_PORT. */
        novamem: z
          .strictObject({
            command: z.array(z.string().min(1)).min(1),
            /** Given to it and shown nowhere: they may hold keys. */
            environment: z
              .record(
                z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'not a name of a variable'),
                z.string().regex(/^[^\r\n]*$/, 'must be one line'),
              )
              .default({}),
          })
          .optional(),
        /** False: what only the real novamem could prove, the scores of searches, is no part of a drill beside a stand-in. */
        recall: z.boolean().default(true),
      })
      .prefault({}),
  })
  .superRefine(({ services, hosts, postgres }, context) => {
    if (postgres.besideServer !== undefined && hosts.postgres === undefined)
      context.addIssue({
        code: 'custom',
        path: ['postgres', 'besideServer'],
        message: 'needs hosts.postgres: on this machine pg_restore runs without it',
      });
    for (const service of SERVICES)
      if (services[service]?.driver === 'process' && hosts[service] !== undefined)
        context.addIssue({
          code: 'custom',
          path: ['services', service, 'driver'],
          message: `process starts programs of this machine, and hosts.${service} is another: choose compose, systemd, kubernetes or command`,
        });
  });

export type Profile = z.infer<typeof profileSchema>;
export type ServiceSettings = z.infer<typeof serviceDriver>;
export type HostSettings = z.infer<typeof host>;

/** Those that hold data. */
export const STORES = ['postgres', 'qdrant', 'falkordb'] as const;
export type StoreName = (typeof STORES)[number];

export const SERVICE_TITLES: Record<ServiceName, string> = {
  novamem: 'novamem',
  postgres: 'Postgres',
  qdrant: 'Qdrant',
  falkordb: 'FalkorDB',
};
