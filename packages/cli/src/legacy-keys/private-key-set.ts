/** The private keys of a run, and which of them a value means. */

import type { KeyObject } from 'node:crypto'

import type { PrivateKey, PrivateKeys, X25519PrivateKey } from '../formats/legacy-format.ts'
import { ExternalPrivateKey } from './external-private-key.ts'
import type { KeyCommandFacts } from './key-command.ts'
import { RsaPrivateKey } from './rsa-private-key.ts'
import { X25519Key } from './x25519-private-key.ts'

/** A private key as it goes to a worker. */
export type PrivateKeyEntry = NamedKey & (KeyInHand | KeyElsewhere)

interface NamedKey {
  /** The file or the program, as given. */
  readonly name: string
  /** The key ids it answers to, as the person said, and to no others. Empty: nothing was said. */
  readonly keyIds: readonly string[]
  /** Key ids by its file: it comes first for these, and answers to others too. */
  readonly knownIds?: readonly string[]
}

interface KeyInHand {
  readonly key: KeyObject
  readonly algorithm?: string | undefined
  readonly certificates?: readonly Uint8Array[]
}

interface KeyElsewhere extends KeyCommandFacts {
  readonly command: readonly string[]
}

export class PrivateKeySet implements PrivateKeys {
  readonly all: readonly PrivateKey[]
  readonly x25519: readonly X25519PrivateKey[]
  readonly #said = new Map<string, readonly PrivateKey[]>()
  readonly #known = new Map<string, readonly PrivateKey[]>()
  readonly #others: readonly PrivateKey[]

  /** @throws PrivateKeyError when one is neither RSA nor X25519. */
  constructor(entries: readonly PrivateKeyEntry[]) {
    const all: PrivateKey[] = []
    const others: PrivateKey[] = []
    const x25519: X25519PrivateKey[] = []
    for (const entry of entries) {
      const { name, keyIds, knownIds = [] } = entry
      if ('key' in entry && entry.key.asymmetricKeyType === 'x25519') {
        x25519.push(new X25519Key(name, entry.key))
        continue
      }
      const privateKey =
        'command' in entry
          ? new ExternalPrivateKey(name, entry.command, entry)
          : new RsaPrivateKey(name, entry.key, entry)
      all.push(privateKey)
      if (keyIds.length === 0) others.push(privateKey)
      for (const keyId of keyIds) add(this.#said, keyId, privateKey)
      if (keyIds.length === 0) for (const keyId of knownIds) add(this.#known, keyId, privateKey)
    }
    this.all = all
    this.x25519 = x25519
    this.#others = others
  }

  candidates(keyId: string | undefined): readonly PrivateKey[] {
    if (keyId === undefined) return this.#others
    return this.#said.get(keyId) ?? this.#known.get(keyId) ?? this.#others
  }
}

function add(map: Map<string, readonly PrivateKey[]>, keyId: string, key: PrivateKey): void {
  map.set(keyId, [...(map.get(keyId) ?? []), key])
}
