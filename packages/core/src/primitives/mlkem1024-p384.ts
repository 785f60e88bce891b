/**
 * MLKEM1024-P384 (HPKE KEM 0x0051; SPEC §1.2), on both backends. A module of its own, so that who does not use it
 * does not ship its curve and its hash.
 */

import { p384 } from '@noble/curves/nist.js'
import { sha384 } from '@noble/hashes/sha2.js'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'

import { copyBytes, utf8 } from '../bytes.ts'
import type { Backend, DhGroup, DhPrivateKey, MlKem } from './backend-interface.ts'
import { nativeCrypto, nativeMlKem } from './backend-native.ts'
import type { NodeCryptoModule } from './backend-native.ts'
import { nobleHashes, nobleMlKem } from './backend-noble.ts'
import { hybridKem } from './hybrid-kem.ts'
import type { Kem } from './kem.ts'
import { randomBytes } from './random.ts'

interface Parts {
  readonly mlKem: MlKem
  readonly group: DhGroup<Uint8Array>
}

const pointBytes = 97
const scalarBytes = 48
const mlKemSizes = { publicKeyBytes: 1568, ciphertextBytes: 1568 }

/** The cofactor is 1, and infinity has no encoding of this form: every point on the curve will do. */
const checkPublicKey = (): void => undefined

nobleHashes.sha384 = sha384

export const mlKem1024P384: Kem = hybridKem({
  id: 0x0051,
  publicKeyBytes: 1665,
  encapsulatedKeyBytes: 1665,
  label: utf8('MLKEM1024-P384'),
  mlKem: (from) => partsOf(from).mlKem,
  group: (from) => partsOf(from).group,
})

const noble: Parts = { mlKem: nobleMlKem(ml_kem1024, mlKemSizes), group: nobleP384() }
let native: Parts | undefined

function partsOf({ name }: Backend): Parts {
  const crypto = name === 'native' ? nativeCrypto() : undefined
  if (crypto === undefined) return noble
  native ??= { mlKem: nativeMlKem(crypto, 'ml-kem-1024', mlKemSizes), group: nativeP384(crypto) }
  return native
}

/** Uncompressed points only (SPEC §1.2); whether it lies on the curve is for the backend to say. */
function checkForm(point: Uint8Array): void {
  if (point.length !== pointBytes || point[0] !== 0x04) throw new Error('not an uncompressed point of P-384')
}

function nativeP384(crypto: NodeCryptoModule): DhGroup<Uint8Array> {
  const curve = 'secp384r1'
  const keyOf = (ecdh: ReturnType<NodeCryptoModule['createECDH']>): DhPrivateKey<Uint8Array> => ({
    publicKey: copyBytes(ecdh.getPublicKey()),
    agree: (theirs) => ecdh.computeSecret(theirs),
  })
  const fromScalar = (scalar: Uint8Array): DhPrivateKey<Uint8Array> => {
    const ecdh = crypto.createECDH(curve)
    ecdh.setPrivateKey(scalar) // throws unless it is 1 to n − 1
    return keyOf(ecdh)
  }
  return {
    publicKeyBytes: pointBytes,
    scalarBytes,
    publicKey(bytes) {
      checkForm(bytes)
      // Throws for a point off the curve.
      return crypto.ECDH.convertKey(bytes, curve, undefined, undefined, 'uncompressed')
    },
    checkPublicKey,
    privateKey: fromScalar,
    ephemeral(testingScalar) {
      if (testingScalar !== undefined) return fromScalar(testingScalar)
      const ecdh = crypto.createECDH(curve)
      ecdh.generateKeys()
      return keyOf(ecdh)
    },
  }
}

function nobleP384(): DhGroup<Uint8Array> {
  const fromScalar = (scalar: Uint8Array): DhPrivateKey<Uint8Array> => {
    const ours = copyBytes(scalar)
    return {
      publicKey: p384.getPublicKey(ours, false),
      // x alone, 48 bytes.
      agree: (theirs) => p384.getSharedSecret(ours, theirs, true).subarray(1),
    }
  }
  return {
    publicKeyBytes: pointBytes,
    scalarBytes,
    publicKey(bytes) {
      checkForm(bytes)
      p384.Point.fromBytes(bytes).assertValidity()
      return copyBytes(bytes)
    },
    checkPublicKey,
    privateKey: fromScalar,
    ephemeral: (testingScalar) => fromScalar(testingScalar ?? randomScalar()),
  }
}

/** 1 to n − 1, by trying again: a random 48-byte number is as good as always below n. */
function randomScalar(): Uint8Array {
  for (;;) {
    const scalar = randomBytes(scalarBytes)
    if (p384.utils.isValidSecretKey(scalar)) return scalar
  }
}
