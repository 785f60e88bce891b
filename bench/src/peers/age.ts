/**
 * `age-encryption` with hybrid recipients. It has no call for the KEM or for one stanza: the smallest things that it
 * offers are a file of no bytes and the opening of a header.
 *
 * Why this is its fastest path: one `Encrypter` and one `Decrypter` with their keys decoded are kept for all calls,
 * which its documentation allows, and `decryptHeader` opens the file key without the body.
 */

import * as age from 'age-encryption'

import { expectBytes, type Inputs, type Peer } from './peer.ts'
import { Window, type ReadPeer } from './read-peer.ts'
import { checkRecord, type RecordPeer } from './record-peer.ts'
import { collected, expectPlaintext, pieceBytes, webPass, webSource, type StreamPeer } from './stream-peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

export async function ageEncryption({ dataKey }: Inputs): Promise<Peer> {
  const { encrypter, decrypter } = await ageKeys()
  expectBytes(await decrypter.decrypt(await encrypter.encrypt(dataKey)), dataKey, 'age-encryption decrypts')

  const nothing = new Uint8Array()
  const header = headerOf(await encrypter.encrypt(nothing))
  const seal = () => encrypter.encrypt(nothing)
  const open = () => decrypter.decryptHeader(header)
  const fileKey = await open()
  if (fileKey.length !== 16) throw new Error('age-encryption did not open the header')

  const wrapped = 'a file of no bytes: wraps its file key, and the header MAC and an empty chunk'
  const unwrapped = 'decryptHeader: unwraps the file key and checks the header MAC'
  return {
    name: 'age-encryption, hybrid recipient',
    kind: 'peer',
    notes: { encapsulate: wrapped, decapsulate: unwrapped, seal: wrapped, open: unwrapped },
    operations: {
      generate: async () => age.identityToRecipient(await age.generateHybridIdentity()),
      encapsulate: seal,
      decapsulate: open,
      seal,
      open,
    },
  }
}

/** One hybrid key pair, decoded, for files of any kind: `encrypt` and `decrypt` take bytes and web streams. */
export async function ageKeys() {
  const identity = await age.generateHybridIdentity()
  const encrypter = new age.Encrypter()
  encrypter.addRecipient(await age.identityToRecipient(identity))
  const decrypter = new age.Decrypter()
  decrypter.addIdentity(identity)
  return { encrypter, decrypter }
}

export const ageRecords: RecordPeer = {
  name: 'age-encryption, hybrid recipient',
  kind: 'peer',
  library: 'age-encryption',
  note: 'every record is a file that wraps a key of its own; binds no context',
  async prepare(plaintext) {
    const { encrypter, decrypter } = await ageKeys()
    const encrypt = () => encrypter.encrypt(plaintext)
    const decrypt = (record: Uint8Array) => decrypter.decrypt(record)
    const record = await checkRecord('age-encryption', plaintext, encrypt, decrypt)
    return { encrypt, decrypt: () => decrypt(record), recordBytes: record.length }
  },
}

export async function ageWraps(dataKey: Uint8Array): Promise<WrapPeer> {
  const { encrypter, decrypter } = await ageKeys()
  return await wrapPeer(
    {
      name: 'age-encryption, hybrid recipient',
      kind: 'peer',
      library: 'age-encryption',
      note: 'a file of 32 bytes, whose file key is wrapped; binds no context',
    },
    dataKey,
    () => encrypter.encrypt(dataKey),
    (wrapped) => decrypter.decrypt(wrapped),
  )
}

export async function ageStreams(plaintext: Uint8Array): Promise<StreamPeer> {
  const { encrypter, decrypter } = await ageKeys()
  const name = 'age-encryption, web streams'
  const encrypt = (see?: (piece: Uint8Array) => void) =>
    webPass(plaintext, pieceBytes, (source) => encrypter.encrypt(source), see)
  const decrypt = (see?: (piece: Uint8Array) => void) =>
    webPass(file, pieceBytes, (source) => decrypter.decrypt(source), see)
  const file = await collected(encrypt)
  await expectPlaintext(name, plaintext, decrypt)
  return {
    name,
    kind: 'peer',
    library: 'age-encryption',
    encrypt: () => encrypt(),
    decrypt: () => decrypt(),
    streamBytes: file.length,
  }
}

/** Its files open from the beginning alone, so what lies before the place is opened too. */
export async function ageReads(plaintext: Uint8Array): Promise<ReadPeer> {
  const { encrypter, decrypter } = await ageKeys()
  const file = await encrypter.encrypt(plaintext)
  return {
    name: 'age-encryption, web streams',
    library: 'age-encryption',
    async read(at, length) {
      const reader = new Window(at, length)
      for await (const piece of await decrypter.decrypt(webSource(file, pieceBytes)))
        if (reader.add(piece)) break
      return reader.bytes
    },
  }
}

/** Up to the line of the MAC, which ends the header: `--- ` and 43 characters of base64. */
function headerOf(file: Uint8Array): Uint8Array {
  const text = Buffer.from(file).toString('latin1')
  const mac = text.indexOf('\n--- ')
  return file.slice(0, text.indexOf('\n', mac + 1) + 1)
}
