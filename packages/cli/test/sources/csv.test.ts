import { readFileSync, writeFileSync } from 'node:fs'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { csv } from '../../src/sources/csv.ts'
import type { SourceRow } from '../../src/sources/row-source.ts'
import { openTextFile, readTextFile } from '../../src/sources/text-file.ts'
import { Workspace } from '../support/cli.ts'
import { oldPem } from '../support/legacy-values.ts'
import { Directory, jweOf } from '../support/migration.ts'

const layout = (delimiter = ',') => csv({ idColumn: 'id', delimiter })
const wanted = { own: ['v'], read: ['r'] }

/** The rows of a text, and what it becomes with every value replaced. */
function look(text: string, { delimiter = ',', columns = wanted } = {}) {
  const bytes = Buffer.from(text)
  const one = layout(delimiter)
  const records: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = one.endOf(bytes, at, at) ?? bytes.length
    records.push(bytes.subarray(at, end))
    at = end
  }
  const parse = one.parser(columns, records[0])
  const parsed = records.map((record, index) => parse(record, index + 1))
  const rows = parsed.flatMap((record): SourceRow[] => (record === undefined ? [] : [record.row]))
  const replaced = records.map((record, index) => parsed[index]?.replace('NEW') ?? record)
  return { rows, replaced: Buffer.concat(replaced).toString() }
}

describe('reading', () => {
  test('fields by the names of the first line, quotes and all', () => {
    const { rows } = look('id,v,r\n1,a,x\r\n2,"b ""b"", b",\n3,"line\nline",""\n4,,x')
    expect(rows.map(({ id, cells }) => [id, ...cells])).toEqual([
      ['1', 'a', 'x'],
      ['2', 'b "b", b', null],
      ['3', 'line\nline', ''],
      ['4', null, 'x'],
    ])
  })

  test.each([
    ['too few fields', 'id,v,r\n1,a\n', 'malformed'],
    ['too many fields', 'id,v,r\n1,a,b,c\n', 'malformed'],
    ['text after a quote', 'id,v,r\n1,"a"b,c\n', 'malformed'],
    ['a quote that is not closed', 'id,v,r\n1,"a,b\n', 'malformed'],
    ['no id', 'id,v,r\n,a,b\n', 'bad_id'],
  ])('%s is a problem of its record', (_, text, problem) => {
    expect(look(text).rows.at(-1)?.problem).toBe(problem)
  })

  test('blank lines and a byte order mark are none', () => {
    expect(look('\ufeffid,v,r\n\n1,a,b\n\r\n').rows.map(({ id }) => id)).toEqual(['1'])
  })

  test.each([
    ['no such column', 'id,w,r\n', /no column v/],
    ['two of one name', 'id,v,v,r\n', /two columns are called v/],
    ['another delimiter', 'id;v;r\n', /no column id/],
    ['nothing at all', '', /names no columns/],
  ])('%s', (_, text, message) => {
    expect(() => look(text)).toThrow(message)
  })

  test('the id cannot be what is replaced', () => {
    expect(() => look('id,v\n', { columns: { own: ['id'], read: [] } })).toThrow(/cannot be replaced/)
  })
})

describe('replacing', () => {
  test.each([
    ['keeps quotes', 'id,v,r\n1,"a",b\n', 'id,v,r\n1,"NEW",b\n'],
    ['adds none', 'id,v,r\r\n1,a,"b"\r\n', 'id,v,r\r\n1,NEW,"b"\r\n'],
    ['a last field without an end of line', 'id,r,v\n1,b,a', 'id,r,v\n1,b,NEW'],
  ])('%s', (_, text, expected) => {
    expect(look(text).replaced).toBe(expected)
  })

  test('the other columns of a layout become empty', () => {
    const columns = { own: ['v', 'k', 'iv'], read: [] }
    const { replaced } = look('iv,id,v,k\n"i",1,a,"k"\n', { columns })
    expect(replaced).toBe('iv,id,v,k\n,1,NEW,\n')
  })

  test('any table comes back as it was but for the value', () => {
    const field = fc.string({ unit: fc.constantFrom('a', '"', ',', ';', '\n', '\r', ' ', 'ü', '\t') })
    const record = fc.record({ id: fc.string({ unit: 'grapheme-ascii', minLength: 1 }), v: field, r: field })
    fc.assert(
      fc.property(
        fc.array(record),
        fc.constantFrom(',', ';', '\t'),
        fc.boolean(),
        (records, delimiter, crlf) => {
          const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
          const end = crlf ? '\r\n' : '\n'
          const write = (value: (v: string) => string) =>
            [['id', 'v', 'r'], ...records.map(({ id, v, r }) => [quoted(id), quoted(value(v)), quoted(r)])]
              .map((fields) => fields.join(delimiter) + end)
              .join('')
          const { rows, replaced } = look(
            write((v) => v),
            { delimiter },
          )
          expect(rows.map(({ id, cells }) => ({ id, v: cells[0], r: cells[1] }))).toEqual(records)
          expect(replaced).toBe(write(() => 'NEW'))
        },
      ),
    )
  })

  test('a record is found whole however the file is read', () => {
    using directory = new Directory()
    const long = `"${'x\n""'.repeat(700_000)}"`
    writeFileSync(directory.file('rows.csv'), `id,v,r\n1,${long},b\n2,"y",b\n`)
    const options = { path: directory.file('rows.csv'), shown: 'rows.csv', layout: layout(), columns: wanted }
    const reader = readTextFile(options, 'old')
    const page = reader.read(undefined, { maxRows: 10, maxBytes: 1e9 })
    expect(page.rows.map(({ id, cells }) => [id, String(cells[0]).length])).toEqual([
      ['1', 3 * 700_000],
      ['2', 1],
    ])
    reader.close()
    openTextFile(options).close()
  })
})

describe('reencrypt over CSV', () => {
  test.each([
    ['rows.csv', ',', []],
    ['rows.tsv', '\t', []],
    ['rows.txt', ';', ['--delimiter', ';']],
  ])('%s', async (name, delimiter, more) => {
    using space = new Workspace()
    const rows = await Promise.all(
      [1, 2].map(async (id) => [`"k ${id}"`, await jweOf(id), '"a, b; c"'].join(delimiter)),
    )
    space.write(name, [['id', 'body', 'note'].join(delimiter), ...rows].join('\r\n'))
    space.write('old.pem', oldPem)
    await space.cli(['keygen', '--output', 'identity.txt'])
    space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
    const target = [name, '--id', 'id', '--column', 'body', ...more]
    const keys = [
      '--private-key',
      'old.pem',
      '--identity',
      'identity.txt',
      '-R',
      'recipients.txt',
      '--execute',
    ]
    const run = await space.cli(['reencrypt', 'run', ...target, ...keys])
    expect(run).toMatchObject({ code: 0, stdout: expect.stringMatching(/migrated +2/) as string })
    const after = readFileSync(space.file(`${name}.longhold`), 'utf8').split('\r\n')
    expect(after[0]).toBe(['id', 'body', 'note'].join(delimiter))
    expect(after[1]).toMatch(/^"k 1".TEhS[\w-]+."a, b; c"$/u)
    const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
    expect(verify).toMatchObject({ code: 0, stdout: expect.stringMatching(/opened +2 under 1/) as string })
  })

  test('a delimiter that is none', async () => {
    using space = new Workspace()
    space.write('rows.csv', 'id,body\n')
    const flags = ['--id', 'id', '--column', 'body', '--delimiter', ',,']
    const answer = await space.cli(['reencrypt', 'plan', 'rows.csv', ...flags])
    expect(answer).toMatchObject({ code: 2, stderr: expect.stringMatching(/one character/) as string })
  })
})
