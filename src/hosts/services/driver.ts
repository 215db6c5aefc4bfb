import type { Gateway } from '../gateway.js';

/** `unknown`: the driver has no way to tell, so the service itself must be asked. */
export type ServiceState = 'running' | 'stopped' | 'unknown';

/** Lines that a person could paste. */
export interface ServiceCommands {
  start: string;
  stop: string;
  status: string;
  /** Absent where a restart is a stop and a start. */
  restart?: string;
}

/** How one service is stopped, started and asked for its state. */
export interface ServiceDriver {
  /** As they hold now; where what they depend on cannot be asked, such that a shell asks for it. Read-only, never rejects. */
  commands(): Promise<ServiceCommands>;
  /** Rejects with a Problem where it has a supervisor that cannot be asked. */
  state(): Promise<ServiceState>;
  /** What its supervisor says of it; absent where it has none. Rejects with a Problem where that cannot be asked. */
  look?(): Promise<ServiceLook>;
  /** What keeps a person of these rights from driving it, and who may start it again. Read-only. */
  findings?(): Promise<ServiceFinding[]>;
  /**
   * Asks the service to start; answers when the asking is over, which is not yet when the service is ready.
   * A service that stays in the foreground is left running. `onLine` gets what the start command printed.
   */
  start(gateway: Gateway, options: DriverOptions): Promise<void>;
  stop(gateway: Gateway, options: DriverOptions): Promise<void>;
  /** The supervisor's own restart, which knows of more than a stop and a start do. Answers as `start` does. */
  restart?(gateway: Gateway, options: DriverOptions): Promise<void>;
  /** The service's own last words, as far as the driver can reach them. */
  lastLines(): Promise<string[]>;
}

/** A service as its supervisor sees it. */
export interface ServiceLook {
  state: 'running' | 'stopped';
  /** The container is healthy, the unit active, every replica ready. */
  ready: boolean;
  /** In a few words: `container novamem-qdrant-1 is running (health: starting)`. */
  seen: string;
  /** What of it runs now, each by a name that no later one gets. */
  instances: string[];
  /** Who may start it again though it was stopped: a warning; only though it ended by itself: an info. */
  revivers: ServiceFinding[];
}

export type ServiceFinding =
  | { level: 'blocking'; message: string; next: string }
  | { level: 'warning' | 'info'; message: string; next: string };

export interface DriverOptions {
  onLine(line: string): void;
  /** Says that the service answers: a start command that stays in the foreground is waited for no longer. */
  isReady?: () => Promise<boolean>;
  signal?: AbortSignal;
}
