/**
 * The platform's backend: node:crypto, where it has ML-KEM and raw public keys (Node 24.15 and later). Asymmetric
 * keys are imported once into KeyObjects, since importing costs as much as using. The module is fetched at run
 * time, so that bundlers and other runtimes meet no `node:` import.
 */

import type * as NodeCrypto from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { concat, copyBytes, wipe } from '../bytes.ts'
import type { AeadKey, Backend, DhGroup, DhPrivateKey, MlKem } from './backend-interface.ts'
import { hmacFrom } from './hmac-native.ts'
import { roundTrips } from './round-trips.ts'

// PKCS#8 in front of raw private keys (RFC 5958, RFC 8410, RFC 9935): less than half the price of `raw-seed`,
// for which OpenSSL tests the pair.
const pkcs8 = {
  // The seed form: d ‖ z, 64 bytes.
  'ml-kem-768': bytesOf('3054020100300b060960864801650304040204428040'),
  'ml-kem-1024': bytesOf('3054020100300b060960864801650304040304428040'),
  x25519: bytesOf('302e020100300506032b656e04220420'),
}
type KeyType = keyof typeof pkcs8

export type NodeCryptoModule = typeof NodeCrypto

/** node:crypto, where there is one. */
export function nativeCrypto(): NodeCryptoModule | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (id: 'node:crypto') => NodeCryptoModule }
  }
  return process?.getBuiltinModule?.('node:crypto')
}

/** `undefined` where there is no node:crypto; whether it can do all that is asked is for `roundTrips` to say. */
export function nativeBackend(): Backend | undefined {
  const crypto = nativeCrypto()
  return crypto === undefined ? undefined : backendFrom(crypto)
}

/** `undefined` where there is no node:crypto, or one that cannot do all that is asked. */
export function workingNativeBackend(): Backend | undefined {
  const native = nativeBackend()
  return native !== undefined && roundTrips(native) ? native : undefined
}

function backendFrom(crypto: NodeCryptoModule): Backend {
  return {
    name: 'native',
    mlKem768: nativeMlKem(crypto, 'ml-kem-768', { publicKeyBytes: 1184, ciphertextBytes: 1088 }),
    x25519: x25519From(crypto),

    aes256gcm: (key) => aes256gcmFrom(crypto, key),

    hmac: (hash, key) => hmacFrom(crypto, hash, key),

    sha256: (message) => crypto.hash('sha256', message, 'buffer'),
    sha3_256: (message) => crypto.hash('sha3-256', message, 'buffer'),
    shake256: (message, length) =>
      crypto.createHash('shake256', { outputLength: length }).update(message).digest(),
  }
}

const gcmOptions = { authTagLength: 16 } as const
/** From so many messages on, as a stream has chunks, making a KeyObject is cheaper than handing the bytes over again. */
const keyObjectPays = 8

function aes256gcmFrom(crypto: NodeCryptoModule, key: Uint8Array): AeadKey {
  let prepared: Uint8Array | KeyObject = key
  let uses = 0
  function keyOf(): Uint8Array | KeyObject {
    if (++uses === keyObjectPays) prepared = crypto.createSecretKey(key)
    return prepared
  }
  /** What stands before the tag, in memory that Node made for it. */
  function opened(nonce: Uint8Array, ciphertext: Uint8Array, aad: Uint8Array): Buffer | undefined {
    const end = ciphertext.length - 16
    const decipher = crypto.createDecipheriv('aes-256-gcm', keyOf(), nonce, gcmOptions)
    if (aad.length > 0) decipher.setAAD(aad)
    decipher.setAuthTag(ciphertext.subarray(end))
    const plaintext = decipher.update(ciphertext.subarray(0, end))
    try {
      decipher.final()
      return plaintext
    } catch {
      plaintext.fill(0)
      return undefined
    }
  }
  return {
    seal(nonce, plaintext, aad, out) {
      const cipher = crypto.createCipheriv('aes-256-gcm', keyOf(), nonce, gcmOptions)
      if (aad.length > 0) cipher.setAAD(aad)
      const ciphertext = cipher.update(plaintext)
      out.set(ciphertext)
      release(ciphertext)
      cipher.final() // GCM has nothing left to give
      out.set(cipher.getAuthTag(), plaintext.length)
    },
    open(nonce, ciphertext, aad) {
      const plaintext = opened(nonce, ciphertext, aad)
      return plaintext === undefined ? undefined : ownBytes(plaintext)
    },
    openInto(nonce, ciphertext, aad, out) {
      const plaintext = opened(nonce, ciphertext, aad)
      if (plaintext === undefined) return false
      out.set(plaintext)
      Uint8Array.prototype.fill.call(plaintext, 0) // a Buffer's own is slower
      release(plaintext)
      return true
    },
    wipe() {
      prepared = key
    },
  }
}

/** Below this the collector's way is the cheaper one. */
const minReleasedBytes = 4096

/**
 * Gives memory that Node made back at once, so that the next chunk is worked on in the same, which the processor still has at
 * hand. Left to the collector, some 64 MiB of them pile up.
 */
function release({ length, buffer }: Buffer): void {
  // What lies in a pool is not ours alone.
  if (length < minReleasedBytes || length !== buffer.byteLength || !('transfer' in buffer)) return
  buffer.transfer(0)
}

/** ML-KEM in one of its parameter sets. */
export function nativeMlKem(
  crypto: NodeCryptoModule,
  parameterSet: 'ml-kem-768' | 'ml-kem-1024',
  sizes: Pick<MlKem, 'publicKeyBytes' | 'ciphertextBytes'>,
): MlKem {
  return {
    ...sizes,
    encapsulationKey(publicKey) {
      const keyObject = importPublic(crypto, parameterSet, publicKey)
      return {
        encapsulate(testingM) {
          if (testingM !== undefined) throw new Error('node:crypto takes no encapsulation randomness')
          const { sharedKey: sharedSecret, ciphertext } = crypto.encapsulate(keyObject)
          return { sharedSecret, ciphertext }
        },
      }
    },
    decapsulationKey(seed) {
      const keyObject = importPrivate(crypto, parameterSet, seed)
      return {
        publicKey: exportPublic(crypto.createPublicKey(keyObject)),
        decapsulate: (ciphertext) => crypto.decapsulate(keyObject, ciphertext),
      }
    },
  }
}

function x25519From(crypto: NodeCryptoModule): DhGroup<KeyObject> {
  let probe: DhPrivateKey<KeyObject> | undefined
  const withKeys = (privateKey: KeyObject, publicKey: Uint8Array): DhPrivateKey<KeyObject> => ({
    publicKey,
    // OpenSSL refuses an all-zero secret.
    agree: (theirs) => crypto.diffieHellman({ privateKey, publicKey: theirs }),
  })
  const fromScalar = (scalar: Uint8Array): DhPrivateKey<KeyObject> => {
    const privateKey = importPrivate(crypto, 'x25519', scalar)
    return withKeys(privateKey, exportPublic(crypto.createPublicKey(privateKey)))
  }
  return {
    publicKeyBytes: 32,
    scalarBytes: 32,
    publicKey: (bytes) => importPublic(crypto, 'x25519', bytes),
    checkPublicKey(theirs) {
      // Any scalar will do: whether the secret is all zero depends on the public key alone.
      probe ??= fromScalar(new Uint8Array(32).fill(1))
      probe.agree(theirs)
    },
    privateKey: fromScalar,
    ephemeral(testingScalar) {
      if (testingScalar !== undefined) return fromScalar(testingScalar)
      const { privateKey, publicKey } = crypto.generateKeyPairSync('x25519', {
        publicKeyEncoding: { format: 'raw-public' },
      })
      return withKeys(privateKey, publicKey)
    },
  }
}

function importPublic(crypto: NodeCryptoModule, asymmetricKeyType: KeyType, key: Uint8Array): KeyObject {
  return crypto.createPublicKey({ key: asBuffer(key), format: 'raw-public', asymmetricKeyType })
}

function exportPublic(publicKey: KeyObject): Uint8Array {
  return copyBytes(publicKey.export({ format: 'raw-public' }))
}

function importPrivate(crypto: NodeCryptoModule, keyType: KeyType, raw: Uint8Array): KeyObject {
  const key = concat(pkcs8[keyType], raw)
  try {
    return crypto.createPrivateKey({ key: asBuffer(key), format: 'der', type: 'pkcs8' })
  } finally {
    wipe(key)
  }
}

/** What a Buffer holds as a plain array, without a copy where it has its memory to itself: one that lies in a pool
 *  would show its neighbours through `buffer`. */
function ownBytes(bytes: Buffer): Uint8Array<ArrayBuffer> {
  // Made by Node, which shares no memory here.
  if (bytes.length === bytes.buffer.byteLength) return new Uint8Array(bytes.buffer as ArrayBuffer)
  const copy = copyBytes(bytes)
  bytes.fill(0)
  return copy
}

/** Node takes any Uint8Array where its types say Buffer. */
function asBuffer(bytes: Uint8Array): Buffer {
  return bytes as Buffer
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
