/**
 * An envelope of any size that takes no room: a sparse file with its header, its last chunk and some chunks in between,
 * each sealed as the library seals it. What lies between them is a hole and opens as little as any other altered byte.
 */

import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'

import { canonicalize } from '../../packages/core/src/format/context.ts'
import { DataKey, ciphertextSize, detach, encrypt } from '../../packages/core/src/index.ts'
import type { LocalIdentity } from '../../packages/core/src/index.ts'
import { bodyContext } from '../../packages/core/src/keys/body-context.ts'
import { hmacOf } from '../../packages/core/src/keys/data-key.ts'
import {
  MessageCipher,
  chunkBytes,
  chunkOffset,
  saltBytes,
  sealedChunkBytes,
} from '../../packages/core/src/primitives/cobblestone.ts'

export interface LargeEnvelope {
  /** The whole plaintext chunks that are there. */
  readonly chunks: readonly { readonly at: number; readonly plaintext: Uint8Array }[]
  readonly ciphertextBytes: number
  /** The same header, as it is stored by itself. */
  readonly wrappedKey: Uint8Array
}

interface LargeEnvelopeOptions {
  readonly plaintextBytes: number
  readonly identity: LocalIdentity
  /** How many chunks are there, one in every equal part of the plaintext. */
  readonly count: number
  /** Write the record alone, for the wrapped key to be kept beside it. */
  readonly detached?: boolean
}

export async function writeLargeEnvelope(
  path: string,
  { plaintextBytes, identity, count, detached = false }: LargeEnvelopeOptions,
): Promise<LargeEnvelope> {
  const dataKey = DataKey.generate()
  const nothing = await encrypt(new Uint8Array(), { recipients: [identity.recipient], dataKey })
  const { wrappedKey, record } = detach(nothing)
  const recordHeadBytes = 20
  const emptyBodyBytes = record.length - recordHeadBytes
  const head = detached
    ? record.subarray(0, recordHeadBytes)
    : nothing.subarray(0, nothing.length - emptyBodyBytes)

  const salt = new Uint8Array(randomBytes(saltBytes))
  const bound = bodyContext('data', dataKey.keyId, canonicalize(undefined))
  const message = new MessageCipher(hmacOf(dataKey), salt, bound)
  await using file = await open(path, 'w')
  const ciphertextBytes = ciphertextSize(plaintextBytes, { recipients: detached ? 0 : 1 })
  await file.truncate(ciphertextBytes)
  await file.write(head, 0, head.length, 0)
  const { preamble } = message
  await file.write(preamble, 0, preamble.length, head.length)

  const last = Math.floor(plaintextBytes / chunkBytes)
  const write = async (chunk: number, plaintext: Uint8Array) => {
    const sealed = new Uint8Array(plaintext.length + sealedChunkBytes - chunkBytes)
    message.sealChunk(chunk, plaintext, sealed)
    await file.write(sealed, 0, sealed.length, head.length + chunkOffset(chunk))
  }
  await write(last, new Uint8Array(plaintextBytes % chunkBytes))
  const chunks: { at: number; plaintext: Uint8Array }[] = []
  for (let i = 0; i < count; i++) {
    const chunk = Math.floor(((i + Math.random()) * last) / count)
    const plaintext = new Uint8Array(randomBytes(chunkBytes))
    await write(chunk, plaintext)
    chunks.push({ at: chunk * chunkBytes, plaintext })
  }
  return { chunks, ciphertextBytes, wrappedKey }
}
