import { existsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { isSslMode, postgresTlsSettings, SSLMODES, type SslMode, type TlsFiles } from '../../config/tls.js';
import { Problem } from '../../problem.js';
import { type Pem, readPem } from '../tls/pem-files.js';

const AT_HOME = { caFile: 'root.crt', certFile: 'postgresql.crt', keyFile: 'postgresql.key' } as const;
const VARIABLES = { caFile: 'PGSSLROOTCERT', certFile: 'PGSSLCERT', keyFile: 'PGSSLKEY' } as const;
const FIELDS = ['caFile', 'certFile', 'keyFile'] as const;
const UNSAFE_MODE = 0o077;
const ROOTS_UNSAFE_MODE = 0o037;

/** How a connection is made: with TLS and these options, or without. */
export type Way = ConnectionOptions | 'plain';

/**
 * TLS with a Postgres server, as libpq has it, so that this program's own connections and the vendor's programs do the same. What
 * the profile leaves open comes from the variables of libpq and the files in `~/.postgresql`. A CA that the profile names without
 * a mode means verify-full. https://www.postgresql.org/docs/current/libpq-ssl.html
 */
export class PostgresTls {
  readonly mode: SslMode;
  /** The CA whose signature is asked for; absent: nobody's is. */
  readonly caFile: string | undefined;
  readonly showsCertificate: boolean;
  /** What the vendor's programs are told. */
  readonly environment: Record<string, string>;
  /** In their order: the next is tried where the one before did not let in. */
  readonly ways: readonly Way[];

  constructor(settings: { url: string } & TlsFiles, host: string) {
    const { faults, mode: said, ...named } = postgresTlsSettings(settings);
    const [fault] = faults;
    if (fault)
      throw new Problem(`The profile cannot be used: postgres.${fault.field}: ${fault.message}.`, {
        next: 'mend the profile, then try again',
      });
    this.mode = said ?? (named.caFile === undefined ? modeOfEnvironment() : 'verify-full');
    const isSocket = host.startsWith('/');
    const files = isSocket || this.mode === 'disable' ? {} : filesOf(named);
    this.caFile = files.caFile;
    this.showsCertificate = files.certFile !== undefined;
    if (!isSocket && this.mode.startsWith('verify') && this.caFile === undefined)
      throw new Problem(`sslmode=${this.mode} compares with a CA, and the profile names none for Postgres.`, {
        next: 'name its file as postgres.caFile (the public ones: /etc/ssl/certs/ca-certificates.crt)',
      });
    refuseOpenKey(files.keyFile);
    this.environment = isSocket
      ? {}
      : {
          ...(said === undefined && this.mode === 'prefer' && !process.env.PGSSLMODE ? {} : { PGSSLMODE: this.mode }),
          ...variablesOf(files),
        };
    this.ways = isSocket ? ['plain'] : waysOf(this.mode, readPem(files, 'Postgres'));
  }
}

function modeOfEnvironment(): SslMode {
  const said = process.env.PGSSLMODE || 'prefer';
  if (isSslMode(said)) return said;
  throw new Problem(`The variable PGSSLMODE says "${said}"; it is one of ${SSLMODES.join(', ')}.`, {
    next: 'set or unset PGSSLMODE, or say sslmode in postgres.url',
  });
}

function filesOf(named: TlsFiles): TlsFiles {
  const files: TlsFiles = {};
  for (const field of FIELDS) {
    const atHome = join(homedir(), '.postgresql', AT_HOME[field]);
    const file = named[field] ?? (process.env[VARIABLES[field]] || (existsSync(atHome) ? atHome : undefined));
    if (file !== undefined) files[field] = resolve(file);
  }
  return files;
}

const variablesOf = (files: TlsFiles): Record<string, string> =>
  Object.fromEntries(
    FIELDS.flatMap((field) => (files[field] === undefined ? [] : [[VARIABLES[field], files[field]]])),
  );

function waysOf(mode: SslMode, pem: Pem): Way[] {
  // A CA that is known is asked for in every mode; the host's name only in verify-full.
  const secure: ConnectionOptions = {
    ...pem,
    rejectUnauthorized: pem.ca !== undefined,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
  if (mode === 'disable') return ['plain'];
  if (mode === 'allow') return ['plain', secure];
  return mode === 'prefer' ? [secure, 'plain'] : [secure];
}

/** libpq takes no key that others may read; its group may where root owns it. */
function refuseOpenKey(file: string | undefined): void {
  if (file === undefined || !existsSync(file)) return;
  const { mode, uid } = statSync(file);
  if ((mode & (uid === 0 ? ROOTS_UNSAFE_MODE : UNSAFE_MODE)) === 0) return;
  throw new Problem(`The private key ${file} can be read by others, and Postgres' programs refuse such a one.`, {
    next: `chmod 600 ${file}`,
  });
}
