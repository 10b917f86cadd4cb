/** What the gateway shows of itself on /metrics and /statsz. */

export interface Exposition {
  /** Prometheus text format 0.0.4. */
  metrics(): Promise<string>;
  /** The object of /statsz (surfaces.md 8, N20). */
  stats(): Promise<object>;
}
