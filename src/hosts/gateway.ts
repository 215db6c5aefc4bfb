/** What a change goes through, and the line a person could paste to do it by hand (secrets left out). */
export interface Change {
  channel: 'process' | 'http' | 'sql' | 'redis' | 'file' | 'service';
  text: string;
}

/** The one door through which everything that changes the world goes. */
export interface Gateway {
  /** The run that the changes belong to: programs that are started for it carry it in their environment. */
  run?: string;
  change<T>(change: Change, act: () => Promise<T>): Promise<T>;
}

/** Thrown by a gateway that lets nothing through. Reaching it from `plan` or `check` is a defect of that step. */
export class GatewayRefusal extends Error {
  override name = 'GatewayRefusal';
  constructor(readonly refused: Change) {
    super(`a dry run changes nothing, but this was tried: ${refused.channel}: ${refused.text}`);
  }
}

/** Lets changes through; tells `onChange` of each, and waits for it, before it is made. */
export function openGateway(onChange: (change: Change) => unknown, run?: string): Gateway {
  return {
    ...(run === undefined ? {} : { run }),
    async change(change, act) {
      await onChange(change);
      return await act();
    },
  };
}

/** Lets nothing through. */
export function closedGateway(): Gateway {
  return {
    async change(change) {
      throw new GatewayRefusal(change);
    },
  };
}
