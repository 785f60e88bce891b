/** What the service speaks over TLS: version, groups, and why a handshake ended. */

import type { ServerOptions } from 'node:https'

/** ML-KEM-768 beside X25519, for the key exchange (RFC 10024). */
export const postQuantumGroup = 'X25519MLKEM768'

/** The slash: also a client that sent a share for a classical group only is asked for the one before it. */
const preferred = `${postQuantumGroup}/X25519:P-256:P-384`

export interface TlsSettings {
  /** PEM, the service's own certificate first. */
  readonly certificate: Buffer
  /** PEM. */
  readonly privateKey: Buffer
  /** Refuses clients without a post-quantum group. */
  readonly requirePostQuantum: boolean
}

export function tlsServerOptions(tls: TlsSettings, handshakeTimeoutMs: number): ServerOptions {
  return {
    cert: tls.certificate,
    key: tls.privateKey,
    // Nothing before it has a post-quantum group.
    minVersion: 'TLSv1.3',
    ecdhCurve: tls.requirePostQuantum ? postQuantumGroup : preferred,
    handshakeTimeout: handshakeTimeoutMs,
  }
}

/** Why a connection ended before a request could be answered; a closed list, since it labels a counter. */
export const refusals = {
  no_post_quantum_group: `a client offers no post-quantum group (${postQuantumGroup}), which is required here`,
  no_common_group: 'a client offers no group for the key exchange that is known here',
  old_tls: 'a client speaks no TLS 1.3',
  certificate_refused: 'a client does not accept the certificate',
  plain_http: 'a client speaks plain HTTP where TLS is spoken',
  slow_handshake: 'a client did not finish the TLS handshake in time',
  failed_handshake: 'a TLS handshake failed',
  slow_request: 'a client did not send its request in time',
  malformed_request: 'a client sent what is not HTTP, or too many headers',
  too_many_connections: 'a connection was closed at once: there are too many',
} as const

export type Refusal = keyof typeof refusals

const byCode: Readonly<Record<string, Refusal>> = {
  ERR_SSL_NO_SUITABLE_KEY_SHARE: 'no_common_group',
  ERR_SSL_NO_SUITABLE_GROUPS: 'no_common_group',
  ERR_SSL_NO_SHARED_GROUPS: 'no_common_group',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'old_tls',
  ERR_SSL_VERSION_TOO_LOW: 'old_tls',
  ERR_SSL_WRONG_VERSION_NUMBER: 'old_tls',
  ERR_SSL_HTTP_REQUEST: 'plain_http',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'slow_handshake',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'certificate_refused',
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE': 'certificate_refused',
  'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN': 'certificate_refused',
  'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED': 'certificate_refused',
  // As OpenSSL before 3.5 calls them.
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'certificate_refused',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'certificate_refused',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'certificate_refused',
}

/** `undefined` for a client that only went away. */
export function handshakeRefusal(code: string, { requirePostQuantum }: TlsSettings): Refusal | undefined {
  if (code === 'ECONNRESET') return undefined
  const refusal = byCode[code] ?? 'failed_handshake'
  return refusal === 'no_common_group' && requirePostQuantum ? 'no_post_quantum_group' : refusal
}
