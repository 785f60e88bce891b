/**
 * CSV (RFC 4180), with a first line of column names. Everything but the values stays byte for byte: quotes where they were,
 * ends of lines, a missing one at the end. A field without anything is no value; an empty one in quotes is a value.
 */

import { isUtf8 } from 'node:buffer'

import type { FileLayout, ParsedRecord } from './file-layout.ts'
import { Problem } from './problem.ts'
import type { Cell } from './row-source.ts'

export interface CsvOptions {
  /** The column that names the record. */
  readonly idColumn: string
  /** One character of ASCII: `,`, `;`, a tab. */
  readonly delimiter: string
}

/** A field in its record's text. */
interface Field {
  readonly start: number
  readonly end: number
  readonly isQuoted: boolean
}

const quote = 0x22
const newline = 0x0a
const byteOrderMark = '\ufeff'
/** 64 MiB of plaintext in hexadecimal, and some. */
const maxCellChars = 136 * 1024 * 1024

export function csv({ idColumn, delimiter }: CsvOptions): FileLayout {
  const separator = delimiter.charCodeAt(0)
  return {
    kind: 'CSV file',
    columnWord: 'column',
    endOf: (buffer, from) => endOfRecord(buffer, from, separator),
    parser(wanted, first) {
      const names = namesIn(first, delimiter)
      const placeOf = (name: string): number => {
        const at = names.indexOf(name)
        if (at >= 0 && names.indexOf(name, at + 1) < 0) return at
        throw new Problem('wrong', at < 0 ? `there is no column ${name}` : `two columns are called ${name}`, {
          hint: `the first line names ${names.join(', ')}; --delimiter says what stands between them`,
        })
      }
      const id = placeOf(idColumn)
      const own = wanted.own.map(placeOf)
      if (own.includes(id))
        throw new Problem('wrong', `column ${idColumn} names the record and cannot be replaced`)
      const columns = [...own, ...wanted.read.map(placeOf)]
      return (record, number) => {
        if (number === 1 || isBlank(record)) return undefined
        return parseRecord(record, number, { delimiter, id, own, columns, width: names.length })
      }
    },
  }
}

/** An end of line outside quotes. A quote opens a field only where one begins. */
function endOfRecord(buffer: Buffer, from: number, separator: number): number | undefined {
  let isQuoted = false
  let isStart = true
  for (let at = from; at < buffer.length; at++) {
    const byte = buffer[at]
    if (isQuoted) {
      const close = buffer.indexOf(quote, at)
      if (close < 0) return undefined
      at = close
      // Two quotes are one inside; the second opens what goes on.
      if (buffer[at + 1] === quote) at++
      else if (at + 1 >= buffer.length) return undefined
      else isQuoted = false
    } else if (byte === newline) return at + 1
    else if (byte === quote && isStart) isQuoted = true
    else isStart = byte === separator
    if (isQuoted) isStart = false
  }
  return undefined
}

function namesIn(first: Buffer | undefined, delimiter: string): string[] {
  const text = first === undefined || !isUtf8(first) ? '' : first.toString('utf8')
  const start = text.startsWith(byteOrderMark) ? 1 : 0
  const fields = fieldsOf(text, start, delimiter)
  if (fields === undefined || text === '') {
    throw new Problem('wrong', 'the first line names no columns', { hint: 'CSV begins with a line of names' })
  }
  return fields.map((field) => textOf(text, field))
}

interface RecordColumns {
  readonly delimiter: string
  readonly id: number
  readonly own: readonly number[]
  /** Own and read ones. */
  readonly columns: readonly number[]
  /** How many fields there must be. */
  readonly width: number
}

function parseRecord(
  record: Buffer,
  number: number,
  { delimiter, id, own, columns, width }: RecordColumns,
): ParsedRecord {
  const locator = `record ${number}`
  const unusable = (problem: string): ParsedRecord => ({
    row: { locator, id: '', cells: columns.map(() => null), form: 'text', problem },
    ownBytes: 0,
    replace: () => record,
  })
  if (!isUtf8(record)) return unusable('malformed')
  const text = record.toString('utf8')
  const fields = fieldsOf(text, 0, delimiter)
  if (fields?.length !== width) return unusable('malformed')
  const fieldAt = (place: number): Field => fields[place] as Field // there are so many
  if (columns.some((place) => lengthOf(fieldAt(place)) > maxCellChars)) return unusable('limit_exceeded')
  const name = textOf(text, fieldAt(id))
  const cellOf = (place: number): Cell => {
    const field = fieldAt(place)
    return lengthOf(field) === 0 && !field.isQuoted ? null : textOf(text, field)
  }
  return {
    row: {
      locator,
      id: name,
      cells: columns.map(cellOf),
      form: 'text',
      problem: name === '' ? 'bad_id' : undefined,
    },
    ownBytes: own.reduce((sum, place) => sum + lengthOf(fieldAt(place)), 0),
    replace: (replacement) => replaced(text, own.map(fieldAt), replacement),
  }
}

/** Undefined for a quote that is not closed, or text after one that is. */
function fieldsOf(text: string, from: number, delimiter: string): Field[] | undefined {
  const end = text.endsWith('\r\n') ? text.length - 2 : text.endsWith('\n') ? text.length - 1 : text.length
  const fields: Field[] = []
  for (let at = from; ;) {
    let after: number
    if (text[at] === '"') {
      let close = text.indexOf('"', at + 1)
      while (close >= 0 && text[close + 1] === '"') close = text.indexOf('"', close + 2)
      if (close < 0 || close >= end) return undefined
      after = close + 1
      fields.push({ start: at + 1, end: close, isQuoted: true })
    } else {
      const next = text.indexOf(delimiter, at)
      after = next < 0 || next > end ? end : next
      fields.push({ start: at, end: after, isQuoted: false })
    }
    if (after === end) return fields
    if (text[after] !== delimiter) return undefined
    at = after + 1
  }
}

function textOf(text: string, { start, end, isQuoted }: Field): string {
  const raw = text.slice(start, end)
  return isQuoted ? raw.replaceAll('""', '"') : raw
}

function lengthOf({ start, end }: Field): number {
  return end - start
}

/** In quotes where the old value was; the other columns of the layout become empty, without quotes. */
function replaced(text: string, own: readonly Field[], replacement: string): Buffer {
  const edits = own
    .map((field, index) => ({ field, value: index === 0 ? replacement : undefined }))
    .toSorted((a, b) => a.field.start - b.field.start)
  let result = ''
  let at = 0
  for (const { field, value } of edits) {
    const dropsQuotes = value === undefined && field.isQuoted ? 1 : 0
    result += text.slice(at, field.start - dropsQuotes) + (value ?? '')
    at = field.end + dropsQuotes
  }
  return Buffer.from(result + text.slice(at), 'utf8')
}

function isBlank(record: Buffer): boolean {
  return record.length === 0 || record.equals(Buffer.from('\n')) || record.equals(Buffer.from('\r\n'))
}
