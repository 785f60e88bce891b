/** OpenPGP messages of any size, read from front to end in constant memory. */

import { ArmorReader, isArmored, readArmor, streamArmor } from './armor.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { PrivateKeys } from './legacy-format.ts'
import { headBytes } from './legacy-stream.ts'
import type { LegacyStream, LegacyStreamFormat } from './legacy-stream.ts'
import { openBodyStream } from './openpgp-body.ts'
import { streamWithGpg } from './openpgp-gpg.ts'
import type { GpgSettings } from './openpgp-gpg.ts'
import { isPgpMessage, readPgpMessage } from './openpgp-message.ts'
import { unwrapSessionKeys } from './openpgp-session-key.ts'
import { describePgp, pgpLabel, unreadable } from './openpgp.ts'

/** @param gpg Opens them in place of the private keys of the run. */
export function openPgpStreamFormat(gpg?: GpgSettings): LegacyStreamFormat {
  return {
    name: 'openpgp',
    recognize(head) {
      if (isPgpMessage(head))
        return streamOf(
          gpg,
          () => head,
          (source) => source,
        )
      if (!isArmored(head, pgpLabel)) return undefined
      return streamOf(
        gpg,
        () => (head.length < headBytes ? readArmor(head, pgpLabel) : new ArmorReader(pgpLabel).push(head)),
        (source) => streamArmor(source, pgpLabel),
      )
    },
  }
}

type Undress = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

function streamOf(gpg: GpgSettings | undefined, readHead: () => Uint8Array, undress: Undress): LegacyStream {
  try {
    const about = describePgp(readPgpMessage(readHead()))
    return { ...about, open: (source, keys) => open(undress(source), keys, about.isAuthenticated, gpg) }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return { ...unreadable, open: () => failing(error) }
  }
}

// eslint-disable-next-line require-yield -- it is the first reading that fails
async function* failing(error: LegacyError): AsyncGenerator<Uint8Array, void, void> {
  throw error
}

async function* open(
  source: AsyncIterable<Uint8Array>,
  keys: PrivateKeys,
  isAuthenticated: boolean,
  gpg: GpgSettings | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const pieces = source[Symbol.asyncIterator]()
  try {
    let start = Buffer.alloc(0)
    let isWhole = false
    while (start.length < headBytes && !isWhole) {
      const { done, value } = await pieces.next()
      if (done === true) isWhole = true
      else start = Buffer.concat([start, value])
    }
    const message = readPgpMessage(start)
    // The object is read a second time, and somebody may have decided by what was said of it at first.
    if (describePgp(message).isAuthenticated !== isAuthenticated)
      throw malformed('it changed while it was read')
    if (gpg !== undefined) {
      yield* streamWithGpg(rest(start, pieces), message.container, gpg)
      return
    }
    // Of several keys the checksum decides: the body is read once.
    const [sessionKey] = unwrapSessionKeys(message, keys)
    if (sessionKey === undefined) throw cannotOpen()
    try {
      yield* openBodyStream(rest(start.subarray(message.at), pieces), message.container, sessionKey)
    } finally {
      sessionKey.key.fill(0)
    }
  } finally {
    await pieces.return?.()
  }
}

async function* rest(
  start: Uint8Array,
  pieces: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  yield Uint8Array.from(start)
  for (;;) {
    const { done, value } = await pieces.next()
    if (done === true) return
    yield value
  }
}
