/** HPKE, mode Base, single shot, two-stage key schedule, empty psk and psk_id (RFC 9180 §5.1, §6.1; SPEC §5.2). */

import { concat, u16, utf8, wipe } from '../bytes.ts'
import type { HashName } from './backend-interface.ts'
import { backend } from './backend.ts'
import { hkdfExpand } from './kdf.ts'
import type { DecapsulationKey, EncapsulationKey } from './kem.ts'

export interface HpkeSuite {
  readonly kemId: number
  readonly kdfId: number
  /** Always 0x0002, AES-256-GCM. */
  readonly aeadId: number
  /** The hash of the KDF. */
  readonly hash: HashName
}

const version = utf8('HPKE-v1')
const modeBase = Uint8Array.of(0)
const nothing = new Uint8Array()
const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16

/** Encapsulates to the key and seals `plaintext` under the outcome: encapsulated key ‖ ciphertext. */
export function sealBase(
  suite: HpkeSuite,
  theirKey: EncapsulationKey,
  {
    info,
    plaintext,
    testingRandomness,
  }: { info: Uint8Array; plaintext: Uint8Array; testingRandomness?: Uint8Array | undefined },
): Uint8Array {
  const sealed = new Uint8Array(theirKey.encapsulatedKeyBytes + plaintext.length + tagBytes)
  const sharedSecret = theirKey.encapsulateInto(sealed, testingRandomness)
  const { key, baseNonce } = keySchedule(suite, sharedSecret, info)
  const ciphertext = sealed.subarray(theirKey.encapsulatedKeyBytes)
  backend().aes256gcm(key).seal(baseNonce, plaintext, nothing, ciphertext)
  wipe(key)
  return sealed
}

/**
 * Opens what `sealBase` sealed; `undefined` when the tag is wrong.
 *
 * @throws LongholdError `cannot_open` from the decapsulation.
 */
export function openBase(
  suite: HpkeSuite,
  ourKey: DecapsulationKey,
  {
    encapsulatedKey,
    info,
    ciphertext,
  }: { encapsulatedKey: Uint8Array; info: Uint8Array; ciphertext: Uint8Array },
): Uint8Array | undefined {
  const { key, baseNonce } = keySchedule(suite, ourKey.decapsulate(encapsulatedKey), info)
  const plaintext = backend().aes256gcm(key).open(baseNonce, ciphertext, nothing)
  wipe(key)
  return plaintext
}

/** RFC 9180 §5.1; wipes the shared secret. Exported for its vectors. */
export function keySchedule(
  suite: HpkeSuite,
  sharedSecret: Uint8Array,
  info: Uint8Array,
): { key: Uint8Array; baseNonce: Uint8Array } {
  const { labels, pskIdHash } = constantsOf(suite)
  const infoHash = hmacOnce(suite.hash, nothing, labels.infoHash, info)
  const secret = hmacOnce(suite.hash, sharedSecret, labels.secret)
  const prk = backend().hmac(suite.hash, secret)
  const key = hkdfExpand(prk, [labels.key, modeBase, pskIdHash, infoHash], keyBytes)
  const baseNonce = hkdfExpand(prk, [labels.baseNonce, modeBase, pskIdHash, infoHash], nonceBytes)
  prk.wipe()
  wipe(secret, sharedSecret)
  return { key, baseNonce }
}

/** What depends on the suite alone: the prefixes of what is hashed, and the hash of the empty psk_id. */
interface Constants {
  readonly labels: Readonly<Record<'infoHash' | 'secret' | 'key' | 'baseNonce', Uint8Array>>
  readonly pskIdHash: Uint8Array
}
const constants = new WeakMap<HpkeSuite, Constants>()

function constantsOf(suite: HpkeSuite): Constants {
  let found = constants.get(suite)
  if (found === undefined) {
    const suiteId = concat(utf8('HPKE'), u16(suite.kemId), u16(suite.kdfId), u16(suite.aeadId))
    const extract = (label: string) => concat(version, suiteId, utf8(label))
    const expand = (label: string, length: number) => concat(u16(length), extract(label))
    found = {
      labels: {
        infoHash: extract('info_hash'),
        secret: extract('secret'),
        key: expand('key', keyBytes),
        baseNonce: expand('base_nonce', nonceBytes),
      },
      pskIdHash: hmacOnce(suite.hash, nothing, extract('psk_id_hash')),
    }
    constants.set(suite, found)
  }
  return found
}

function hmacOnce(hash: HashName, key: Uint8Array, ...message: readonly Uint8Array[]): Uint8Array {
  const hmac = backend().hmac(hash, key)
  const mac = hmac.mac(...message)
  hmac.wipe()
  return mac
}
