/** Something that a scenario may need, and how it is. */
export interface Observation {
  /** `this machine`, `Postgres`: what it was looked for at. */
  about: string;
  level: 'ok' | 'warning' | 'blocking';
  /** A sentence without its end. */
  message: string;
  /** What to type or do. */
  next?: string;
  /** The scenarios that need it, where it is not needed by all. */
  concerns?: string[];
}

/** Ways to tell observations of one thing. */
export function observing(about: string) {
  const found: Observation[] = [];
  return {
    found,
    ok: (message: string) => void found.push({ about, level: 'ok', message }),
    warn: (message: string, next: string) => void found.push({ about, level: 'warning', message, next }),
    block: (message: string, next: string) => void found.push({ about, level: 'blocking', message, next }),
  };
}
