import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { keepSecret } from '../../config/redact.js';
import type { TlsFiles } from '../../config/tls.js';
import { Problem } from '../../problem.js';
import { messageOf } from '../../words.js';

/** What Node's TLS takes: the contents of the files. */
export interface Pem {
  ca?: string;
  cert?: string;
  key?: string;
}

const NAMES = { caFile: 'the CA', certFile: 'the client certificate', keyFile: 'the private key' } as const;
const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const LARGEST = 16 * 1024 * 1024;

/** Reads the files of one store (`title` in errors: `Qdrant`), and has the TLS library take them: what cannot be used is a Problem. */
export function readPem(files: TlsFiles, title: string): Pem {
  const ca = read('caFile', /-----BEGIN (TRUSTED )?CERTIFICATE-----/);
  const cert = read('certFile', /-----BEGIN CERTIFICATE-----/);
  const key = read('keyFile', /-----BEGIN [A-Z ]*PRIVATE KEY-----/);
  if (key !== undefined) keepSecret(key.trim());
  const pem = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  try {
    // A CA that cannot be read would be left out without a word.
    for (const [block] of (ca ?? '').matchAll(CERTIFICATES)) new X509Certificate(block);
    createSecureContext(pem);
  } catch (error) {
    const given = [files.caFile, files.certFile, files.keyFile].filter((file) => file !== undefined).join(', ');
    throw new Problem(`What ${title} is to be reached with over TLS cannot be used (${given}): ${reasonOf(error)}.`, {
      next: 'give a certificate and the private key that belongs to it, in PEM and without a passphrase; then try again',
    });
  }
  return pem;

  function read(field: keyof typeof NAMES, mark: RegExp): string | undefined {
    const file = files[field];
    if (file === undefined) return undefined;
    const refuse = (why: string) => {
      throw new Problem(`${NAMES[field]} for ${title} is to come from the file ${file}: ${why}.`, {
        next: `name a readable PEM file as ${field}, then try again`,
      });
    };
    let text = '';
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      refuse(messageOf(error));
    }
    if (text.length > LARGEST || !mark.test(text))
      refuse(`it holds no ${field === 'keyFile' ? 'private key' : 'certificate'} in PEM`);
    return text;
  }
}

/** OpenSSL's own reason, without its addresses. */
function reasonOf(error: unknown): string {
  const { reason } = error as { reason?: string };
  return reason ?? messageOf(error).split(':').at(-1)!;
}
