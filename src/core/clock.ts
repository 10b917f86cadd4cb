/** Time, as an argument: spans are monotonic, instants are the wall's. */
export interface Clock {
  /** Milliseconds since an arbitrary moment, with fractions; never goes back. */
  now(): number;
  /** Milliseconds since 1970 UTC. */
  wall(): number;
}

export const systemClock: Clock = { now: () => performance.now(), wall: () => Date.now() };
