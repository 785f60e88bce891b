/**
 * The floor: the node:crypto calls that the native backend makes for each operation, bare, with cached KeyObjects and
 * nothing around them. The distance to it is what the library itself costs.
 */

import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  hash,
  randomBytes,
} from 'node:crypto'

import type { Inputs, Peer } from './peers/peer.ts'

const raw = { format: 'raw-public' } as const
const gcm = { authTagLength: 16 } as const
const mlKemSeed = Buffer.from('3054020100300b060960864801650304040204428040', 'hex')
const x25519Scalar = Buffer.from('302e020100300506032b656e04220420', 'hex')

export function floor({ seed, publicKey, encapsulatedKey, dataKey, info }: Inputs): Peer {
  const theirs = {
    pq: createPublicKey({
      key: Buffer.from(publicKey.subarray(0, 1184)),
      ...raw,
      asymmetricKeyType: 'ml-kem-768',
    }),
    dh: createPublicKey({ key: Buffer.from(publicKey.subarray(1184)), ...raw, asymmetricKeyType: 'x25519' }),
  }
  const expanded = expand(seed)
  const ours = { pq: mlKemKey(expanded.pq), dh: x25519Key(expanded.dh) }
  const ciphertext = encapsulatedKey.slice(0, 1088)
  const share = Buffer.from(encapsulatedKey.subarray(1088))
  const combined = randomBytes(134)

  const bareEncapsulate = () => {
    encapsulate(theirs.pq)
    const { privateKey, publicKey: ephemeral } = generateKeyPairSync('x25519')
    ephemeral.export(raw)
    diffieHellman({ privateKey, publicKey: theirs.dh })
    return hash('sha3-256', combined, 'buffer')
  }
  const bareDecapsulate = () => {
    decapsulate(ours.pq, ciphertext)
    const theirShare = createPublicKey({ key: share, ...raw, asymmetricKeyType: 'x25519' })
    diffieHellman({ privateKey: ours.dh, publicKey: theirShare })
    return hash('sha3-256', combined, 'buffer')
  }

  // The key schedule of HPKE: info_hash, secret, key and base nonce; the hash of the empty psk_id is a constant.
  const secret = randomBytes(32)
  const nonce = randomBytes(12)
  const hmacOfInfo = bareHmac('sha256', 26 + info.length)
  const hmacOfSecret = bareHmac('sha256', 23)
  const hmacOfKey = bareHmac('sha256', 95)
  const bareSchedule = () => [hmacOfInfo(), hmacOfSecret(), hmacOfKey(), hmacOfKey()]
  const sealBare = () => {
    const cipher = createCipheriv('aes-256-gcm', secret, nonce, gcm)
    const wrapped = cipher.update(dataKey)
    cipher.final()
    return { wrapped, tag: cipher.getAuthTag() }
  }
  const { wrapped, tag } = sealBare()
  const openBare = () => {
    const decipher = createDecipheriv('aes-256-gcm', secret, nonce, gcm)
    decipher.setAuthTag(tag)
    const opened = decipher.update(wrapped)
    decipher.final()
    return opened
  }

  return {
    name: 'floor: the bare node:crypto calls',
    kind: 'floor',
    operations: {
      generate: () => {
        const fresh = expand(randomBytes(32))
        const pq = createPublicKey(mlKemKey(fresh.pq)).export(raw)
        return [pq, createPublicKey(x25519Key(fresh.dh)).export(raw)]
      },
      encapsulate: bareEncapsulate,
      decapsulate: bareDecapsulate,
      seal: () => [bareEncapsulate(), bareSchedule(), sealBare()],
      open: () => [bareDecapsulate(), bareSchedule(), openBare()],
    },
  }
}

/** HMAC (RFC 2104) of so many bytes as the native backend makes it: two calls of the one-shot hash, the first into a string,
 *  which costs half as much. With two Buffers the floor would lie above what the library pays. */
export function bareHmac(algorithm: 'sha256' | 'sha512', messageBytes: number): () => Buffer {
  const [block, digest] = algorithm === 'sha256' ? [64, 32] : [128, 64]
  const inner = randomBytes(block + messageBytes)
  const outer = randomBytes(block + digest)
  return () => {
    hash(algorithm, inner, 'latin1')
    return hash(algorithm, outer, 'buffer')
  }
}

function expand(seed: Uint8Array) {
  const expanded = hash('shake256', seed, { outputEncoding: 'buffer', outputLength: 96 })
  return { pq: expanded.subarray(0, 64), dh: expanded.subarray(64) }
}

function mlKemKey(seed: Uint8Array) {
  return createPrivateKey({ key: Buffer.concat([mlKemSeed, seed]), format: 'der', type: 'pkcs8' })
}

function x25519Key(scalar: Uint8Array) {
  return createPrivateKey({ key: Buffer.concat([x25519Scalar, scalar]), format: 'der', type: 'pkcs8' })
}
