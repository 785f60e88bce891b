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

/** Encapsulates to the key and seals `plaintext` under the outcome. */
export function sealBase(
  suite: HpkeSuite,
  theirKey: EncapsulationKey,
  {
    info,
    plaintext,
    testingRandomness,
  }: { info: Uint8Array; plaintext: Uint8Array; testingRandomness?: Uint8Array | undefined },
): { encapsulatedKey: Uint8Array; ciphertext: Uint8Array } {
  const { sharedSecret, encapsulatedKey } = theirKey.encapsulate(testingRandomness)
  const { key, baseNonce } = keySchedule(suite, sharedSecret, info)
  const ciphertext = new Uint8Array(plaintext.length + tagBytes)
  backend().aes256gcm(key).seal(baseNonce, plaintext, nothing, ciphertext)
  wipe(key)
  return { encapsulatedKey, ciphertext }
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
  const plaintext = new Uint8Array(ciphertext.length - tagBytes)
  const opened = backend().aes256gcm(key).open(baseNonce, ciphertext, nothing, plaintext)
  wipe(key)
  return opened ? plaintext : undefined
}

/** RFC 9180 §5.1; wipes the shared secret. Exported for its vectors. */
export function keySchedule(
  suite: HpkeSuite,
  sharedSecret: Uint8Array,
  info: Uint8Array,
): { key: Uint8Array; baseNonce: Uint8Array } {
  const labels = concat(utf8('HPKE'), u16(suite.kemId), u16(suite.kdfId), u16(suite.aeadId))
  const extract = (salt: Uint8Array, label: string, ikm: Uint8Array) =>
    hmacOnce(suite.hash, salt, version, labels, utf8(label), ikm)

  const pskIdHash = extract(nothing, 'psk_id_hash', nothing)
  const infoHash = extract(nothing, 'info_hash', info)

  const secret = extract(sharedSecret, 'secret', nothing)
  const prk = backend().hmac(suite.hash, secret)
  const expand = (label: string, length: number) =>
    hkdfExpand(prk, [u16(length), version, labels, utf8(label), modeBase, pskIdHash, infoHash], length)
  const key = expand('key', keyBytes)
  const baseNonce = expand('base_nonce', nonceBytes)
  prk.wipe()
  wipe(secret, sharedSecret)
  return { key, baseNonce }
}

function hmacOnce(hash: HashName, key: Uint8Array, ...message: readonly Uint8Array[]): Uint8Array {
  const hmac = backend().hmac(hash, key)
  const mac = hmac.mac(...message)
  hmac.wipe()
  return mac
}
