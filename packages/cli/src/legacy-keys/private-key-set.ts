/** The private keys of a run, and which of them a value means. */

import type { KeyObject } from 'node:crypto'

import type { PrivateKey, PrivateKeys } from '../formats/legacy-format.ts'
import { RsaPrivateKey } from './rsa-private-key.ts'

/** A private key as it goes to a worker. */
export interface PrivateKeyEntry {
  /** The file, as given. */
  readonly name: string
  readonly key: KeyObject
  /** The key ids it answers to. Empty: to every one that no other key has. */
  readonly keyIds: readonly string[]
}

export class PrivateKeySet implements PrivateKeys {
  readonly #byKeyId = new Map<string, readonly PrivateKey[]>()
  readonly #others: readonly PrivateKey[]

  /** @throws PrivateKeyError when one is no RSA key. */
  constructor(entries: readonly PrivateKeyEntry[]) {
    const others: PrivateKey[] = []
    for (const { name, key, keyIds } of entries) {
      const privateKey = new RsaPrivateKey(name, key)
      if (keyIds.length === 0) others.push(privateKey)
      for (const keyId of keyIds) {
        this.#byKeyId.set(keyId, [...(this.#byKeyId.get(keyId) ?? []), privateKey])
      }
    }
    this.#others = others
  }

  candidates(keyId: string | undefined): readonly PrivateKey[] {
    const named = keyId === undefined ? undefined : this.#byKeyId.get(keyId)
    return named ?? this.#others
  }
}
