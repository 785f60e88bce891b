/** How long anybody may take, and how many may come. */

export interface ConnectionLimits {
  /** From the first byte of a request to the end of its headers. */
  readonly headersTimeoutMs: number
  /** From its first byte to its last; Node's own default is five minutes. */
  readonly requestTimeoutMs: number
  /** Without a byte either way: between two requests, and where somebody does not read his answer. */
  readonly idleTimeoutMs: number
  /** At a time; more are closed as they come. */
  readonly maxConnections: number
}

export const defaultLimits: ConnectionLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  maxConnections: 10_000,
}

export const maxHeaderBytes = 16 * 1024
