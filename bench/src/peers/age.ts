/**
 * `age-encryption` with hybrid recipients. It has no call for the KEM or for one stanza: the smallest things that it
 * offers are a file of no bytes and the opening of a header.
 *
 * Why this is its fastest path: one `Encrypter` and one `Decrypter` with their keys decoded are kept for all calls,
 * which its documentation allows, and `decryptHeader` opens the file key without the body.
 */

import * as age from 'age-encryption'

import { expectBytes, type Inputs, type Peer } from './peer.ts'

export async function ageEncryption({ dataKey }: Inputs): Promise<Peer> {
  const identity = await age.generateHybridIdentity()
  const encrypter = new age.Encrypter()
  encrypter.addRecipient(await age.identityToRecipient(identity))
  const decrypter = new age.Decrypter()
  decrypter.addIdentity(identity)

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

/** Up to the line of the MAC, which ends the header: `--- ` and 43 characters of base64. */
function headerOf(file: Uint8Array): Uint8Array {
  const text = Buffer.from(file).toString('latin1')
  const mac = text.indexOf('\n--- ')
  return file.slice(0, text.indexOf('\n', mac + 1) + 1)
}
