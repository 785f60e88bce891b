/**
 * Keys on their way from one key service to another, or from an identity file into one: the seeds of their versions in
 * an envelope (SPEC §6) for whoever is to have them. Name and purpose of the key are the envelope's context, so a
 * package cannot be passed off as another key's.
 *
 * Plaintext: `"LHX" 0x01`, the number of versions (2 bytes), then for each, ascending: version (4), KEM id (2), state
 * (1), creation time in milliseconds since 1970 (8), seed (32). Integers are big-endian.
 */

import { decrypt, encrypt } from '../envelope/envelope.ts'
import { LongholdError, badInput } from '../errors.ts'
import type { Identity } from '../keys/identity.ts'
import type { Recipient } from '../keys/recipient.ts'
import { Secret } from '../secret.ts'

/** A version on its way: what it is to be where it arrives. */
export type PackagedState = 'primary' | 'unwrap_only' | 'disabled' | 'compromised'

/** One version of a packaged key. */
export interface PackagedVersion {
  /** 1 to 2^31 − 1. */
  readonly version: number
  readonly kemId: number
  readonly state: PackagedState
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** 32 bytes. */
  readonly seed: Secret
}

/** What a package says it holds: bound to it, and to be said again to open it. */
export interface PackageLabel {
  /** The name of the key where it comes from. */
  readonly key: string
  readonly purpose: 'wrap' | 'raw-kem'
}

/** 10,000: as many versions as one package holds. */
export const maxPackagedVersions = 10_000

const magic = [0x4c, 0x48, 0x58, 0x01] as const // "LHX", 1
const countAt = 4
const headBytes = 6
const seedAt = 15
const seedBytes = 32
const rowBytes = seedAt + seedBytes
const maxVersion = 2 ** 31 - 1
/** Their codes are their places, from 1. */
const states: readonly PackagedState[] = ['primary', 'unwrap_only', 'disabled', 'compromised']

/**
 * Seals the versions of a key, 1 to 10,000 of them, for recipients.
 *
 * @param versions Ascending, one of them primary. Their seeds are borrowed.
 * @returns An envelope (SPEC §6.1).
 * @throws LongholdError `bad_input`.
 */
export async function sealKeyPackage(
  label: PackageLabel,
  versions: readonly PackagedVersion[],
  recipients: readonly Recipient[],
): Promise<Uint8Array> {
  const complaint = complaintAbout(versions)
  if (complaint !== undefined) throw badInput(`key package: ${complaint}`)
  const plaintext = new Uint8Array(headBytes + rowBytes * versions.length)
  try {
    const view = new DataView(plaintext.buffer)
    plaintext.set(magic)
    view.setUint16(countAt, versions.length)
    versions.forEach(({ version, kemId, state, createdAt, seed }, index) => {
      const at = headBytes + rowBytes * index
      view.setUint32(at, version)
      view.setUint16(at + 4, kemId)
      view.setUint8(at + 6, states.indexOf(state) + 1)
      view.setBigUint64(at + 7, BigInt(createdAt))
      seed.use((bytes) => plaintext.set(bytes, at + seedAt))
    })
    return await encrypt(plaintext, { recipients, context: contextOf(label) })
  } finally {
    plaintext.fill(0)
  }
}

/**
 * Opens a package.
 *
 * @param label What it is expected to hold.
 * @returns The versions, ascending. The caller wipes their seeds.
 * @throws LongholdError as `decrypt`: `cannot_open` also for a package of another label; `malformed` for an envelope that
 * holds something else.
 */
export async function openKeyPackage(
  bytes: Uint8Array,
  label: PackageLabel,
  identities: readonly Identity[],
): Promise<PackagedVersion[]> {
  const plaintext = await decrypt(bytes, { identities, context: contextOf(label) })
  const versions: PackagedVersion[] = []
  try {
    const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length)
    if (plaintext.length < headBytes || magic.some((byte, index) => plaintext[index] !== byte))
      throw strange()
    const count = view.getUint16(countAt)
    if (plaintext.length !== headBytes + rowBytes * count) throw strange()
    for (let at = headBytes; at < plaintext.length; at += rowBytes) {
      const state = states[view.getUint8(at + 6) - 1]
      const createdAt = view.getBigUint64(at + 7)
      if (state === undefined || createdAt > BigInt(Number.MAX_SAFE_INTEGER)) throw strange()
      versions.push({
        version: view.getUint32(at),
        kemId: view.getUint16(at + 4),
        state,
        createdAt: Number(createdAt),
        seed: Secret.copyOf(plaintext.subarray(at + seedAt, at + rowBytes)),
      })
    }
    if (complaintAbout(versions) !== undefined) throw strange()
    return versions
  } catch (error) {
    for (const { seed } of versions) seed.wipe()
    throw error
  } finally {
    plaintext.fill(0)
  }
}

function complaintAbout(versions: readonly PackagedVersion[]): string | undefined {
  if (versions.length === 0 || versions.length > maxPackagedVersions) {
    return `1 to ${maxPackagedVersions} versions, not ${versions.length}`
  }
  let before = 0
  for (const { version, kemId, createdAt, seed } of versions) {
    if (!Number.isInteger(version) || version <= before || version > maxVersion)
      return 'versions are not ascending'
    if (!Number.isInteger(kemId) || kemId < 0 || kemId > 0xffff) return 'a KEM id has two bytes'
    if (!Number.isSafeInteger(createdAt) || createdAt < 0) return 'a time is milliseconds since 1970'
    if (seed.length !== seedBytes) return `a seed has ${seedBytes} bytes`
    before = version
  }
  return versions.filter(({ state }) => state === 'primary').length === 1
    ? undefined
    : 'one version is the primary'
}

function contextOf({ key, purpose }: PackageLabel): Record<string, string> {
  return { 'longhold.package': 'v1', key, purpose }
}

function strange(): LongholdError {
  return new LongholdError('malformed', 'the envelope opens, and does not hold a key')
}
