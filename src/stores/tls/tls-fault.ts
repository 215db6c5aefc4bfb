import { EXIT, Problem } from '../../problem.js';
import { messageOf, shortened } from '../../words.js';

/**
 * Something answers, and TLS with it is not agreed on: who it is is not known. Whether the store is well, stopped or gone cannot be told
 * from that, so nothing may be concluded from it. Its message is whole in itself; `next` says what to change.
 */
export class TlsFault extends Problem {
  override name = 'TlsFault';
}

/** Whom a connection was made to, as errors name it. */
export interface TlsTarget {
  /** `Qdrant` */
  title: string;
  /** Of the profile: `qdrant` */
  store: string;
  /** `https://qdrant:6333` */
  address: string;
  host: string;
  port: number;
  caFile: string | undefined;
  /** Whether a client certificate is shown. */
  showsCertificate: boolean;
  /** How plain and TLS are asked for in this profile: `http://` and `https://`. */
  plain: string;
  secure: string;
  /** What `openssl s_client` needs besides the address. */
  startTls?: string;
}

const UNTRUSTED: Record<string, string> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself alone',
  SELF_SIGNED_CERT_IN_CHAIN: 'the CA that signed it is not among',
  UNABLE_TO_GET_ISSUER_CERT: 'the CA that signed it is not among',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the CA that signed it is not among',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the CA that signed it is not among',
  CERT_UNTRUSTED: 'the CA that signed it is not among',
  CERT_SIGNATURE_FAILURE: 'its signature is not of',
  INVALID_CA: 'what signed it is no CA among',
  INVALID_PURPOSE: 'it is no certificate for a server, by',
};

const UNSENT = 'Nothing was sent to it, and nothing was changed.';
const UNCHANGED = 'Nothing was changed.';

const SPEAKS_NO_TLS =
  /does not support SSL|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_LAYER_FAILURE|INVALID_RECORD/i;
const WANTS_CERTIFICATE =
  /CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|ALERT_UNKNOWN_CA|ALERT_CERTIFICATE_(EXPIRED|REVOKED|UNKNOWN)|ALERT_HANDSHAKE_FAILURE|ALERT_UNSUPPORTED_CERTIFICATE|ALERT_ACCESS_DENIED/;
const OF_TLS =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$|CERT_|CRL_|UNABLE_TO_|HOSTNAME_MISMATCH|EE_KEY|CA_MD|PATH_LENGTH)/;

const shown = (error: unknown): string => shortened(codeOf(error) || messageOf(error).trim());

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** The fault of TLS behind an error of a connection, looked for along its causes; undefined where it is of another kind. */
export function tlsFaultOf(error: unknown, target: TlsTarget): TlsFault | undefined {
  const known = tlsFaultIn(error);
  if (known) return known;
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    const fault = classify(one, target);
    if (fault) return fault;
  }
  return undefined;
}

/** A fault that is wrapped in other errors. */
export function tlsFaultIn(error: unknown): TlsFault | undefined {
  for (let one: unknown = error; one instanceof Error; one = one.cause) if (one instanceof TlsFault) return one;
  return undefined;
}

function classify(error: Error, target: TlsTarget): TlsFault | undefined {
  const { title, store, host, secure } = target;
  const code = codeOf(error);
  const trusted = target.caFile ? `the CAs in ${target.caFile}` : 'the public CAs that this program knows';
  if (code in UNTRUSTED) {
    const why = UNTRUSTED[code]!;
    return fault(
      target,
      `its certificate is not trusted: ${why}${why.endsWith(' alone') ? ', and is not in' : ''} ${trusted} (${code})`,
      target.caFile
        ? `if ${title} has a new certificate, put the CA that signed it into ${target.caFile}`
        : `name the file of the CA that signed it as ${store}.caFile in the profile`,
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const now = new Date().toISOString().slice(0, 16).replace('T', ' ');
    const state = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet';
    return fault(
      target,
      `its certificate, or the CA's, ${state} (by the clock of this machine it is ${now} UTC)`,
      `renew the certificate of ${title}, and have it load that; or set this machine's clock`,
    );
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const { cert } = error as { cert?: { subjectaltname?: string; subject?: { CN?: string } } };
    const names = cert?.subjectaltname ?? (cert?.subject?.CN === undefined ? 'no name' : `CN ${cert.subject.CN}`);
    return fault(
      target,
      `its certificate is not for ${host}, but for ${shortened(names)}`,
      `put a host of its certificate into ${store}.url, or give ${title} a certificate for ${host}`,
    );
  }
  if (SPEAKS_NO_TLS.test(code) || SPEAKS_NO_TLS.test(error.message)) return speaksNoTls(target, shown(error));
  if (WANTS_CERTIFICATE.test(code)) return wantsCertificate(target, code);
  if (OF_TLS.test(code))
    return fault(
      target,
      `TLS could not be agreed on (${shown(error)})`,
      `see what it offers; then mend the TLS settings of ${title}, or ${store}.url (${secure})`,
    );
  return undefined;
}

export function speaksNoTls(target: TlsTarget, seen: string): TlsFault {
  const { title, plain, secure, store } = target;
  return fault(
    target,
    `what answers there speaks no TLS${seen ? ` (${seen})` : ''}`,
    `turn TLS on at ${title}; or, where the way to it is safe, say ${plain} instead of ${secure} in ${store}.url`,
    UNSENT,
    false,
  );
}

export function wantsCertificate(target: TlsTarget, code: string): TlsFault {
  const { title, store } = target;
  return target.showsCertificate
    ? fault(
        target,
        `it does not take the client certificate of the profile (${code})`,
        `give ${store}.certFile and keyFile a certificate that a CA of ${title} has signed`,
        UNCHANGED,
      )
    : fault(
        target,
        `it wants a client certificate, and the profile names none (${code})`,
        `name one as ${store}.certFile and ${store}.keyFile in the profile, or have ${title} ask for none`,
        UNCHANGED,
      );
}

/** A connection without TLS to something that speaks TLS only. */
export function onlySpeaksTls({ title, store, address, plain, secure }: TlsTarget, seen: string): TlsFault {
  return new TlsFault(
    `${title} at ${address} was asked without TLS, and answers over TLS only (${shortened(seen)})`,
    {
      safe: UNCHANGED,
      next: `say ${secure} instead of ${plain} in ${store}.url, and name its CA as ${store}.caFile unless that is a public one`,
      exitCode: EXIT.stepFailed,
    },
  );
}

function fault(target: TlsTarget, seen: string, next: string, safe = UNSENT, hasCertificate = true): TlsFault {
  const { title, address, host, port, startTls } = target;
  const at = host.includes(':') ? `[${host}]` : host;
  const look = `openssl s_client -connect ${at}:${port}${startTls ? ` -starttls ${startTls}` : ''} -showcerts </dev/null`;
  return new TlsFault(`${title} at ${address} was asked over TLS, and ${seen}`, {
    safe,
    next: hasCertificate ? `${next}. What it shows: ${look}` : next,
    exitCode: EXIT.stepFailed,
  });
}
