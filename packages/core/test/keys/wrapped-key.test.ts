import { afterEach, describe, expect, test, vi } from 'vitest'

import { concat, toHex } from '../../src/bytes.ts'
import { canonicalize } from '../../src/format/context.ts'
import {
  DataKey,
  LocalIdentity,
  LongholdError,
  Secret,
  inspect,
  unwrapDataKey,
  wrapDataKey,
} from '../../src/index.ts'
import type { Bound, ContextInput, Identity, Recipient, Stanza, Suite } from '../../src/index.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { sealStanzas } from '../../src/keys/wrapped-key.ts'
import { backend } from '../../src/primitives/backend.ts'
import { describeBackends } from '../backends.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import {
  changed,
  context as keyContext,
  dataKeyOf,
  filled,
  identityOf,
  stanzaFor,
  unknownStanza,
  wrappedKeyOf,
} from '../samples.ts'

const dataKey = dataKeyOf(1)
const [anna, ben, carl] = [identityOf(1), identityOf(2), identityOf(3)]
const recipients = [anna.recipient, ben.recipient]
const identities = [anna]

/** An identity that does what it is told, and counts how often it is asked to unwrap. */
function told(id: Uint8Array, unwrap: (stanza: Stanza, bound: Bound) => Promise<Secret>) {
  const identity = {
    asked: 0,
    owns: async (_: number, recipientId: Uint8Array) => toHex(recipientId) === toHex(id),
    unwrap(stanza: Stanza, bound: Bound) {
      identity.asked++
      return unwrap(stanza, bound)
    },
  }
  return identity satisfies Identity
}
const opened = async (wrapped: Uint8Array, by: readonly Identity[], context: ContextInput = keyContext) =>
  (await unwrapDataKey(wrapped, { identities: by, keyContext: context })).use((bytes) => toHex(bytes))
const codeOfOpening = (
  wrapped: Uint8Array,
  by: readonly Identity[] = identities,
  context: ContextInput = keyContext,
) => codeOf(() => unwrapDataKey(wrapped, { identities: by, keyContext: context }))

describeBackends(() => {
  test('each recipient unwraps the same data key, alone and among others', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients, keyContext })
    expect(wrapped).toHaveLength(53 + 2 * 1192)
    for (const by of [[anna], [ben], [anna, ben], [carl, ben], [carl, ben, anna]]) {
      expect(await opened(wrapped, by)).toBe(toHex(filled(1)))
    }
    const key = await unwrapDataKey(wrapped, { identities, keyContext })
    expect(key.keyId).toEqual(dataKey.keyId)
  })

  test('under another context, none does', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients, keyContext })
    for (const other of [{}, { tenant: 'a' }, { ...keyContext, id: '43' }, { ...keyContext, more: '' }]) {
      expect(await codeOfOpening(wrapped, identities, other)).toBe('cannot_open')
    }
    const bare = await wrapDataKey(dataKey, { recipients })
    expect(await codeOfOpening(bare)).toBe('cannot_open')
    expect(await codeOf(() => unwrapDataKey(wrapped, { identities }))).toBe('cannot_open')
    expect(await opened(bare, identities, {})).toBe(toHex(filled(1)))
  })

  test('the order of pairs does not matter', async () => {
    const reversed = Object.entries(keyContext).toReversed()
    const wrapped = await wrapDataKey(dataKey, { recipients, keyContext: reversed })
    expect(await opened(wrapped, identities)).toBe(toHex(filled(1)))
  })

  test('a stanza of an unknown suite is passed over, and is under the MAC', async () => {
    const [first, last] = [unknownStanza(1), unknownStanza(2, 0)]
    const wrapped = wrappedKeyOf(dataKey, [first, await stanzaFor(anna.recipient, dataKey), last])
    expect(await opened(wrapped, identities, {})).toBe(toHex(filled(1)))
    expect(inspect(wrapped).stanzas.map(({ suite }) => suite === undefined)).toEqual([true, false, true])
    const inFirst = changed(wrapped, 4 + 17 + 2 + 50, 99)
    const inLast = changed(wrapped, wrapped.length - 33, 99)
    for (const altered of [inFirst, inLast])
      expect(await codeOfOpening(altered, identities, {})).toBe('cannot_open')
  })
})

describe('who can be wrapped for', () => {
  const many = Array.from({ length: 33 }, (_, i) => identityOf(100 + i))

  test('32 recipients are the most', async () => {
    const all = many.slice(0, 32).map(({ recipient }) => recipient)
    const wrapped = await wrapDataKey(dataKey, { recipients: all })
    expect(wrapped).toHaveLength(53 + 32 * 1192)
    expect(await opened(wrapped, many.slice(31, 32), {})).toBe(toHex(filled(1)))
    const stanzas = inspect(wrapped).stanzas.map(({ recipientId }) => recipientId)
    expect(stanzas).toEqual(all.map(({ recipientId }) => toHex(recipientId)))
  })

  test.each([
    ['nobody', []],
    ['33 recipients', many.map(({ recipient }) => recipient)],
    ['one twice', [anna.recipient, ben.recipient, anna.recipient]],
    ['one twice, as two objects', [anna.recipient, identityOf(1).recipient]],
    ['no list', anna.recipient],
    ['no recipients at all', undefined],
  ])('%s is refused', async (_, wrong) => {
    expect(await codeOf(() => wrapDataKey(dataKey, { recipients: wrong as never }))).toBe('bad_input')
  })

  const strange = (answer: Partial<Stanza>): Recipient => ({
    kemId: 0x647a,
    recipientId: anna.recipientId,
    wrap: async (bytes, bound) => ({ ...(await anna.recipient.wrap(bytes, bound)), ...answer }),
  })
  test.each([
    ['for somebody else', strange({ recipientId: ben.recipientId }), 'bad_input'],
    ['with another KEM', strange({ kemId: 0x0051 }), 'bad_input'],
    ['with a short payload', strange({ payload: filled(1, 1167) }), 'bad_input'],
    ['with a long payload', strange({ payload: filled(1, 1169) }), 'bad_input'],
    ['of no suite, which may be no post-quantum one', strange({ kdfId: 9 }), 'unsupported'],
  ])('a recipient that wraps %s is refused', async (_, recipient, code) => {
    expect(await codeOf(() => wrapDataKey(dataKey, { recipients: [ben.recipient, recipient] }))).toBe(code)
  })

  test('the whole list is looked at before anybody is asked', async () => {
    const asked: string[] = []
    const first: Recipient = {
      ...strange({}),
      async wrap(bytes, bound) {
        asked.push('first')
        return await anna.recipient.wrap(bytes, bound)
      },
    }
    const strong = LocalIdentity.generate(mlKem1024P384Suite).recipient
    const short = { ...strange({}), recipientId: filled(9, 15) }
    const unable = { kemId: ben.kemId, recipientId: ben.recipientId } as Recipient
    for (const [unfit, code] of [
      [strong, 'unsupported'],
      [short, 'bad_input'],
      [unable, 'bad_input'],
      [first, 'bad_input'],
    ] as const) {
      expect(await codeOf(() => wrapDataKey(dataKey, { recipients: [first, unfit] }))).toBe(code)
    }
    const { hint } = await refusalOf(() => wrapDataKey(dataKey, { recipients: [first, strong] }))
    expect(hint).toContain('suites')
    expect(asked).toEqual([])
  })

  test('a header of 65,536 bytes is written, one of 65,537 is not', async () => {
    const filling = (bytes: number) => [unknownStanza(1, 30_000), unknownStanza(2, bytes - 49 - 48 - 30_000)]
    expect(sealStanzas(dataKey, filling(65_536), canonicalize({}))).toHaveLength(65_536)
    const error = await refusalOf(() => sealStanzas(dataKey, filling(65_537), canonicalize({})))
    expect([error.code, error.message]).toEqual(['limit_exceeded', expect.stringContaining('65537')])
  })

  test('what a recipient throws comes through', async () => {
    const down: Recipient = {
      ...strange({}),
      wrap: async () => Promise.reject(new LongholdError('unavailable', 'the service is down')),
    }
    expect(await codeOf(() => wrapDataKey(dataKey, { recipients: [down] }))).toBe('unavailable')
  })
})

describe('who opens it', () => {
  test('the first stanza of ours in the header’s order, whatever the order of identities', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const annas = told(anna.recipientId, (stanza, bound) => anna.unwrap(stanza, bound))
    const bens = told(ben.recipientId, (stanza, bound) => ben.unwrap(stanza, bound))
    await unwrapDataKey(wrapped, { identities: [bens, annas] })
    expect([annas.asked, bens.asked]).toEqual([1, 0])
  })

  test('when it does not open, nothing else is tried', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients, keyContext })
    const spoilt = changed(wrapped, 4 + 17 + 2 + 22, 1, 2, 3) // the first stanza's encapsulated key
    const bens = told(ben.recipientId, (stanza, bound) => ben.unwrap(stanza, bound))
    expect(await codeOfOpening(spoilt, [anna, bens])).toBe('cannot_open')
    expect(bens.asked).toBe(0)
  })

  test('an identity that cannot be asked makes it unavailable, which is no refusal of the data', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const down = told(anna.recipientId, async () =>
      Promise.reject(new LongholdError('unavailable', 'the service is down')),
    )
    expect(await codeOfOpening(wrapped, [down], {})).toBe('unavailable')
  })

  test('then the next stanza of ours is tried, and its refusal is final', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const unavailable = async () => Promise.reject(new LongholdError('unavailable', 'the service is down'))
    const down = told(anna.recipientId, unavailable)
    expect(await opened(wrapped, [down, ben], {})).toBe(toHex(filled(1)))
    expect(await opened(wrapped, [ben, down], {})).toBe(toHex(filled(1)))
    expect(await codeOfOpening(wrapped, [down, carl], {})).toBe('unavailable')
    const spoilt = changed(wrapped, 4 + 17 + 1192 + 2 + 22, 1, 2, 3) // the second stanza's encapsulated key
    expect(await codeOfOpening(spoilt, [down, ben], {})).toBe('cannot_open')
    const down2 = told(ben.recipientId, unavailable)
    expect(await codeOfOpening(wrapped, [down, down2], {})).toBe('unavailable')
  })

  test('an identity that cannot even say what it owns is unavailable too', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const silent: Identity = {
      owns: async () => Promise.reject(new LongholdError('unavailable', 'the service is down')),
      unwrap: async () => Promise.reject(new Error('not asked')),
    }
    expect(await codeOfOpening(wrapped, [silent], {})).toBe('unavailable')
    expect(await opened(wrapped, [silent, ben], {})).toBe(toHex(filled(1)))
  })

  test('none of us: not_a_recipient, with the ids it was wrapped for', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const error = await refusalOf(() => unwrapDataKey(wrapped, { identities: [carl] }))
    expect(error.code).toBe('not_a_recipient')
    for (const { recipientId } of recipients) expect(error.hint).toContain(toHex(recipientId))
    expect(await codeOfOpening(wrapped, [])).toBe('not_a_recipient')
  })

  test('no known suite: unsupported, with the suites met, even when an id is ours', async () => {
    const stanza = { ...unknownStanza(1), recipientId: anna.recipientId }
    const error = await refusalOf(() => unwrapDataKey(wrappedKeyOf(dataKey, [stanza]), { identities }))
    expect(error.code).toBe('unsupported')
    expect(error.message).toContain('0x7777/0x0001/0x0002')
    const otherKdf = { ...(await stanzaFor(anna.recipient, dataKey)), kdfId: 2 }
    expect(await codeOfOpening(wrappedKeyOf(dataKey, [otherKdf]))).toBe('unsupported')
  })

  test('a known suite for somebody else beside an unknown one with our id: not_a_recipient', async () => {
    const ours = { ...unknownStanza(1), recipientId: anna.recipientId }
    const wrapped = wrappedKeyOf(dataKey, [ours, await stanzaFor(ben.recipient, dataKey)])
    expect(await codeOfOpening(wrapped)).toBe('not_a_recipient')
  })

  test('identities must be a list', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    expect(await codeOf(() => unwrapDataKey(wrapped, { identities: anna as never }))).toBe('bad_input')
    expect(await codeOf(() => unwrapDataKey(wrapped, { identities: undefined as never }))).toBe('bad_input')
    for (const unable of [{ owns: () => true }, { unwrap: () => dataKey }, undefined])
      expect(await codeOfOpening(wrapped, [anna, unable as never])).toBe('bad_input')
  })
})

describe('what is not needed any more is wiped:', () => {
  afterEach(() => vi.restoreAllMocks())

  test('the key of the header’s MAC, and what was made of it', async () => {
    const hmac = backend().hmac.bind(backend())
    const keys: Uint8Array[] = []
    const wipes: (() => number)[] = []
    vi.spyOn(backend(), 'hmac').mockImplementation((hash, key) => {
      const made = hmac(hash, key)
      if (hash !== 'sha256') return made
      keys.push(key)
      const wipe = vi.spyOn(made, 'wipe')
      wipes.push(() => wipe.mock.calls.length)
      return made
    })
    sealStanzas(dataKey, [unknownStanza(1)], canonicalize({}))
    expect(keys.map(toHex)).toEqual(['00'.repeat(32)])
    expect(wipes.map((count) => count())).toEqual([1])
  })

  test('a data key whose header was altered', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const wipe = vi.spyOn(DataKey.prototype, 'wipe')
    expect(await codeOfOpening(changed(wrapped, wrapped.length - 1, 0), identities, {})).toBe('cannot_open')
    expect(wipe).toHaveBeenCalledOnce()
  })
})

describe('an identity’s answer is not believed', () => {
  test.each([
    ['another data key', filled(9)],
    ['31 bytes', filled(1, 31)],
    ['33 bytes', filled(1, 33)],
    ['nothing', new Uint8Array()],
  ])('%s is cannot_open, and wiped', async (_, answer) => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const given = new Uint8Array(answer)
    const lying = told(anna.recipientId, async () => Secret.take(given))
    expect(await codeOfOpening(wrapped, [lying], {})).toBe('cannot_open')
    expect(given).toEqual(new Uint8Array(answer.length))
  })

  test('the right one is wiped as well: the data key has its own copy', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients })
    const given = filled(1)
    const key = await unwrapDataKey(wrapped, {
      identities: [told(anna.recipientId, async () => Secret.take(given))],
    })
    expect(given).toEqual(filled(0))
    expect(key.use((bytes) => toHex(bytes))).toBe(toHex(filled(1)))
  })

  test('a recipient and an identity see the context in canonical order, and the key id', async () => {
    const seen: Bound[] = []
    const recipient: Recipient = {
      kemId: anna.kemId,
      recipientId: anna.recipientId,
      async wrap(bytes, bound) {
        seen.push(bound)
        return anna.recipient.wrap(bytes, bound)
      },
    }
    const wrapped = await wrapDataKey(dataKey, { recipients: [recipient], keyContext: { z: '1', a: '2' } })
    const identity = told(anna.recipientId, async (stanza, bound) => {
      seen.push(bound)
      return anna.unwrap(stanza, bound)
    })
    await unwrapDataKey(wrapped, { identities: [identity], keyContext: { a: '2', z: '1' } })
    const bound = {
      keyId: dataKey.keyId,
      keyContext: [
        ['a', '2'],
        ['z', '1'],
      ],
    }
    expect(seen).toEqual([bound, bound])
  })
})

test('what the caller does with the wrapped key while an identity is asked changes nothing', async () => {
  const wrapped = Buffer.from(await wrapDataKey(dataKey, { recipients }))
  const slow = told(anna.recipientId, async (stanza, bound) => {
    wrapped.fill(0)
    return anna.unwrap(stanza, bound)
  })
  const key = await unwrapDataKey(wrapped, { identities: [slow] })
  expect(key.keyId).toEqual(dataKey.keyId)
})

test('the parts of two wrapped keys do not mix', async () => {
  const one = await wrapDataKey(dataKey, { recipients })
  const other = await wrapDataKey(dataKey, { recipients })
  const mixed = concat(one.subarray(0, 4 + 17 + 1192), other.subarray(4 + 17 + 1192))
  for (const identity of [anna, ben]) expect(await codeOfOpening(mixed, [identity], {})).toBe('cannot_open')
})

describe('recipients, identities and suites that lie', () => {
  const recipientId = filled(9, 16)
  const payload = new Uint8Array(1168)
  const stanza = { kemId: 0x647a, kdfId: 1, aeadId: 2, recipientId, payload }
  const wrapFor = (recipient: object) =>
    codeOf(() => wrapDataKey(dataKey, { recipients: [recipient as Recipient] }))

  test.each<[string, object]>([
    ['no KEM', { recipientId, wrap: async () => stanza }],
    ['an id of three bytes', { ...stanza, recipientId: filled(9, 3), wrap: async () => stanza }],
    ['no stanza', { ...stanza, wrap: async () => undefined }],
    [
      'a payload that is a list',
      { ...stanza, wrap: async () => ({ ...stanza, payload: Array(1168).fill(0) }) },
    ],
    ['no id in the stanza', { ...stanza, wrap: async () => ({ ...stanza, recipientId: undefined }) }],
  ])('a recipient with %s', async (_, recipient) => {
    expect(await wrapFor(recipient)).toBe('bad_input')
  })

  test.each([undefined, null, filled(1), 'secret', { length: 32 }])(
    'an identity that gives %s',
    async (secret) => {
      const liar = told(anna.recipientId, async () => secret as unknown as Secret)
      const wrapped = await wrapDataKey(dataKey, { recipients, keyContext })
      expect(await codeOfOpening(wrapped, [liar])).toBe('bad_input')
    },
  )

  test.each([undefined, null, {}, 'default'])('%s is no suite', async (suite) => {
    const suites = [suite] as unknown as readonly Suite[]
    expect(await codeOf(() => wrapDataKey(dataKey, { recipients, suites }))).toBe('bad_input')
  })
})
