/**
 * X25519 (RFC 7748 §5) on noble's Montgomery ladder alone, for browser bundles. Its other one computes public keys by
 * tables of the Edwards curve: three times as fast once the tables are made, which takes as long as forty keys on the
 * ladder, and a fifth of the whole bundle. A page seldom makes forty.
 */

import { pow } from '@noble/curves/abstract/modular.js'
import { montgomery } from '@noble/curves/abstract/montgomery.js'
import type { MontgomeryECDH } from '@noble/curves/abstract/montgomery.js'

const p = 2n ** 255n - 19n

export const x25519: MontgomeryECDH = /* @__PURE__ */ montgomery({
  P: p,
  type: 'x25519',
  adjustScalarBytes(scalar: Uint8Array) {
    // Clamping, RFC 7748 §5. `?? 0`: all 32 bytes are there.
    scalar[0] = (scalar[0] ?? 0) & 248
    scalar[31] = ((scalar[31] ?? 0) & 127) | 64
    return scalar
  },
  powPminus2: (x) => pow(x, p - 2n, p),
})
