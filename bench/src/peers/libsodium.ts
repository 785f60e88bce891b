/**
 * `libsodium-wrappers`: secretstream, XChaCha20-Poly1305 in WebAssembly.
 *
 * Why this is its fastest path: secretstream is what it documents for messages and files of any size; results are
 * bytes, not text, and a file is pushed in pieces of 64 KiB, than which 16 KiB is slower and 1 MiB no faster.
 */

import sodium from 'libsodium-wrappers'

import { Window, type ReadPeer } from './read-peer.ts'
import { checkRecord, type RecordPeer } from './record-peer.ts'
import { expectPlaintext, type StreamPeer } from './stream-peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

await sodium.ready

const finalTag = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
const messageTag = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
const headerBytes = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES
const sealedBytes = (piece: number) => piece + sodium.crypto_secretstream_xchacha20poly1305_ABYTES
export const libsodiumPieceBytes = 65_536

/** Header and pieces, the last of which says that it is. */
export function* libsodiumEncrypt(plaintext: Uint8Array, key: Uint8Array): Generator<Uint8Array> {
  const { state, header } = sodium.crypto_secretstream_xchacha20poly1305_init_push(key)
  yield header
  for (let at = 0; ; at += libsodiumPieceBytes) {
    const isLast = at + libsodiumPieceBytes >= plaintext.length
    const piece = plaintext.subarray(at, at + libsodiumPieceBytes)
    const tag = isLast ? finalTag : messageTag
    yield sodium.crypto_secretstream_xchacha20poly1305_push(state, piece, null, tag)
    if (isLast) return
  }
}

/** The pieces of a stream, in their order: there is no other. */
export function* libsodiumDecrypt(stream: Uint8Array, key: Uint8Array): Generator<Uint8Array> {
  const header = stream.subarray(0, headerBytes)
  const state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key)
  for (let at = headerBytes; ; at += sealedBytes(libsodiumPieceBytes)) {
    const piece = stream.subarray(at, at + sealedBytes(libsodiumPieceBytes))
    const opened = sodium.crypto_secretstream_xchacha20poly1305_pull(state, piece, null)
    if (opened === false) throw new Error('libsodium opens nothing')
    yield opened.message
    if (opened.tag === finalTag) return
  }
}

export const newLibsodiumKey = (): Uint8Array => sodium.crypto_secretstream_xchacha20poly1305_keygen()

export const libsodiumRecords: RecordPeer = {
  name: 'libsodium-wrappers, secretstream',
  kind: 'peer',
  library: 'libsodium-wrappers',
  note: 'binds no context, does not commit to its key',
  async prepare(plaintext) {
    const key = newLibsodiumKey()
    const encrypt = () => Buffer.concat([...libsodiumEncrypt(plaintext, key)])
    const decrypt = (record: Uint8Array) => {
      const [first = new Uint8Array(), ...others] = libsodiumDecrypt(record, key)
      return others.length === 0 ? first : Buffer.concat([first, ...others])
    }
    const record = await checkRecord('libsodium', plaintext, encrypt, decrypt)
    return { encrypt, decrypt: () => decrypt(record), recordBytes: record.length }
  },
}

/** No streams around it: the pieces are pushed and pulled in a loop. */
export async function libsodiumStreams(plaintext: Uint8Array): Promise<StreamPeer> {
  const key = newLibsodiumKey()
  const name = 'libsodium-wrappers, secretstream, a loop'
  const count = (pieces: Iterable<Uint8Array>, see: (piece: Uint8Array) => void = () => {}) => {
    let length = 0
    for (const piece of pieces) {
      length += piece.length
      see(piece)
    }
    return length
  }
  const stream = new Uint8Array(Buffer.concat([...libsodiumEncrypt(plaintext, key)]))
  await expectPlaintext(name, plaintext, async (see) => count(libsodiumDecrypt(stream, key), see))
  return {
    name,
    kind: 'peer',
    library: 'libsodium-wrappers',
    note: 'wraps no key, binds no context; a loop without streams',
    encrypt: () => count(libsodiumEncrypt(plaintext, key)),
    decrypt: () => count(libsodiumDecrypt(stream, key)),
    streamBytes: stream.length,
  }
}

/** Pieces open in their order alone, so those before the place are opened too. */
export function libsodiumReads(plaintext: Uint8Array): ReadPeer {
  const key = newLibsodiumKey()
  const stream = new Uint8Array(Buffer.concat([...libsodiumEncrypt(plaintext, key)]))
  return {
    name: 'libsodium-wrappers, secretstream',
    library: 'libsodium-wrappers',
    async read(at, length) {
      const reader = new Window(at, length)
      for (const piece of libsodiumDecrypt(stream, key)) if (reader.add(piece)) break
      return reader.bytes
    },
  }
}

export async function libsodiumWraps(dataKey: Uint8Array): Promise<WrapPeer> {
  const { publicKey, privateKey } = sodium.crypto_box_keypair()
  return await wrapPeer(
    {
      name: 'libsodium-wrappers, crypto_box_seal',
      kind: 'peer',
      library: 'libsodium-wrappers',
      note: 'X25519 alone, without ML-KEM; binds no context',
    },
    dataKey,
    () => sodium.crypto_box_seal(dataKey, publicKey),
    (sealed) => sodium.crypto_box_seal_open(sealed, publicKey, privateKey),
  )
}
