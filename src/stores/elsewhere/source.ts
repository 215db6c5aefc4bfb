/** Something that data lost from Postgres might come back from. */
export interface Source {
  /** `dump`, `base backup`, `standby`: for people. */
  what: string;
  where: string;
  /** What is known of it, in words. */
  facts: string;
  /** `good`: it was proven or can simply be used; `perhaps`: worth a look; `none`: it holds nothing that helps. */
  worth: 'good' | 'perhaps' | 'none';
  /** What to type to use it. */
  next?: string;
}

/** A place that was looked at: what was found there, or why it could not be looked at. */
export interface Place {
  place: string;
  sources: Source[];
  /** Why it could not be looked at; empty where it was. */
  unreadable: string;
  /** Whether it belongs to what is lost: that it cannot be looked at is then to be expected. */
  lost?: boolean;
}

export const lookedAt = (place: string, sources: Source[]): Place => ({ place, sources, unreadable: '' });
export const notLookedAt = (place: string, unreadable: string): Place => ({ place, sources: [], unreadable });
