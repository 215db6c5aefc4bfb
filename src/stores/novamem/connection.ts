import type { Profile } from '../../config/profile.js';
import { resolveSecret } from '../../config/secrets.js';
import { messageOf } from '../../words.js';

const PATIENCE = 10_000;

/** An answer of the service: its status, and its body where that is JSON. */
export interface Answer {
  status: number;
  body: unknown;
}

/** The novamem service of a profile. Only read here: nothing in this program writes memories but the health probe. */
export class Novamem {
  readonly address: string;
  readonly #token: string | undefined;

  constructor(settings: NonNullable<Profile['novamem']>) {
    this.address = settings.url.replace(/\/$/, '');
    this.#token = settings.tokenFrom ? resolveSecret(settings.tokenFrom, 'the novamem token') : undefined;
  }

  /** `GET` of a path. Rejects when nothing answers, with the socket's own reason. */
  async get(path: string): Promise<Answer> {
    const headers = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
    let response: Response;
    try {
      response = await fetch(this.address + path, { headers, signal: AbortSignal.timeout(PATIENCE) });
    } catch (error) {
      const cause = (error as { cause?: unknown }).cause;
      throw new Error(`GET ${this.address}${path}: ${messageOf(cause ?? error)}`);
    }
    const text = await response.text();
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      return { status: response.status, body: text.slice(0, 500) };
    }
  }
}
