/**
 * RSA keys of OpenPGP, as `gpg --export-secret-keys` writes them, through the library `openpgp`. Only their numbers are taken: what a
 * message needs of them is one RSA operation, which every private key of a run has.
 */

import type { KeyObject } from 'node:crypto'

import { readPrivateKeys, SecretKeyPacket, SecretSubkeyPacket } from 'openpgp'

import type { FoundKey } from './key-file.ts'
import { PrivateKeyError } from './private-key-error.ts'
import { rsaKeyOf } from './rsa-numbers.ts'

type SecretPacket = SecretKeyPacket | SecretSubkeyPacket

const armorMark = '-----BEGIN PGP PRIVATE KEY BLOCK-----'
const rsaAlgorithms: readonly number[] = [1, 2, 3]

/** True for the private keys of OpenPGP, armored or binary (a secret-key packet of version 3 to 6, RFC 9580 §5.5.1). */
export function isOpenPgpKey(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.subarray(0, 4096)).toString('latin1')
  if (start.trimStart().startsWith(armorMark)) return true
  const [first = 0, length = 0] = bytes
  const lengthBytes = first < 0xc0 ? [1, 2, 4, 0][first & 3] : length < 192 ? 1 : length < 224 ? 2 : 5
  const tag = first < 0xc0 ? (first >> 2) & 0x0f : first & 0x3f
  const version = bytes[1 + (lengthBytes ?? 0)] ?? 0
  return first >= 0x80 && tag === 5 && version >= 3 && version <= 6
}

/**
 * The RSA keys and subkeys in a file, each with its key id (16 digits in upper case); those of other kinds, and those whose
 * secret is elsewhere, are left out.
 *
 * @returns At least one.
 * @throws PrivateKeyError
 */
export async function readOpenPgpKeys(
  bytes: Uint8Array,
  passphrase: string | undefined,
): Promise<FoundKey[]> {
  const packets = await packetsOf(bytes)
  const rsa = packets.filter(({ algorithm }) => rsaAlgorithms.includes(algorithm))
  if (rsa.length === 0) throw new PrivateKeyError('not_rsa', 'it is an OpenPGP key, but not an RSA key')
  // A card has it, or it was left out on purpose.
  const present = rsa.filter((packet) => !packet.isMissingSecretKeyMaterial())
  if (present.length === 0) {
    throw new PrivateKeyError(
      'not_a_key',
      'it is an OpenPGP key without its secret, which is on a card or elsewhere',
    )
  }
  const found: FoundKey[] = []
  for (const packet of present) {
    found.push({
      key: await unlock(packet, passphrase),
      keyIds: [packet.getKeyID().toHex().toUpperCase()],
      algorithm: undefined,
      certificates: [],
    })
  }
  return found
}

async function packetsOf(bytes: Uint8Array): Promise<SecretPacket[]> {
  try {
    const isBinary = (bytes[0] ?? 0) >= 0x80
    const keys = isBinary
      ? await readPrivateKeys({ binaryKeys: Uint8Array.from(bytes) })
      : await readPrivateKeys({ armoredKeys: Buffer.from(bytes).toString('latin1') })
    return keys
      .flatMap((key) => key.getKeys())
      .map(({ keyPacket }) => keyPacket)
      .filter((packet) => packet instanceof SecretKeyPacket || packet instanceof SecretSubkeyPacket)
  } catch {
    throw new PrivateKeyError(
      'not_a_key',
      'it begins like an OpenPGP key, and is damaged or cut, or of before OpenPGP',
    )
  }
}

async function unlock(packet: SecretPacket, passphrase: string | undefined): Promise<KeyObject> {
  if (!packet.isDecrypted()) {
    if (passphrase === undefined) {
      throw new PrivateKeyError('needs_passphrase', 'it is an OpenPGP key that is protected by a passphrase')
    }
    try {
      await packet.decrypt(passphrase)
    } catch {
      throw new PrivateKeyError(
        'wrong_passphrase',
        'it is an OpenPGP key that does not open with this passphrase',
      )
    }
  }
  const { n, e } = packet.publicParams as Record<string, unknown>
  const { d, p, q } = (packet.privateParams ?? {}) as Record<string, unknown>
  const numbers = { n, e, d, p, q }
  const key = areBytes(numbers) ? rsaKeyOf(numbers) : undefined
  if (key === undefined)
    throw new PrivateKeyError('not_a_key', 'it is an OpenPGP key whose numbers do not fit together')
  return key
}

function areBytes<Name extends string>(values: Record<Name, unknown>): values is Record<Name, Uint8Array> {
  return Object.values(values).every((value) => value instanceof Uint8Array)
}
