/** 4 KiB at a random place of a large envelope that lies in a file: what is read for it, and how long it takes. */

import { createDecipheriv, randomFillSync, randomInt } from 'node:crypto'
import { readSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

import { LocalIdentity, openEncrypted } from '../../packages/core/src/index.ts'
import type { EncryptedReader, RandomAccessSource } from '../../packages/core/src/index.ts'
import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { compare, printComparison, type Comparison, type Contestant } from './comparison.ts'
import { CountingSource, type Touched } from './counting-source.ts'
import { roundsAndDryRun } from './flags.ts'
import { writeLargeEnvelope } from './large-envelope.ts'
import { ageReads } from './peers/age.ts'
import { awsReads } from './peers/aws.ts'
import { libsodiumReads } from './peers/libsodium.ts'
import { expectBytes } from './peers/peer.ts'
import { publish } from './publish.ts'
import { startOrigin } from './report.ts'
import { ScratchDirectory } from './scratch.ts'
import { print, printTable } from './table.ts'
import { wrapFloor } from './wrap-floor.ts'

const readBytes = 4096
const sealedChunkBytes = 16_400
/** What the last chunk holds: half of what it may. */
const lastBytes = 8192
const sizes = [
  { shown: '64 MiB', bytes: 64 * 2 ** 20 + lastBytes },
  { shown: '10 GiB', bytes: 10 * 2 ** 30 + lastBytes },
]
const { rounds, dryRun } = roundsAndDryRun(15)
const finish = startOrigin(`pnpm --dir bench run random --rounds ${rounds}`, [
  '@aws-crypto/client-node',
  'age-encryption',
  'libsodium-wrappers',
])

testingUseBackend('native')
const identity = LocalIdentity.generate()
const options = { identities: [identity] }
const comparisons: Comparison[] = []
const touched: (Touched & { readonly size: string })[] = []
for (const { shown, bytes } of sizes) {
  using directory = new ScratchDirectory()
  const path = directory.file('envelope.lh')
  const { chunks } = await writeLargeEnvelope(path, { plaintextBytes: bytes, identity, count: 64 })
  await using file = await open(path)
  const source = await sourceOf(file)
  /** A place within one of the chunks that are there; a page of a database does not lie across two of them. */
  const place = () => {
    const chunk = chunks[randomInt(chunks.length)]
    if (chunk === undefined) throw new Error('the envelope has no chunks')
    const within = readBytes * randomInt(4)
    return { at: chunk.at + within, expected: chunk.plaintext.subarray(within, within + readBytes) }
  }
  const openAndRead = async (from: RandomAccessSource) => {
    const { at, expected } = place()
    using reader = await openEncrypted(from, options)
    return { found: await reader.slice(at, at + readBytes), expected }
  }

  for (let i = 0; i < 100; i++) {
    const counting = new CountingSource(source)
    const { found, expected } = await openAndRead(counting)
    expectBytes(found, expected, 'random access')
    touched.push({ size: shown, ...counting.touched() })
  }
  using reader = await openEncrypted(source, options)
  const contestants: Contestant[] = [
    { name: 'longhold, open and read', kind: 'ours', run: () => openAndRead(source) },
    { name: 'longhold, read from an open one', kind: 'ours', run: () => readAt(reader, place().at) },
    {
      name: 'floor: unwrap, three reads, two chunks',
      kind: 'floor',
      run: bareRead(file, bytes),
    },
  ]
  if (bytes === sizes[0]?.bytes) contestants.push(...(await sequentialPeers(bytes)))
  const method = { samples: 3, warmUpMs: 300 }
  const comparison = await compare(`Read 4 KiB of ${shown}`, contestants, rounds, method)
  printComparison(comparison)
  comparisons.push(comparison)
}

const most = sizes.map(({ shown }) => {
  const all = touched.filter(({ size }) => size === shown)
  const highest = (key: 'reads' | 'bytes' | 'chunks') => Math.max(...all.map((one) => one[key]))
  return { size: shown, reads: highest('reads'), bytes: highest('bytes'), chunks: highest('chunks') }
})
print('\nTouched to open an envelope and read 4 KiB, the most of 100 times')
printTable(
  ['', 'reads', 'bytes', 'chunks, and one for the header'],
  most.map(({ size, reads, bytes, chunks }) => [
    size,
    String(reads),
    bytes.toLocaleString('en'),
    String(chunks),
  ]),
)

publish(
  {
    name: 'random',
    title: '4 KiB at a random place of a large envelope',
    what: 'microseconds for 4 KiB out of an envelope in a file',
    comparisons,
    targets: most.map(({ size, chunks }) => ({
      what: `Read 4 KiB of ${size}: chunks touched, and one for the header`,
      atMost: 3,
      measured: chunks,
      unit: '',
    })),
    rounds,
    method: { samples: 3 },
    more: { touched: most },
  },
  finish(),
  dryRun,
)

async function readAt(reader: EncryptedReader, at: number): Promise<Uint8Array> {
  return await reader.slice(at, at + readBytes)
}

async function sourceOf(file: FileHandle): Promise<RandomAccessSource> {
  return {
    size: (await file.stat()).size,
    // A read of a page that is in memory costs less than asking another thread for it.
    read: async (offset, length) => {
      const bytes = new Uint8Array(length)
      readSync(file.fd, bytes, 0, length, offset)
      return bytes
    },
  }
}

/** The same reads and calls, bare. */
function bareRead(file: FileHandle, bytes: number): () => unknown {
  const { unwrap } = wrapFloor(new Uint8Array(32))
  const [key, nonce] = [Buffer.alloc(32, 1), Buffer.alloc(12)]
  const [head, chunk] = [Buffer.alloc(4096), Buffer.alloc(sealedChunkBytes)]
  const last = chunk.subarray(0, lastBytes + 16)
  const decrypt = (sealed: Uint8Array) => {
    // Nothing to check a tag against, and the same work.
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
    return decipher.update(sealed)
  }
  return () => {
    readSync(file.fd, head, 0, head.length, 0)
    const opened = unwrap()
    readSync(file.fd, last, 0, last.length, bytes - lastBytes)
    const end = decrypt(last)
    readSync(file.fd, chunk, 0, chunk.length, randomInt(Math.floor(bytes / chunk.length)) * chunk.length)
    return [opened, end, decrypt(chunk)]
  }
}

async function sequentialPeers(bytes: number): Promise<Contestant[]> {
  const plaintext = randomFillSync(new Uint8Array(bytes))
  const at = (bytes - lastBytes) / 2
  const contestants: Contestant[] = []
  for (const { name, read } of [
    await awsReads(plaintext),
    libsodiumReads(plaintext),
    await ageReads(plaintext),
  ]) {
    const expected = plaintext.subarray(at, at + readBytes)
    expectBytes(await read(at, readBytes), expected, `${name} reads`)
    const note = 'in memory; has no random access and opens everything up to the place, here in the middle'
    contestants.push({ name, kind: 'peer', note, run: () => read(at, readBytes) })
  }
  return contestants
}
