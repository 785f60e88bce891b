/** The portable backend: noble's implementations, for every runtime without ML-KEM in node:crypto. */

import { gcm } from '@noble/ciphers/aes.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { sha3_256, shake256 } from '@noble/hashes/sha3.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import type { KEMPrepared } from '@noble/post-quantum/ml-kem.js'

import { copyBytes, wipe } from '../bytes.ts'
import type { AeadKey, Backend, DhGroup, DhPrivateKey, HashName, Hmac, MlKem } from './backend-interface.ts'
import { expandByMac } from './kdf.ts'
import { randomBytes } from './random.ts'
import { x25519 } from './x25519-noble.ts'

type NobleHash = typeof sha256 | typeof sha512
/** What HMAC is made of. A suite with another hash adds it, so that who does not use the suite does not ship it. */
export const nobleHashes = { sha256, sha512 } as Record<HashName, NobleHash> // nobody asks for SHA-384 but its suite

export const nobleBackend: Backend = {
  name: 'noble',
  mlKem768: nobleMlKem(ml_kem768, { publicKeyBytes: 1184, ciphertextBytes: 1088 }),
  x25519: x25519Group(),
  aes256gcm: nobleAes256gcm,
  hmac: (hash, key) => {
    const keyed = hmac.create(nobleHashes[hash], key)
    const mac: Hmac['mac'] = (...message) => {
      const running = keyed.clone()
      for (const part of message) running.update(part)
      return running.digest()
    }
    return {
      mac,
      expandInto: (output, info) => expandByMac(mac, output, info),
      wipe: () => keyed.destroy(),
    }
  },
  sha256: (message) => sha256(message),
  sha3_256: (message) => sha3_256(message),
  shake256: (message, length) => shake256(message, { dkLen: length }),
}

function nobleAes256gcm(key: Uint8Array): AeadKey {
  const open: AeadKey['open'] = (nonce, ciphertext, aad) => {
    try {
      return gcm(key, nonce, aad).decrypt(ciphertext)
    } catch {
      return undefined
    }
  }
  return {
    seal(nonce, plaintext, aad, out) {
      out.set(gcm(key, nonce, aad).encrypt(plaintext))
    },
    open,
    openInto(nonce, ciphertext, aad, out) {
      const plaintext = open(nonce, ciphertext, aad)
      if (plaintext === undefined) return false
      out.set(plaintext)
      wipe(plaintext)
      return true
    },
    wipe() {}, // it made nothing
  }
}

/** ML-KEM in one of its parameter sets. */
export function nobleMlKem(
  kem: typeof ml_kem768,
  sizes: Pick<MlKem, 'publicKeyBytes' | 'ciphertextBytes'>,
): MlKem {
  return {
    ...sizes,
    encapsulationKey(publicKey) {
      const prepared = kem.prepare(copyBytes(publicKey))
      return {
        encapsulate(testingM = randomBytes(32)) {
          const { sharedSecret, cipherText: ciphertext } = prepared.encapsulate(testingM)
          return { sharedSecret, ciphertext }
        },
      }
    },
    decapsulationKey(seed) {
      const { publicKey, secretKey } = kem.keygen(copyBytes(seed))
      // Not before it is needed: it costs half as much as the key pair, and many pairs never decapsulate here.
      let prepared: KEMPrepared | undefined
      return {
        publicKey,
        decapsulate(ciphertext) {
          prepared ??= kem.prepare(publicKey)
          return prepared.decapsulate(ciphertext, secretKey)
        },
      }
    },
  }
}

function x25519Group(): DhGroup<Uint8Array> {
  const withScalar = (scalar: Uint8Array): DhPrivateKey<Uint8Array> => ({
    publicKey: x25519.getPublicKey(scalar),
    // Throws on an all-zero secret.
    agree: (theirPublicKey) => x25519.getSharedSecret(scalar, theirPublicKey),
  })
  return {
    publicKeyBytes: 32,
    scalarBytes: 32,
    publicKey: copyBytes,
    checkPublicKey(theirs) {
      // Whether the secret is all zero does not depend on the scalar: clamping makes it a multiple of the cofactor.
      x25519.getSharedSecret(new Uint8Array(32).fill(1), theirs)
    },
    privateKey: (scalar) => withScalar(copyBytes(scalar)),
    ephemeral: (testingScalar = randomBytes(32)) => withScalar(copyBytes(testingScalar)),
  }
}
