/** How a text file is made of records: NDJSON, CSV. Holds no place in the file. */

import type { SourceRow, WantedColumns } from './row-source.ts'

export interface FileLayout {
  readonly kind: 'NDJSON file' | 'CSV file'
  /** What a column is called there. */
  readonly columnWord: 'member' | 'column'
  /**
   * Where the record ends that begins at `from`, its end of line included; undefined when it goes on after the buffer.
   *
   * @param scanned How much of the buffer was looked at before without finding an end.
   */
  endOf(buffer: Buffer, from: number, scanned: number): number | undefined
  /**
   * @param first The first record of the file, which may name the columns; undefined for an empty file.
   * @throws Problem `wrong` for columns that are not there, or that are one.
   */
  parser(columns: WantedColumns, first: Buffer | undefined): RecordParser
}

/**
 * One record, its end of line included, as a row. Undefined for what is none: a blank line, a line of names.
 *
 * @param number Of the record, from 1.
 */
export type RecordParser = (record: Buffer, number: number) => ParsedRecord | undefined

export interface ParsedRecord {
  readonly row: SourceRow
  /** Of the columns a layout occupies, as they stand there. */
  readonly ownBytes: number
  /** The record with the value replaced and the other columns of its layout empty; everything else byte for byte. */
  replace(replacement: string): Buffer
}
