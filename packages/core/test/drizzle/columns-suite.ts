/** What encrypted columns do, on any dialect. */

import type { Column, SQL, Table } from 'drizzle-orm'
import { between, eq, gt, inArray, isNotNull, isNull, lte, ne, not } from 'drizzle-orm'
import { beforeEach, describe, expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { Encrypted } from '../../src/drizzle/index.ts'
import type { EncryptedColumns } from '../../src/drizzle/index.ts'
import type { Keyring } from '../../src/index.ts'
import { keyIdOf } from '../../src/index.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import { patterned } from '../samples.ts'

type Row = Record<string, unknown>

/** A table `people` and one way to do each thing, whatever the dialect. */
export interface Harness {
  readonly keyring: Keyring
  /** Columns of `people`, which has id, a column of each type, `emailIndex` (64 bits) and `ageIndex` (16). */
  readonly enc: EncryptedColumns<'sqlite'> | EncryptedColumns<'postgresql'>
  readonly people: Table
  readonly column: (property: string) => Column
  readonly insert: (values: Row) => Promise<unknown>
  readonly update: (id: number, values: Row) => Promise<unknown>
  readonly select: (where?: SQL) => Promise<Row[]>
  /** As the driver gives it, by the database's names. */
  readonly raw: () => Promise<Row[]>
  readonly setRaw: (id: number, column: string, value: unknown) => Promise<unknown>
}

const ada = {
  id: 1,
  email: 'ada@example.org',
  notes: { allergies: ['nuts'], since: null },
  photo: patterned(300),
  balance: -(2n ** 70n),
  age: 36.5,
  isMember: true,
  born: new Date('1815-12-10T00:00:00.123Z'),
  plain: 'not encrypted',
}
const nothing = {
  email: null,
  notes: null,
  photo: null,
  balance: null,
  age: null,
  isMember: null,
  born: null,
}

export function describeColumns(open: () => Promise<Harness>): void {
  let h: Harness
  beforeEach(async () => {
    h = await open()
  })
  /** The suite is written for any table, where values have no types. */
  const rowOf = async (values: Row): Promise<Row> => await h.enc.row(h.people, values)
  const insert = async (values: Row) => await h.insert(await rowOf(values))
  const opened = async (where?: SQL): Promise<Row[]> => await h.enc.open(await h.select(where))

  describe('a row', () => {
    test('comes back as it was, in each type', async () => {
      await insert(ada)
      const [row] = await opened()
      expect(row).toEqual({ ...ada, emailIndex: expect.any(Uint8Array), ageIndex: expect.any(Uint8Array) })
    })

    test('is records in the database, each bound to table, column and id', async () => {
      await insert(ada)
      const [stored = {}] = await h.raw()
      const handle = await h.keyring.dataKey('people')
      const record = new Uint8Array(stored['email'] as Uint8Array)
      expect(keyIdOf(record)).toEqual(handle.keyId)
      expect(record.length).toBe(92 + 1 + ada.email.length)
      const recordContext = { table: 'people', column: 'email', id: '1' }
      expect(handle.decryptValue(record, { recordContext })).toEqual({ type: 'string', value: ada.email })
      for (const [name, value] of Object.entries(stored)) {
        const bytes = value instanceof Uint8Array ? toHex(value) : String(value)
        expect(bytes, name).not.toContain(toHex(new TextEncoder().encode('ada@')))
      }
    })

    test('with nothing in it has NULL, in values and indexes', async () => {
      await insert({ id: 2, ...nothing })
      await insert({ id: 3 })
      for (const row of await opened())
        expect(row).toMatchObject({ ...nothing, emailIndex: null, ageIndex: null })
      for (const row of await h.raw()) {
        expect(Object.entries(row).filter(([name, value]) => name !== 'id' && value !== null)).toEqual([])
      }
      expect(await h.select(isNull(h.column('email')))).toHaveLength(2)
      expect(await h.select(isNotNull(h.column('email')))).toEqual([])
    })

    test('may hold what is empty, which is not nothing', async () => {
      const empty = {
        id: 1,
        email: '',
        notes: {},
        photo: new Uint8Array(),
        balance: 0n,
        age: -0,
        isMember: false,
      }
      await insert(empty)
      expect((await opened())[0]).toMatchObject(empty)
    })

    test('is changed in part, with the indexes of that part', async () => {
      await insert(ada)
      const [before = {}] = await h.raw()
      const changes: Row = await h.enc.changes(h.people, { id: 1, email: 'ada@example.net', notes: null })
      await h.update(1, changes)
      const [row = {}] = await opened()
      expect(row).toMatchObject({ ...ada, email: 'ada@example.net', notes: null })
      const [after = {}] = await h.raw()
      expect(after['email_index']).not.toEqual(before['email_index'])
      expect(after['age_index']).toEqual(before['age_index'])
      await h.update(1, await h.enc.changes(h.people, { id: 1, email: null }))
      expect((await h.raw())[0]).toMatchObject({ email: null, email_index: null })
    })

    test('does not open in another row, column or table', async () => {
      await insert(ada)
      await insert({ ...ada, id: 2 })
      const [first = {}] = await h.raw()
      await h.setRaw(2, 'email', first['email'])
      const moved = await refusalOf(() => opened())
      expect(moved.code).toBe('cannot_open')
      expect(moved.hint).toBe('column "email" of row 1 of those given')
      await h.setRaw(2, 'email', null)
      await h.setRaw(1, 'email', first['notes'])
      expect(await codeOf(() => opened())).toBe('cannot_open')
    })

    test('opens under older data keys, and by whoever has the store', async () => {
      await insert(ada)
      await h.keyring.rotate('people')
      await insert({ ...ada, id: 2 })
      const keys = new Set((await h.raw()).map((row) => toHex(keyIdOf(row['email'] as Uint8Array))))
      expect(keys.size).toBe(2)
      expect((await opened()).map((row) => row['email'])).toEqual([ada.email, ada.email])
    })

    test('that is read or looked up makes no key, also where there is none', async () => {
      const others = h.enc.withKey(() => h.keyring.handle('nobody'), {
        indexKey: () => h.keyring.handle('nobody'),
      })
      const count = async () => {
        let keys = 0
        for await (const { keyId } of h.keyring.dataKeys()) keys += Math.sign(keyId.length)
        return keys
      }
      await insert(ada)
      const before = await count()
      expect(await h.select(await others.eq(h.column('email'), ada.email as never))).toEqual([])
      expect(await h.select(await others.inArray(h.column('email'), [ada.email as never]))).toEqual([])
      expect(await codeOf(() => others.indexOf(h.column('email'), ada.email as never))).toBe('no_data_key')
      expect(await others.open([])).toEqual([])
      expect(await codeOf(async () => others.open(await h.select()))).toBe('cannot_open')
      expect(await count()).toBe(before)
      // The first row makes both, and what was looked up in vain is found.
      const row: Row = await others.row(h.people, { ...ada, id: 7 })
      await h.insert(row)
      expect(await count()).toBe(before + 2)
      const found = await h.select(await others.eq(h.column('email'), ada.email as never))
      expect(await others.open(found)).toMatchObject([{ id: 7, email: ada.email }])
    })

    test('of a destroyed data key says so', async () => {
      await insert(ada)
      await h.keyring.destroyAll('people', { keyContext: {} })
      expect(await codeOf(() => opened())).toBe('destroyed')
    })
  })

  describe('a select', () => {
    test('gives opaque values, whether the data key is at hand or not', async () => {
      await insert(ada)
      const [row = {}] = await h.select()
      for (const name of ['email', 'notes', 'photo', 'balance', 'age', 'isMember', 'born']) {
        expect(row[name], name).toBeInstanceOf(Encrypted)
      }
      expect(String(row['email'])).toBe('[encrypted]')
      expect(JSON.stringify(row['email'])).toBe('"[encrypted]"')
    })

    test('needs the id, to open anything', async () => {
      await insert(ada)
      const [{ email } = {}] = await h.select()
      const error = await refusalOf(() => h.enc.open([{ email }]))
      expect(error.code).toBe('bad_input')
      expect(error.hint).toContain('select it')
    })

    test('of many rows is opened in one go; one row and none, too', async () => {
      for (let id = 1; id <= 30; id++) await insert({ ...ada, id })
      const rows = await opened()
      expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
      const [first = {}] = await h.select()
      expect(await h.enc.open(first)).toMatchObject(ada)
      expect(await h.enc.open([])).toEqual([])
    })

    test('leaves what it was given as it was', async () => {
      await insert(ada)
      const rows = await h.select()
      await h.enc.open(rows)
      expect(rows[0]?.['email']).toBeInstanceOf(Encrypted)
    })
  })

  describe('look-ups', () => {
    test('find equal values by the blind index', async () => {
      await insert(ada)
      await insert({ ...ada, id: 2, email: 'bert@example.org' })
      const where = await h.enc.eq(h.column('email'), ada.email as never)
      expect((await opened(where)).map(({ id }) => id)).toEqual([1])
      const both = await h.enc.inArray(h.column('email'), [ada.email, 'bert@example.org', 'x'] as never)
      expect((await opened(both)).map(({ id }) => id)).toEqual([1, 2])
      expect(await opened(await h.enc.eq(h.column('email'), 'Ada@example.org' as never))).toEqual([])
      expect(await opened(not(where))).toHaveLength(1)
      expect(await opened(await h.enc.eq(h.column('age'), 36.5 as never))).toHaveLength(2)
    })

    test('have an index of as many bits as were asked for', async () => {
      await insert(ada)
      const [row = {}] = await h.raw()
      expect((row['email_index'] as Uint8Array).length).toBe(8)
      expect((row['age_index'] as Uint8Array).length).toBe(2)
      const index = await h.enc.indexOf(h.column('email'), ada.email as never)
      expect(new Uint8Array(row['email_index'] as Uint8Array)).toEqual(index)
      expect(await h.select(eq(h.column('emailIndex'), index))).toHaveLength(1)
    })

    test('of a column without an index, of nothing, or of another type are refused', async () => {
      expect(await codeOf(() => h.enc.eq(h.column('notes'), {} as never))).toBe('bad_input')
      expect(await codeOf(() => h.enc.eq(h.column('plain'), 'x' as never))).toBe('bad_input')
      expect(await codeOf(() => h.enc.eq(h.column('email'), null as never))).toBe('bad_input')
      const error = await refusalOf(() => h.enc.eq(h.column('email'), 36 as never))
      expect(error.code).toBe('bad_value')
      expect(error.hint).toContain('"email"')
    })
  })

  describe('an encrypted column compared directly fails loudly', () => {
    const conditions: [string, (column: Column) => SQL][] = [
      ['eq', (column) => eq(column, ada.email)],
      ['ne', (column) => ne(column, ada.email)],
      ['gt', (column) => gt(column, ada.email)],
      ['lte', (column) => lte(column, ada.email)],
      ['between', (column) => between(column, 'a', 'b')],
      ['inArray', (column) => inArray(column, ['a', ada.email])],
      ['eq with bytes', (column) => eq(column, new Uint8Array(100))],
    ]

    test.each(conditions)('%s', async (_, condition) => {
      await insert(ada)
      const error = await thrownBy(() => h.select(condition(h.column('email'))))
      expect(error).toContain('await enc.eq')
      expect(error).not.toContain(ada.email)
    })

    test('with what was read, and with what of another column is to be written', async () => {
      await insert(ada)
      const [row = {}] = await h.select()
      expect(await thrownBy(() => h.select(eq(h.column('email'), row['email'])))).toContain('await enc.eq')
      const sealed = await rowOf(ada)
      expect(await thrownBy(() => h.select(eq(h.column('email'), sealed['notes'])))).toContain('await enc.eq')
    })

    test('a blind index with what is none', async () => {
      expect(await thrownBy(() => h.select(eq(h.column('emailIndex'), ada.email)))).toContain('enc.indexOf')
      expect(await thrownBy(() => h.select(eq(h.column('emailIndex'), new Uint8Array(2))))).toContain(
        'enc.indexOf',
      )
    })
  })

  describe('what is wrong is refused before it is written, and no error has the value', () => {
    const secret = 'a-secret-value'

    test('a plain value given to an insert', async () => {
      const error = await thrownBy(() => h.insert({ id: 1, email: secret }))
      expect(error).toContain('await enc.row')
      expect(error).not.toContain(secret)
      expect(await h.raw()).toEqual([])
    })

    test('a value that was read, written to another row', async () => {
      await insert(ada)
      const [row = {}] = await h.select()
      expect(await thrownBy(() => h.insert({ ...row, id: 2 }))).toContain('await enc.row')
    })

    test.each([
      ['email', 7],
      ['email', `${secret}\ud800`],
      ['photo', secret],
      ['balance', 1],
      ['age', secret],
      ['isMember', secret],
      ['born', new Date(Number.NaN)],
      ['born', secret],
      ['notes', () => secret],
      ['notes', { n: 1n }],
    ])('a wrong %s', async (name, value) => {
      const error = await refusalOf(() => rowOf({ ...ada, [name]: value }))
      expect(error.code).toBe('bad_value')
      expect(`${error.message} ${error.hint}`).not.toContain(secret)
      expect(error.hint).toContain(name === 'isMember' ? 'is_member' : name)
    })

    test('a property that is no column, an index, a missing or an odd id', async () => {
      expect(await codeOf(() => rowOf({ ...ada, emial: secret }))).toBe('bad_input')
      expect(await codeOf(() => rowOf({ ...ada, emailIndex: new Uint8Array(8) }))).toBe('bad_input')
      for (const id of [undefined, null, 1.5, Number.NaN, {}, true]) {
        const error = await refusalOf(() => rowOf({ ...ada, id }))
        expect(error.code).toBe('bad_input')
        expect(error.message).toContain('id')
      }
    })

    test('a value of another type than the column’s', async () => {
      await insert(ada)
      const handle = await h.keyring.dataKey('people')
      const recordContext = { table: 'people', column: 'email', id: '1' }
      await h.setRaw(1, 'email', handle.encryptValue({ type: 'number', value: 5 }, { recordContext }))
      expect(await codeOf(() => opened())).toBe('bad_value')
      await h.setRaw(1, 'email', handle.encrypt(new TextEncoder().encode(secret), { recordContext }))
      expect(await codeOf(() => opened())).toBe('cannot_open')
    })

    test('what is no record, and what is cut off', async () => {
      await insert(ada)
      const [row = {}] = await h.raw()
      const record = new Uint8Array(row['email'] as Uint8Array)
      for (const stored of [
        new TextEncoder().encode(secret),
        record.subarray(0, 91),
        new Uint8Array([0x4c, 0x48, 0x45, 1, 2]),
      ]) {
        await h.setRaw(1, 'email', stored)
        const error = await refusalOf(() => opened())
        expect(error.code).toBe('malformed')
        expect(error.hint).toContain('"email" of row 0')
      }
      await h.setRaw(1, 'email', record.subarray(0, record.length - 1))
      expect(await codeOf(() => opened())).toBe('cannot_open')
    })
  })
}

/** The text of an error and of its causes: Drizzle puts its own around. */
async function thrownBy(run: () => unknown): Promise<string> {
  try {
    await run()
  } catch (error) {
    const texts: string[] = []
    for (let at: unknown = error; at instanceof Error; at = at.cause) {
      texts.push(at.message, 'hint' in at ? String(at.hint) : '')
    }
    return texts.join('\n')
  }
  throw new Error('accepted, where a refusal is expected')
}
