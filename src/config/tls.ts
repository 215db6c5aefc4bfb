import { z } from 'zod';

// How a profile says who a server must prove to be, and who this program is to it: by the same three files for every store.

/** Files in PEM. */
export const tlsFields = {
  /** The CAs of which one must have signed the server's certificate, in place of the public ones. */
  caFile: z.string().min(1).optional(),
  /** The certificate that this program shows, and its private key. */
  certFile: z.string().min(1).optional(),
  keyFile: z.string().min(1).optional(),
};

export interface TlsFiles {
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

/** What is wrong with what a store's settings say of TLS, and at which of them. */
export interface TlsSettingsFault {
  field: 'url' | keyof TlsFiles;
  message: string;
}

type Settings = { url: string } & TlsFiles;

const FIELDS = ['caFile', 'certFile', 'keyFile'] as const;

/** What is wrong with the TLS settings of a store that is reached by `http(s):` or `redis(s):`. */
export function tlsSettingsFaults(settings: Settings): TlsSettingsFault[] {
  if (!URL.canParse(settings.url)) return [];
  const { protocol } = new URL(settings.url);
  const isPlain = protocol === 'http:' || protocol === 'redis:';
  return [
    ...FIELDS.filter((field) => isPlain && settings[field] !== undefined).map((field) => ({
      field,
      message: `has no effect with ${protocol}//, which is without TLS; say ${protocol.replace(':', 's:')}// in the url`,
    })),
    ...halfPair(settings),
  ];
}

function halfPair({ certFile, keyFile }: TlsFiles): TlsSettingsFault[] {
  if ((certFile === undefined) === (keyFile === undefined)) return [];
  const [field, missing] =
    certFile === undefined ? (['keyFile', 'certFile'] as const) : (['certFile', 'keyFile'] as const);
  return [{ field, message: `needs ${missing} beside it: a certificate and its private key` }];
}

/** https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION */
export const SSLMODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSLMODES)[number];

/** What a Postgres URL may say of TLS besides `sslmode`, and the field that says the same. */
const PARAMETERS = { sslrootcert: 'caFile', sslcert: 'certFile', sslkey: 'keyFile' } as const;

/** With these a wrong certificate would be no obstacle: libpq goes on without TLS. */
const GOES_ON_WITHOUT: ReadonlySet<string> = new Set(['disable', 'allow', 'prefer']);

export const isSslMode = (text: string): text is SslMode => (SSLMODES as readonly string[]).includes(text);

/** What the settings of Postgres say of TLS, in the URL and beside it, and what is wrong with that. */
export function postgresTlsSettings(settings: Settings): TlsFiles & { mode?: SslMode; faults: TlsSettingsFault[] } {
  if (!URL.canParse(settings.url)) return { faults: [] };
  const query = new URL(settings.url).searchParams;
  const faults: TlsSettingsFault[] = [];
  const atUrl = (message: string) => faults.push({ field: 'url', message });

  const said = query.get('sslmode') ?? undefined;
  if (said !== undefined && !isSslMode(said))
    atUrl(`sslmode "${said}" is unknown; it is one of ${SSLMODES.join(', ')}`);
  const others = [...new Set(query.keys())].filter(
    (name) => /^(ssl|requiressl)/.test(name) && name !== 'sslmode' && !(name in PARAMETERS),
  );
  for (const name of others)
    atUrl(`"${name}" has no effect here; what counts is sslmode, ${Object.keys(PARAMETERS).join(', ')}`);

  const files: TlsFiles = {};
  for (const [parameter, field] of Object.entries(PARAMETERS)) {
    const inUrl = query.get(parameter) || undefined;
    if (inUrl !== undefined && settings[field] !== undefined)
      faults.push({ field, message: `stands in the url too, as ${parameter}; say it once` });
    const file = settings[field] ?? inUrl;
    if (file !== undefined) files[field] = file;
  }
  faults.push(...halfPair(files));
  const caAt = settings.caFile === undefined ? 'url' : 'caFile';
  if (files.caFile === 'system')
    faults.push({
      field: caAt,
      message:
        'sslrootcert=system is not known to every Postgres program; name the file of the public CAs, as /etc/ssl/certs/ca-certificates.crt',
    });
  if (files.caFile !== undefined && said !== undefined && GOES_ON_WITHOUT.has(said))
    faults.push({
      field: caAt,
      message: `with sslmode=${said} a server with another certificate would be talked to without TLS; say verify-full, verify-ca or require, or leave sslmode out, which is verify-full here`,
    });
  return { ...files, ...(said !== undefined && isSslMode(said) ? { mode: said } : {}), faults };
}
