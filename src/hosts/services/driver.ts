import type { Gateway } from '../gateway.js';

/** `unknown`: the driver has no way to tell, so the service itself must be asked. */
export type ServiceState = 'running' | 'stopped' | 'unknown';

/** How one service is stopped, started and asked for its state. */
export interface ServiceDriver {
  /** Lines that a person could paste. */
  commands: { start: string; stop: string; status: string };
  state(): Promise<ServiceState>;
  /**
   * Asks the service to start; answers when the asking is over, which is not yet when the service is ready.
   * A service that stays in the foreground is left running. `onLine` gets what the start command printed.
   */
  start(gateway: Gateway, options: DriverOptions): Promise<void>;
  stop(gateway: Gateway, options: DriverOptions): Promise<void>;
  /** The service's own last words, as far as the driver can reach them. */
  lastLines(): Promise<string[]>;
}

export interface DriverOptions {
  onLine(line: string): void;
  /** Says that the service answers: a start command that stays in the foreground is waited for no longer. */
  isReady?: () => Promise<boolean>;
  signal?: AbortSignal;
}
