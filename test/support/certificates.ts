import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate and its private key, in PEM files. */
export interface Certificate {
  certFile: string;
  keyFile: string;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** A CA of its own in a folder, and what it signs; made by openssl. */
export class Ca {
  /** What one who trusts it names. */
  readonly caFile: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name = 'ca') {
    this.#folder = folder;
    this.#name = name;
    this.caFile = this.#file('pem');
    openssl(
      'req',
      '-x509',
      ...CURVE,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      this.#file('key'),
      '-out',
      this.caFile,
    );
  }

  /** For a server under these names (`DNS:localhost`, `IP:127.0.0.1`), or for a client whose CN is `name`. */
  sign(name: string, names: string[] = [], { expired = false } = {}): Certificate {
    const of = (ending: string) => join(this.#folder, `${this.#name}-${name}.${ending}`);
    const extensions = names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`;
    writeFileSync(of('ext'), `basicConstraints=CA:FALSE\n${extensions}`);
    openssl('req', '-new', ...CURVE, '-subj', `/CN=${name}`, '-keyout', of('key'), '-out', of('csr'));
    openssl(
      ...['x509', '-req', '-in', of('csr'), '-CA', this.caFile, '-CAkey', this.#file('key'), '-CAcreateserial'],
      // A certificate that is over before it begins has expired.
      ...['-days', expired ? '-1' : '2', '-extfile', of('ext'), '-out', of('pem')],
    );
    chmodSync(of('key'), 0o600);
    return { certFile: of('pem'), keyFile: of('key') };
  }

  #file(ending: string): string {
    return join(this.#folder, `${this.#name}.${ending}`);
  }
}

/** A copy of a certificate's key that a server under another user may read. */
export function keyFor(user: { uid: number; gid: number } | undefined, { keyFile }: Certificate, to: string): string {
  copyFileSync(keyFile, to);
  chmodSync(to, 0o600);
  if (user) chownSync(to, user.uid, user.gid);
  return to;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
