/** Messages of the AWS Encryption SDK of any size, frame by frame. Messages in base64, and bodies in one piece, have to fit into memory. */

import { openFrame, unlockAws, unwrapOrder, verifierOf } from './aws-keys.ts'
import type { UnwrapOrder } from './aws-keys.ts'
import { looksLikeAwsMessage, readAwsHeader } from './aws-message.ts'
import type { AwsFrame, AwsHeader } from './aws-message.ts'
import { awsFormat, describeAws } from './aws.ts'
import type { AwsSettings } from './built-in-settings.ts'
import { LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { PrivateKeys } from './legacy-format.ts'
import type { LegacyStream, LegacyStreamFormat } from './legacy-stream.ts'

/** @throws RangeError when the settings name a column: an object has none. */
export function awsStreamFormat(settings: AwsSettings): LegacyStreamFormat {
  const value = awsFormat(settings, [])
  const order = unwrapOrder(settings)
  const pairs = Object.entries(settings.context).filter(
    (pair): pair is [string, string] => typeof pair[1] === 'string',
  )
  return {
    name: value.name,
    recognize(head) {
      if (looksLikeAwsMessage(head)) return framed(head, settings, { order, pairs })
      const start = Buffer.from(head.subarray(0, 100)).toString('latin1')
      if (!looksLikeAwsMessage(Buffer.from(start, 'base64'))) return undefined
      return {
        keyId: undefined,
        wrapping: 'RSA',
        body: 'base64',
        isAuthenticated: true,
        async *open(source, keys) {
          const found = value.recognize([await allOf(source)])
          if (found === undefined) throw malformed('it changed while it was read')
          yield await found.open(keys)
        },
      }
    },
  }
}

interface HowToOpen {
  readonly order: UnwrapOrder
  readonly pairs: readonly (readonly [string, string])[]
}

function framed(head: Uint8Array, settings: AwsSettings, how: HowToOpen): LegacyStream {
  try {
    const header = readAwsHeader(head)
    return { ...describeAws(header, settings), open: (source, keys) => open(header, source, keys, how) }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    const about = { keyId: undefined, wrapping: 'unreadable', body: 'unreadable', isAuthenticated: true }
    return { ...about, open: () => failing(error) }
  }
}

// eslint-disable-next-line require-yield -- it is the first reading that fails
async function* failing(error: LegacyError): AsyncGenerator<Uint8Array, void, void> {
  throw error
}

async function allOf(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of source) {
    size += piece.length
    if (size > 2 * maxPlaintextBytes) throw tooLarge()
    pieces.push(Uint8Array.from(piece))
  }
  return Buffer.concat(pieces)
}

async function* open(
  header: AwsHeader,
  source: AsyncIterable<Uint8Array>,
  keys: PrivateKeys,
  { order, pairs }: HowToOpen,
): AsyncGenerator<Uint8Array, void, void> {
  const verifier = verifierOf(header)
  const key = unlockAws(header, keys, order, pairs)
  const input = new Input(source, (bytes) => verifier?.update(bytes))
  try {
    const again = await input.take(header.end)
    // The object is read a second time, and its keys were chosen by what was read at first.
    if (!Buffer.from(header.covered).equals(again.subarray(0, header.covered.length)))
      throw malformed('it changed while it was read')
    for (let sequence = 1, isLast = false; !isLast; sequence++) {
      const frame = await nextFrame(input, header, sequence)
      isLast = frame.kind !== 'frame'
      const plaintext = openFrame(header, frame, key)
      if (plaintext.length > 0) yield plaintext
    }
    input.isCovered = false
    if (verifier !== undefined) verifier.check(await input.take((await input.take(2)).readUInt16BE(0)))
    if (!(await input.isAtEnd())) throw malformed('bytes follow its end')
  } finally {
    key.fill(0)
    await input.close()
  }
}

const finalMark = 0xffff_ffff

async function nextFrame(input: Input, { frameBytes }: AwsHeader, sequence: number): Promise<AwsFrame> {
  if (frameBytes === undefined) {
    const iv = await input.take(12)
    const length = (await input.take(8)).readBigUInt64BE(0)
    if (length > BigInt(maxPlaintextBytes)) throw tooLarge()
    return {
      kind: 'whole',
      sequence,
      iv,
      content: await input.take(Number(length)),
      tag: await input.take(16),
    }
  }
  const mark = (await input.take(4)).readUInt32BE(0)
  const isFinal = mark === finalMark
  const number = isFinal ? (await input.take(4)).readUInt32BE(0) : mark
  if (number !== sequence) throw malformed('its frames are not in order')
  const iv = await input.take(12)
  const length = isFinal ? (await input.take(4)).readUInt32BE(0) : frameBytes
  if (length > frameBytes) throw malformed('its last frame is longer than a frame')
  if (length > maxPlaintextBytes) throw tooLarge()
  const kind = isFinal ? 'final frame' : 'frame'
  return { kind, sequence, iv, content: await input.take(length), tag: await input.take(16) }
}

/** Bytes of a source by the number, each handed to `onTaken` while they are covered by a signature. */
class Input {
  isCovered = true
  readonly #source: AsyncIterator<Uint8Array>
  readonly #onTaken: (bytes: Uint8Array) => void
  #held: Buffer[] = []
  #bytes = 0

  constructor(source: AsyncIterable<Uint8Array>, onTaken: (bytes: Uint8Array) => void) {
    this.#source = source[Symbol.asyncIterator]()
    this.#onTaken = onTaken
  }

  /** @throws LegacyError `malformed` when there are fewer. */
  async take(count: number): Promise<Buffer> {
    while (this.#bytes < count) {
      const next = await this.#source.next()
      if (next.done === true) throw malformed('it is cut off')
      this.#held.push(Buffer.from(next.value))
      this.#bytes += next.value.length
    }
    const [first = Buffer.alloc(0)] = this.#held
    // Most are within one piece, and joining copies what is left of it each time.
    const all = first.length >= count ? first : Buffer.concat(this.#held.splice(0))
    this.#held.splice(0, 1, all.subarray(count))
    this.#bytes -= count
    const taken = all.subarray(0, count)
    if (this.isCovered) this.#onTaken(taken)
    return taken
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#bytes === 0) {
      const next = await this.#source.next()
      if (next.done === true) return true
      this.#bytes += next.value.length
    }
    return false
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }
}
