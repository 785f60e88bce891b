/**
 * The hybrid KEM of ML-KEM and a Diffie-Hellman group (SPEC §1; draft-ietf-hpke-pq, the concrete instances of
 * draft-irtf-cfrg-hybrid-kems with the C2PRI combiner): the shared secret holds as long as one of the two does.
 */

import { concat, copyBytes, utf8, wipe } from '../bytes.ts'
import { LongholdError, cannotOpen } from '../errors.ts'
import type { Backend, DhGroup, MlKem } from './backend-interface.ts'
import { backend } from './backend.ts'
import type { Kem } from './kem.ts'

interface HybridParameters {
  readonly id: number
  readonly publicKeyBytes: number
  readonly encapsulatedKeyBytes: number
  /** Hashed last into the shared secret. */
  readonly label: Uint8Array
  readonly group: (from: Backend) => DhGroup
  readonly mlKem: (from: Backend) => MlKem
}

const seedBytes = 32
const mlKemSeedBytes = 64
const mlKemSecretBytes = 32

/** MLKEM768-X25519 (HPKE KEM 0x647a), the same bytes as X-Wing (draft-connolly-cfrg-xwing-kem-10 §5). */
export const mlKem768X25519: Kem = hybridKem({
  id: 0x647a,
  publicKeyBytes: 1216,
  encapsulatedKeyBytes: 1120,
  label: utf8('\\.//^\\'), // 5c2e2f2f5e5c
  group: (from) => from.x25519,
  mlKem: (from) => from.mlKem768,
})

/** Joins the two; `mlKem` and `group` say where a backend has them. */
export function hybridKem({
  id,
  publicKeyBytes,
  encapsulatedKeyBytes,
  label,
  group,
  mlKem,
}: HybridParameters): Kem {
  return {
    id,
    seedBytes,
    publicKeyBytes,
    encapsulatedKeyBytes,

    encapsulationKey(publicKey) {
      const from = backend()
      const pq = mlKem(from)
      const dh = group(from)
      if (publicKey.length !== publicKeyBytes) throw badKey(`a public key of ${publicKey.length} bytes`)
      const theirShare = copyBytes(publicKey.subarray(pq.publicKeyBytes))
      const theirPq = refusing(() => pq.encapsulationKey(publicKey.subarray(0, pq.publicKeyBytes)))
      const theirDh = refusing(() => dh.publicKey(theirShare))
      refusing(() => dh.checkPublicKey(theirDh))
      const encapsulateInto = (out: Uint8Array, testingRandomness?: Uint8Array): Uint8Array => {
        const fromPq = theirPq.encapsulate(testingRandomness?.subarray(0, mlKemSecretBytes))
        const ours = dh.ephemeral(testingRandomness?.subarray(mlKemSecretBytes))
        const fromDh = ours.agree(theirDh)
        out.set(fromPq.ciphertext)
        out.set(ours.publicKey, pq.ciphertextBytes)
        return combine(from, fromPq.sharedSecret, fromDh, ours.publicKey, theirShare)
      }
      return {
        encapsulatedKeyBytes,
        encapsulateInto,
        encapsulate(testingRandomness) {
          const encapsulatedKey = new Uint8Array(encapsulatedKeyBytes)
          return { sharedSecret: encapsulateInto(encapsulatedKey, testingRandomness), encapsulatedKey }
        },
      }
    },

    decapsulationKey(seed) {
      const from = backend()
      const pq = mlKem(from)
      const dh = group(from)
      if (seed.length !== seedBytes) throw badKey(`a seed of ${seed.length} bytes`)
      const expanded = from.shake256(seed, mlKemSeedBytes + dh.scalarBytes)
      try {
        const ourPq = pq.decapsulationKey(expanded.subarray(0, mlKemSeedBytes))
        const ourDh = refusing(() => dh.privateKey(expanded.subarray(mlKemSeedBytes)))
        return {
          publicKey: concat(ourPq.publicKey, ourDh.publicKey),
          decapsulate(encapsulatedKey) {
            if (encapsulatedKey.length !== encapsulatedKeyBytes) throw cannotOpen()
            const theirShare = encapsulatedKey.subarray(pq.ciphertextBytes)
            const fromPq = ourPq.decapsulate(encapsulatedKey.subarray(0, pq.ciphertextBytes))
            let fromDh: Uint8Array
            try {
              // Throws for a point off the curve and for an all-zero secret (SPEC §1): with either, anybody
              // could make a stanza that opens.
              fromDh = ourDh.agree(dh.publicKey(theirShare))
            } catch {
              wipe(fromPq)
              throw cannotOpen()
            }
            return combine(from, fromPq, fromDh, theirShare, ourDh.publicKey)
          },
        }
      } finally {
        wipe(expanded)
      }
    },
  }

  function combine(
    from: Backend,
    pqSecret: Uint8Array,
    dhSecret: Uint8Array,
    ciphertext: Uint8Array,
    publicKey: Uint8Array,
  ) {
    const input = concat(pqSecret, dhSecret, ciphertext, publicKey, label)
    const sharedSecret = from.sha3_256(input)
    wipe(input, pqSecret, dhSecret)
    return sharedSecret
  }
}

function badKey(what: string): LongholdError {
  return new LongholdError('bad_key', `${what} does not fit the suite`)
}

/** Runs a check of a key; what it throws (the backends differ) becomes one `bad_key`. */
function refusing<T>(check: () => T): T {
  try {
    return check()
  } catch (cause) {
    throw new LongholdError('bad_key', 'not a valid public key or seed', { cause })
  }
}
