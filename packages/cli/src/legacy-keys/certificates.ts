/** Certificates that lie beside private keys: CMS names a key by them. */

import { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** The certificates in a file, PEM, one or many, or DER, as DER; none when it holds something else. */
export function readCertificates(bytes: Uint8Array): Uint8Array[] {
  const text = Buffer.from(bytes).toString('latin1')
  const blocks = text.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END [^-]+-----/gu)
  return (blocks ?? [bytes]).flatMap((one) => {
    try {
      return [Uint8Array.from(new X509Certificate(one).raw)]
    } catch {
      return []
    }
  })
}

/** Those of the certificates that are of a key. */
export function certificatesOf(key: KeyObject, certificates: readonly Uint8Array[]): Uint8Array[] {
  return certificates.filter((one) => {
    try {
      return new X509Certificate(one).checkPrivateKey(key)
    } catch {
      // Its own key is of a kind that is not known here.
      return false
    }
  })
}
