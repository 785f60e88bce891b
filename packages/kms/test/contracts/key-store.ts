/** What every KeyStore does. A store's own test is three lines that call this. */

import { beforeEach, afterEach, describe, expect, test } from 'vitest'

import type { AuditAppend, KeyStore, Outcome } from '../../src/service/key-store.ts'
import { initialization, newKey, TestChain, tokenRow, versionRow } from '../support/rows.ts'

export interface StoreUnderTest {
  readonly store: KeyStore
  /** Closes the store and removes what it left. */
  close(): Promise<void>
}

export function keyStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`KeyStore contract: ${name}`, () => {
    let under: StoreUnderTest
    let store: KeyStore
    let chain: TestChain
    beforeEach(async () => {
      under = await open()
      store = under.store
      chain = new TestChain()
    })
    afterEach(() => under.close())

    /** Writes with the next entry of the chain. */
    async function write(run: (audit: AuditAppend) => Promise<Outcome>, count = 1): Promise<Outcome> {
      const audit = chain.next(count)
      const outcome = await run(audit)
      if (outcome === 'done') chain.accept(audit)
      return outcome
    }
    const create = (key: ReturnType<typeof newKey>) => write((audit) => store.createKey(key, audit))
    const all = { after: undefined, limit: 1000 }

    test('an empty store holds nothing', async () => {
      expect(await store.cluster()).toBeUndefined()
      expect(await store.slots()).toEqual([])
      expect(await store.ownKeys()).toEqual([])
      expect(await store.key('a')).toBeUndefined()
      expect(await store.keys(all)).toEqual([])
      expect(await store.version('a', 1)).toBeUndefined()
      expect(await store.versions('a', all)).toEqual([])
      expect(await store.versionsByRecipientId([new Uint8Array(16)])).toEqual([])
      expect(await store.versionsByRecipientId([])).toEqual([])
      expect(await store.token('x')).toBeUndefined()
      expect(await store.tokens({ after: undefined, limit: 10 })).toEqual([])
      expect(await store.auditHeads()).toEqual([])
      expect(await store.auditRuns()).toEqual([])
    })

    test('is initialised once, whole', async () => {
      const first = initialization({ firstKey: newKey('first') })
      expect(await write((audit) => store.initialize(first, audit))).toBe('done')
      expect(await store.cluster()).toEqual(first.cluster)
      expect(await store.slots()).toEqual([first.slot])
      expect(await store.ownKeys()).toEqual(first.ownKeys)
      expect(await store.token(first.token.token)).toEqual(first.token)
      expect(await store.version('first', 1)).toEqual(first.firstKey?.version)

      const second = initialization({ token: tokenRow('11'.repeat(12)), firstKey: newKey('second') })
      expect(await write((audit) => store.initialize(second, audit))).toBe('conflict')
      expect(await store.cluster()).toEqual(first.cluster)
      expect(await store.token('11'.repeat(12))).toBeUndefined()
      expect(await store.key('second')).toBeUndefined()
    })

    test('keys come back as they were written, in the order of their names, a page at a time', async () => {
      const made = ['m', 'a', 'z.9', 'z-1'].map((key) => newKey(key, { rewrapTo: ['a'], rotatedAt: null }))
      for (const key of made) expect(await create(key)).toBe('done')
      const expected = made
        .map(({ key }) => ({ ...key, primaryVersion: 1 }))
        .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      expect(await store.keys(all)).toEqual(expected)
      expect(await store.keys({ after: undefined, limit: 2 })).toEqual(expected.slice(0, 2))
      expect(await store.keys({ after: 'm', limit: 2 })).toEqual(expected.slice(2))
      expect(await store.key('z-1')).toEqual(expected[2])
    })

    test('a name is given once, a recipient id too', async () => {
      const a = newKey('a')
      expect(await create(a)).toBe('done')
      expect(await create(newKey('a'))).toBe('conflict')
      expect(await store.version('a', 1)).toEqual(a.version)
      const b = newKey('b')
      const thief = { ...b, version: { ...b.version, recipientId: a.version.recipientId } }
      expect(await create(thief)).toBe('conflict')
      expect(await store.key('b')).toBeUndefined()
    })

    test('what is returned and what was given is nobody else’s', async () => {
      const a = newKey('a')
      const seed = new Uint8Array(a.version.sealedSeed)
      await create(a)
      a.version.sealedSeed.fill(0)
      const read = await store.version('a', 1)
      expect(read?.sealedSeed).toEqual(seed)
      read?.sealedSeed.fill(0)
      expect((await store.version('a', 1))?.sealedSeed).toEqual(seed)
      expect(Object.getPrototypeOf(read?.sealedSeed)).toBe(Uint8Array.prototype)
    })

    test('rotation: one primary before and after, the old one goes on unwrapping', async () => {
      const a = newKey('a')
      await create(a)
      const version = versionRow('a', 2)
      const rotation = { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version }
      expect(await write((audit) => store.rotate(rotation, audit))).toBe('done')
      expect(await store.key('a')).toEqual({
        ...a.key,
        generation: 2,
        latestVersion: 2,
        rotatedAt: version.createdAt,
        primaryVersion: 2,
      })
      expect(await store.versions('a', all)).toEqual([
        { ...a.version, state: 'unwrap_only', stateChangedAt: version.createdAt },
        version,
      ])
    })

    test.each([
      ['another generation', { expectedGeneration: 2 }],
      ['another primary', { expectedPrimary: 2 }],
      ['a number left out', { version: versionRow('a', 3) }],
      ['a number again', { version: versionRow('a', 1) }],
      ['a key that is not there', { key: 'b', version: versionRow('b', 2) }],
    ])('a rotation that expects %s changes nothing', async (_, changes) => {
      await create(newKey('a'))
      const before = [await store.key('a'), await store.versions('a', all), await store.auditHeads()]
      const rotation = { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version: versionRow('a', 2) }
      expect(await write((audit) => store.rotate({ ...rotation, ...changes }, audit))).toBe('conflict')
      expect([await store.key('a'), await store.versions('a', all), await store.auditHeads()]).toEqual(before)
    })

    test('a rotation to a recipient id that is taken changes nothing', async () => {
      const a = newKey('a')
      await create(a)
      const version = versionRow('a', 2, { recipientId: a.version.recipientId })
      const rotation = { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version }
      expect(await write((audit) => store.rotate(rotation, audit))).toBe('conflict')
      expect((await store.key('a'))?.primaryVersion).toBe(1)
    })

    test('a state changes if it and the generation are as expected', async () => {
      const a = newKey('a')
      await create(a)
      const version = versionRow('a', 2)
      const rotation = { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version }
      await write((audit) => store.rotate(rotation, audit))
      const change = {
        key: 'a',
        version: 1,
        expectedGeneration: 2,
        from: 'unwrap_only' as const,
        to: 'disabled' as const,
        at: 5000,
      }
      const changing = (changes: object) =>
        write((audit) => store.changeState({ ...change, ...changes }, audit))
      expect(await changing({ expectedGeneration: 1 })).toBe('conflict')
      expect(await changing({ from: 'pending' })).toBe('conflict')
      expect(await changing({ version: 9 })).toBe('conflict')
      expect((await store.key('a'))?.generation).toBe(2)
      expect(await changing({})).toBe('done')
      expect(await store.version('a', 1)).toMatchObject({ state: 'disabled', stateChangedAt: 5000 })
      expect((await store.key('a'))?.generation).toBe(3)
    })

    test('versions are found by recipient id, and ids by state', async () => {
      const [a, b] = [newKey('a'), newKey('b')]
      await create(a)
      await create(b)
      const version = versionRow('a', 2)
      const rotation = { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version }
      await write((audit) => store.rotate(rotation, audit))
      const ids = [b.version.recipientId, Buffer.from(a.version.recipientId), new Uint8Array(16)]
      const found = await store.versionsByRecipientId(ids)
      expect(found.map((row) => `${row.key} ${row.version} ${row.state}`).toSorted()).toEqual([
        'a 1 unwrap_only',
        'b 1 primary',
      ])
      expect(await store.recipientIds('a', ['primary', 'unwrap_only'])).toEqual([
        a.version.recipientId,
        version.recipientId,
      ])
      expect(await store.recipientIds('a', ['primary'])).toEqual([version.recipientId])
    })

    test('versions come a page at a time, ascending', async () => {
      await create(newKey('a'))
      for (let number = 2; number <= 12; number++) {
        const expected = { expectedGeneration: number - 1, expectedPrimary: number - 1 }
        const rotation = { key: 'a', ...expected, version: versionRow('a', number) }
        expect(await write((audit) => store.rotate(rotation, audit))).toBe('done')
      }
      const page = await store.versions('a', { after: 4, limit: 5 })
      expect(page.map(({ version }) => version)).toEqual([5, 6, 7, 8, 9])
      const states = (await store.versions('a', all)).filter(({ state }) => state === 'primary')
      expect(states.map(({ version }) => version)).toEqual([12])
    })

    test('tokens are made once and revoked once', async () => {
      const token = tokenRow('ab'.repeat(12), {
        keys: ['a', 'b'],
        expiresAt: 9000,
        createdBy: 'cd'.repeat(12),
      })
      expect(await write((audit) => store.createToken(token, audit))).toBe('done')
      expect(await write((audit) => store.createToken({ ...token, name: 'x' }, audit))).toBe('conflict')
      expect(await store.token(token.token)).toEqual(token)
      expect(await write((audit) => store.revokeToken(token.token, 7000, audit))).toBe('done')
      expect(await write((audit) => store.revokeToken(token.token, 8000, audit))).toBe('conflict')
      expect(await write((audit) => store.revokeToken('none', 8000, audit))).toBe('conflict')
      expect(await store.token(token.token)).toEqual({ ...token, revokedAt: 7000 })
      const other = tokenRow('bb'.repeat(12))
      await write((audit) => store.createToken(other, audit))
      expect(await store.tokens({ after: undefined, limit: 1 })).toEqual([{ ...token, revokedAt: 7000 }])
      expect(await store.tokens({ after: token.token, limit: 5 })).toEqual([other])
    })

    test('entries are appended in order, and only at the end of their chain', async () => {
      const audit = chain.next(3)
      expect(await store.append(audit)).toBe('done')
      expect(await store.append(audit)).toBe('chain_moved')
      chain.accept(audit)
      const more = chain.next(2)
      expect(await store.append({ ...more, entries: more.entries.slice(1) })).toBe('chain_moved')
      expect(await store.append(more)).toBe('done')
      expect(await store.auditHead(chain.run)).toEqual(more.head)
      expect(await store.auditEntries(chain.run, all)).toEqual([...audit.entries, ...more.entries])
      expect(await store.auditEntries(chain.run, { after: 2, limit: 2 })).toEqual([
        audit.entries[2],
        more.entries[0],
      ])
      expect(await store.auditHead('b'.repeat(32))).toBeUndefined()
    })

    test('runs keep apart, heads in the order in which the runs began', async () => {
      const chains = ['c', 'a', 'b'].map((letter) => new TestChain(letter.repeat(32)))
      for (const one of chains) await store.append(one.next())
      expect((await store.auditHeads()).map(({ run }) => run[0])).toEqual(['c', 'a', 'b'])
      expect(new Set(await store.auditRuns())).toEqual(new Set(chains.map(({ run }) => run)))
    })

    test('a change whose entry does not fit the chain is not made', async () => {
      const audit = chain.next()
      await store.append(audit)
      expect(await store.createKey(newKey('a'), audit)).toBe('chain_moved')
      expect(await store.key('a')).toBeUndefined()
      const token = tokenRow('ab'.repeat(12))
      expect(await store.createToken(token, audit)).toBe('chain_moved')
      expect(await store.token(token.token)).toBeUndefined()
    })

    test('a change that is refused leaves no entry', async () => {
      await create(newKey('a'))
      const before = await store.auditEntries(chain.run, all)
      expect(await create(newKey('a'))).toBe('conflict')
      expect(await store.auditEntries(chain.run, all)).toEqual(before)
    })

    test('of 64 rotations at once from one state, one is made', async () => {
      await create(newKey('a'))
      const audit = chain.next()
      const outcomes = await Promise.all(
        Array.from({ length: 64 }, () =>
          store.rotate(
            { key: 'a', expectedGeneration: 1, expectedPrimary: 1, version: versionRow('a', 2) },
            audit,
          ),
        ),
      )
      expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1)
      expect((await store.versions('a', all)).map(({ state }) => state)).toEqual(['unwrap_only', 'primary'])
    })
  })
}
