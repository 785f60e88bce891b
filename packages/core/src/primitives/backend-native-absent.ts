/** What browser bundles have in place of `backend-native` (`browser` in package.json): there is no node:crypto. */

import type { Backend, MlKem } from './backend-interface.ts'

export type NodeCryptoModule = never

export function nativeCrypto(): undefined {
  return undefined
}

export function nativeBackend(): Backend | undefined {
  return undefined
}

export function workingNativeBackend(): Backend | undefined {
  return undefined
}

/** Never called: `nativeCrypto` gives nothing to call it with. */
export function nativeMlKem(crypto: NodeCryptoModule): MlKem {
  return crypto
}
