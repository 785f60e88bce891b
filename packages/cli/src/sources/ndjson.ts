/** NDJSON: an object a line. Everything but the values stays byte for byte. */

import { isUtf8 } from 'node:buffer'

import { JsonTextError, locateMembers, parseMemberPath } from '../json-text.ts'
import type { Span } from '../json-text.ts'
import type { FileLayout, ParsedRecord } from './file-layout.ts'
import { Problem } from './problem.ts'
import type { Cell, WantedColumns } from './row-source.ts'

/** 64 MiB of plaintext in hexadecimal, and some. */
const maxCellChars = 136 * 1024 * 1024
const byteOrderMark = '\ufeff'

interface LineColumns {
  /** The member that names the line. */
  readonly id: readonly string[]
  /** The value, what else a layout occupies, then what is only read. */
  readonly columns: readonly (readonly string[])[]
  readonly ownColumns: number
}

const newline = 0x0a

/** @param idMember `id`, or `/a/id` for a member further inside: it names the line. */
export function ndjson(idMember: string): FileLayout {
  return {
    kind: 'NDJSON file',
    columnWord: 'member',
    endOf(buffer, _from, scanned) {
      const end = buffer.indexOf(newline, scanned)
      return end < 0 ? undefined : end + 1
    },
    parser(wanted) {
      const columns = lineColumns(idMember, wanted)
      return (line, number) => (isBlank(line) ? undefined : parseLine(line, number, columns))
    },
  }
}

/** @throws Problem `wrong` when one member lies inside another. */
function lineColumns(idMember: string, { own, read }: WantedColumns): LineColumns {
  const ownPaths = own.map(parseMemberPath)
  for (const [index, path] of ownPaths.entries()) {
    const inside = ownPaths.find(
      (other, at) => at !== index && path.every((name, depth) => other[depth] === name),
    )
    if (inside !== undefined) {
      throw new Problem('wrong', `member ${own[index]} holds another member of its layout`, {
        hint: 'declare parts inside one member with `member`, not as columns',
      })
    }
  }
  return {
    id: parseMemberPath(idMember),
    columns: [...ownPaths, ...read.map(parseMemberPath)],
    ownColumns: own.length,
  }
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d))
}

function parseLine(line: Buffer, number: number, { id, columns, ownColumns }: LineColumns): ParsedRecord {
  const locator = `line ${number}`
  const unusable = (problem: string): ParsedRecord => ({
    row: { locator, id: '', cells: columns.map(() => null), form: 'text', problem },
    ownBytes: 0,
    replace: () => line,
  })
  if (!isUtf8(line)) return unusable('malformed')
  const text = line.toString('utf8')
  const start = number === 1 && text.startsWith(byteOrderMark) ? 1 : 0
  let spans: readonly (Span | undefined)[]
  try {
    spans = locateMembers(text.slice(start), [id, ...columns]).map((span) => shift(span, start))
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error
    return unusable('malformed')
  }
  const [idSpan, ...columnSpans] = spans
  if (columnSpans.some((span) => span !== undefined && span.end - span.start > maxCellChars)) {
    return unusable('limit_exceeded')
  }
  const name = idOf(text, idSpan)
  const cells = columnSpans.map((span) => cellOf(text, span))
  const own = columnSpans.slice(0, ownColumns)
  return {
    row: { locator, id: name ?? '', cells, form: 'text', problem: name === undefined ? 'bad_id' : undefined },
    ownBytes: own.reduce((sum, span) => sum + (span === undefined ? 0 : span.end - span.start), 0),
    replace: (replacement) => replaceInLine(text, own, replacement),
  }
}

/** The line with the value replaced and the other members of the layout null. */
function replaceInLine(text: string, spans: readonly (Span | undefined)[], replacement: string): Buffer {
  const edits = spans
    .map((span, index) => ({ span, value: index === 0 ? JSON.stringify(replacement) : 'null' }))
    .filter((edit): edit is { span: Span; value: string } => edit.span !== undefined)
    .toSorted((a, b) => a.span.start - b.span.start)
  let result = ''
  let at = 0
  for (const { span, value } of edits) {
    result += text.slice(at, span.start) + value
    at = span.end
  }
  return Buffer.from(result + text.slice(at), 'utf8')
}

function shift(span: Span | undefined, by: number): Span | undefined {
  return span === undefined || by === 0 ? span : { start: span.start + by, end: span.end + by }
}

/** The `id` of a record context: a string as it is, or a whole number in its one decimal spelling. */
function idOf(text: string, span: Span | undefined): string | undefined {
  const cell = cellOf(text, span)
  if (typeof cell === 'bigint') return String(cell)
  if (typeof cell !== 'string' || span === undefined || text[span.start] !== '"') return undefined
  return cell.isWellFormed() ? cell : undefined
}

/** Strings are read; whole numbers are bigint, beyond 2^53 too; objects and arrays stay the text they are. */
function cellOf(text: string, span: Span | undefined): Cell {
  if (span === undefined) return null
  const raw = text.slice(span.start, span.end)
  if (raw === 'null') return null
  if (raw.startsWith('"')) return JSON.parse(raw) as string
  if (/^-?(?:0|[1-9][0-9]*)$/.test(raw) && raw !== '-0') return BigInt(raw)
  return /^[-0-9]/.test(raw) ? Number(raw) : raw
}
