/** New recipients for a large envelope: a header kept beside its record, a header in front of it, and those who encrypt anew. */

import { randomFillSync } from 'node:crypto'
import { fsyncSync, openSync, closeSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'

import {
  LocalIdentity,
  encrypt,
  decrypt,
  openEncryptedRecord,
  rewrap,
  unwrapDataKey,
} from '../../packages/core/src/index.ts'
import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { compare, printComparison, type Contestant } from './comparison.ts'
import { roundsAndDryRun } from './flags.ts'
import { writeLargeEnvelope } from './large-envelope.ts'
import { ageStreams } from './peers/age.ts'
import { awsStreams } from './peers/aws.ts'
import { libsodiumStreams } from './peers/libsodium.ts'
import { expectBytes } from './peers/peer.ts'
import { publish } from './publish.ts'
import { startOrigin } from './report.ts'
import { ScratchDirectory } from './scratch.ts'
import { wrapFloor } from './wrap-floor.ts'

const { rounds, dryRun } = roundsAndDryRun(15)
const finish = startOrigin(`pnpm --dir bench run rewrap --rounds ${rounds}`, [
  '@aws-crypto/client-node',
  'age-encryption',
  'libsodium-wrappers',
])

testingUseBackend('native')
const [before, after] = [LocalIdentity.generate(), LocalIdentity.generate()]
const change = { identities: [before], recipients: [after.recipient] }
using directory = new ScratchDirectory()

const large = { shown: '10 GiB', bytes: 10 * 2 ** 30 }
const record = directory.file('record')
const { wrappedKey, chunks } = await writeLargeEnvelope(record, {
  plaintextBytes: large.bytes,
  identity: before,
  count: 4,
  detached: true,
})
const [header, renewedHeader] = [directory.file('header'), directory.file('header.new')]
writeFileSync(header, wrappedKey)
await rewrapFile()
await expectOpens(renewedHeader)

const bare = wrapFloor(new Uint8Array(32))
const detached = await compare(
  `New recipients for ${large.shown}, header beside the record`,
  [
    { name: 'longhold, in memory', kind: 'ours', run: () => rewrap(wrappedKey, change) },
    {
      name: 'floor: the bare node:crypto calls',
      kind: 'floor',
      run: () => [bare.unwrap(), bare.wrap()],
    },
    { name: 'longhold, file read, written, synced and renamed', kind: 'ours', run: rewrapFile },
  ],
  rounds,
)
printComparison(detached)

const mebibytes = 64
const plaintext = randomFillSync(new Uint8Array(mebibytes * 2 ** 20 - 1))
const envelope = await encrypt(plaintext, { recipients: [before.recipient] })
const rewrapped = await rewrap(envelope, change)
expectBytes(await decrypt(rewrapped, { identities: [after] }), plaintext, 'rewrap of an envelope')
const contestants: Contestant[] = [
  { name: 'longhold, header beside the record', kind: 'ours', run: () => rewrap(wrappedKey, change) },
  {
    name: 'longhold, header in front of the body',
    kind: 'ours',
    note: 'copies the body in memory',
    run: () => rewrap(envelope, change),
  },
]
for (const { name, ...peer } of [
  await awsStreams(plaintext),
  await libsodiumStreams(plaintext),
  await ageStreams(plaintext),
]) {
  contestants.push({
    name,
    kind: 'peer',
    note: 'cannot change recipients: decrypts and encrypts',
    run: async () => (await peer.decrypt()) + (await peer.encrypt()),
  })
}
// Seconds lie between the fastest and the slowest: one pass is a slot for those that take long.
const method = { samples: 1, warmUpMs: 300 }
const whole = await compare(`New recipients for ${mebibytes} MiB`, contestants, rounds, method)
printComparison(whole)

publish(
  {
    name: 'rewrap',
    title: 'New recipients for what is encrypted',
    what: 'microseconds for one envelope',
    comparisons: [detached, whole],
    targets: [
      {
        what: `New recipients for ${large.shown}: file read, written, synced and renamed`,
        atMost: 10,
        measured: (detached.rows.at(-1)?.microseconds.median ?? Number.NaN) / 1000,
        unit: ' ms',
      },
    ],
    rounds,
    more: { headerBytes: wrappedKey.length, fileSystem: directory.fileSystem },
  },
  finish(),
  dryRun,
)

async function rewrapFile(): Promise<void> {
  const renewed = await rewrap(readFileSync(header), change)
  const temporary = `${renewedHeader}.tmp`
  const file = openSync(temporary, 'w')
  try {
    writeFileSync(file, renewed)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, renewedHeader)
}

/** Throws unless the new recipient reads the old record with this header. */
async function expectOpens(wrapped: string): Promise<void> {
  await using file = await open(record)
  using dataKey = await unwrapDataKey(readFileSync(wrapped), { identities: [after] })
  const source = {
    size: (await file.stat()).size,
    read: async (offset: number, length: number) =>
      (await file.read(new Uint8Array(length), 0, length, offset)).buffer,
  }
  using reader = await openEncryptedRecord(source, dataKey, { recordContext: {} })
  for (const { at, plaintext: expected } of chunks)
    expectBytes(await reader.slice(at, at + expected.length), expected, 'the rewrapped envelope')
}
