/** What a careless merge elsewhere in the process put onto Object.prototype is no option and no salt. */

import { DataKey, blindIndex, decrypt, encrypt, generateIdentity, toHex, unwrapDataKey } from '@longhold/core'
import { afterEach, describe, expect, test } from 'vitest'

const everyObject = Object.prototype as Record<string, unknown>
const names = ['testingSalt', 'bodyKind', 'suites', 'context', 'keyContext', 'dataKey', 'bits', 'extra']
const plaintext = Uint8Array.of(1, 2, 3)

afterEach(() => {
  for (const name of names) delete everyObject[name]
})

describe('names on Object.prototype', () => {
  test('no salt comes from there', () => {
    const dataKey = DataKey.generate()
    everyObject['testingSalt'] = Array<number>(24).fill(1)
    const salts = Array.from({ length: 4 }, () =>
      toHex(dataKey.encrypt(plaintext, { recordContext: {} }).subarray(20, 44)),
    )
    const value = dataKey.encryptValue({ type: 'bytes', value: plaintext }, { recordContext: {} })
    expect(new Set([...salts, toHex(value.subarray(20, 44))]).size).toBe(5)
  })

  test.each([
    ['suites', []],
    ['context', { tenant: 'other' }],
    ['dataKey', 'x'],
  ])('encrypt and decrypt refuse %s', async (name, value) => {
    const identity = generateIdentity()
    const envelope = await encrypt(plaintext, { recipients: [identity.recipient] })
    everyObject[name] = value
    const recipients = [identity.recipient]
    await expect(encrypt(plaintext, { recipients })).rejects.toMatchObject({ code: 'bad_input' })
    if (name === 'dataKey') return
    await expect(decrypt(envelope, { identities: [identity] })).rejects.toMatchObject({ code: 'bad_input' })
  })

  test('unwrapping refuses a key context, an index its bits', async () => {
    everyObject['keyContext'] = {}
    everyObject['bits'] = 16
    const identities = [generateIdentity()]
    await expect(unwrapDataKey(plaintext, { identities })).rejects.toMatchObject({ code: 'bad_input' })
    const options = { table: 't', column: 'c', value: plaintext }
    expect(() => blindIndex(DataKey.generate(), options)).toThrow(
      expect.objectContaining({ code: 'bad_input' }),
    )
  })

  test('a name that is no option changes nothing', async () => {
    everyObject['extra'] = 1
    const identity = generateIdentity()
    const envelope = await encrypt(plaintext, { recipients: [identity.recipient], context: { a: '1' } })
    expect(await decrypt(envelope, { identities: [identity], context: { a: '1' } })).toEqual(plaintext)
  })
})
