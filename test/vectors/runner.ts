/** Runs vector files of our schema on the backends. Reads no file, so that it runs wherever the library does. */

import { LongholdError, equalBytes, toHex } from '@longhold/core'

import { workingNativeBackend } from '../../packages/core/src/primitives/backend-native.ts'
import { backend, testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { chunkNonce } from '../../packages/core/src/primitives/cobblestone.ts'
import { keySchedule } from '../../packages/core/src/primitives/hpke.ts'
import { operations, suites } from './operations.ts'
import { hex } from './schema.ts'
import type { HpkeVector, VectorCase, VectorFile } from './schema.ts'

export interface VectorReport {
  passed: number
  unsupported: number
  /** One line each. */
  readonly failures: string[]
}

type BackendName = 'native' | 'noble'
const both: readonly BackendName[] = ['native', 'noble']

/** Those this runtime has: the portable one, and the platform's where it can do all that is asked of it. */
export function backendsHere(): readonly BackendName[] {
  return workingNativeBackend() === undefined ? ['noble'] : both
}

/** The names the vectors have for our codes, where they differ by more than a hyphen. */
const kindOfCode: Readonly<Record<string, string>> = {
  not_a_recipient: 'no-recipient',
  limit_exceeded: 'limit',
}

/**
 * Runs every case of one file. A file that yields no case is a failure.
 *
 * @param records The file whose cases a range may name.
 * @param backends A case passes when it passes on each of them.
 */
export async function runVectorFile(
  path: string,
  content: VectorFile,
  report: VectorReport,
  records: VectorFile = content,
  backends: readonly BackendName[] = both,
): Promise<void> {
  const runEach = (label: string, run: () => Promise<boolean> | boolean) =>
    runOnEach(backends, label, report, run)
  const before = report.passed + report.unsupported + report.failures.length
  const byName = new Map(records.cases?.map((record) => [record.name, record]))
  for (const vector of content.cases ?? []) {
    await runEach(`${path} ${vector.id} (${vector.name})`, () => runCase(vector, byName))
  }
  for (const { chunk, nonce } of content.nonces ?? []) {
    await runEach(`${path} chunk ${chunk}`, () => checkNonce(hex(content.baseNonce), Number(chunk), nonce))
  }
  if (content.nonces !== undefined) {
    await runEach(`${path} chunk 2^38`, () => checkNonceRefused(hex(content.baseNonce), 2 ** 38))
  }
  for (const vector of content.vectors ?? []) {
    await runEach(`${path} ${vector.tcId} (${vector.name})`, () => runHpke(content.kem_id ?? 0, vector))
  }
  const ran = report.passed + report.unsupported + report.failures.length - before
  if (ran === 0) report.failures.push(`${path}: no cases`)
}

/** Runs one case on each backend: it passes when it passes on all. */
async function runOnEach(
  backends: readonly BackendName[],
  label: string,
  report: VectorReport,
  run: () => Promise<boolean> | boolean,
): Promise<void> {
  let supported = true
  const failures: string[] = []
  try {
    for (const name of backends) {
      testingUseBackend(name)
      try {
        supported = (await run()) && supported
      } catch (error) {
        failures.push(`${label}, ${name}: ${String(error instanceof Error ? error.message : error)}`)
      }
    }
  } finally {
    testingUseBackend('chosen')
  }
  if (failures.length > 0) report.failures.push(...failures)
  else if (supported) report.passed++
  else report.unsupported++
}

/** Throws when the case does not hold; `false` when the library does not have what it is about. */
async function runCase(vector: VectorCase, byName: ReadonlyMap<string, VectorCase>): Promise<boolean> {
  const operation = operations[vector.op]
  if (operation === undefined || usesUnknownSuite(vector)) return false
  let thrown: unknown
  try {
    await operation(vector, byName)
  } catch (error) {
    if (vector.result === 'valid') throw error
    thrown = error
  }
  if (vector.result === 'valid') return true
  if (thrown === undefined) throw new Error(`accepted, and should be refused as ${vector.kind}`)
  if (!(thrown instanceof LongholdError)) throw thrown
  const kind = kindOfCode[thrown.code] ?? thrown.code.replaceAll('_', '-')
  if (kind !== vector.kind) throw new Error(`refused as ${kind} instead of ${vector.kind}: ${thrown.message}`)
  return true
}

function usesUnknownSuite({
  identities = [],
  recipients = [],
  stanzas = [],
  kem,
  result,
}: VectorCase): boolean {
  const kems = [...identities, ...recipients, ...stanzas].flatMap((entry) =>
    'kem' in entry ? [entry.kem] : [],
  )
  if (kem !== undefined && result === 'valid') kems.push(kem)
  return kems.some((id) => suites.every(({ kemId }) => kemId !== id))
}

function checkNonce(baseNonce: Uint8Array, chunk: number, expected: string): boolean {
  const nonce = toHex(chunkNonce(baseNonce, chunk))
  if (nonce !== expected) throw new Error(`${nonce} instead of ${expected}`)
  return true
}

function checkNonceRefused(baseNonce: Uint8Array, chunk: number): boolean {
  try {
    chunkNonce(baseNonce, chunk)
  } catch {
    return true
  }
  throw new Error('accepted')
}

function runHpke(kemId: number, vector: HpkeVector): boolean {
  const suite = suites.find((row) => row.kemId === kemId)
  if (suite === undefined) return false
  const key = suite.kem.decapsulationKey(hex(vector.skR))
  same(key.publicKey, vector.pkR, 'pkR')
  const sharedSecret = key.decapsulate(hex(vector.enc))
  same(sharedSecret, vector.shared_secret, 'shared_secret')
  const schedule = keySchedule(suite, sharedSecret, hex(vector.info))
  same(schedule.key, vector.key, 'key')
  same(schedule.baseNonce, vector.base_nonce, 'base_nonce')

  const aead = backend().aes256gcm(schedule.key)
  const sealed = new Uint8Array(hex(vector.ct).length)
  aead.seal(schedule.baseNonce, hex(vector.pt), hex(vector.aad), sealed)
  same(sealed, vector.ct, 'ct')
  const opened = aead.open(schedule.baseNonce, sealed, hex(vector.aad))
  if (opened === undefined) throw new Error('ct does not open')
  same(opened, vector.pt, 'pt')

  // node:crypto takes no encapsulation randomness.
  if (backend().name === 'noble') {
    const { encapsulatedKey } = suite.kem
      .encapsulationKey(hex(vector.pkR))
      .encapsulate(hex(vector.encapsSeed))
    same(encapsulatedKey, vector.enc, 'enc')
  }
  return true
}

function same(actual: Uint8Array, expected: string, what: string): void {
  if (!equalBytes(actual, hex(expected))) throw new Error(`${what}: ${toHex(actual)} instead of ${expected}`)
}
