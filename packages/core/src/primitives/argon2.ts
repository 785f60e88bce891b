/** Argon2id (RFC 9106, version 0x13): the platform's where it has one (Node 24.7 and later), else noble's. */

import { argon2idAsync } from '@noble/hashes/argon2.js'

import { nativeCrypto } from './backend-native.ts'

/** What it costs to try one passphrase. */
export interface Argon2Cost {
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly lanes: number
}

const keyBytes = 32

/** A key of 32 bytes. `which` is for tests, which compare the two. */
export async function argon2id(
  message: Uint8Array,
  salt: Uint8Array,
  { memory, passes, lanes }: Argon2Cost,
  which: 'native' | 'noble' | 'any' = 'any',
): Promise<Uint8Array> {
  const argon2 = which === 'noble' ? undefined : nativeCrypto()?.argon2
  if (typeof argon2 !== 'function') {
    if (which === 'native') throw new Error('this runtime has no Argon2')
    return await argon2idAsync(message, salt, {
      m: memory,
      t: passes,
      p: lanes,
      dkLen: keyBytes,
      maxmem: 2 ** 31,
    })
  }
  const parameters = { message, nonce: salt, memory, passes, parallelism: lanes, tagLength: keyBytes }
  return await new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}
