/** A vector file in the making: cases are numbered as they are added, one on each line. */

import type { VectorCase } from '../schema.ts'

type Fields = Omit<VectorCase, 'id' | 'name' | 'op' | 'result' | 'kind' | 'comment'>
export type Kind =
  | 'malformed'
  | 'unsupported'
  | 'no-recipient'
  | 'cannot-open'
  | 'limit'
  | 'bad-context'
  | 'bad-key'
  | 'bad-text'
  | 'bad-value'
  | 'bad-input'

export class CaseFile {
  readonly name: string
  readonly cases: VectorCase[] = []

  constructor(name: string) {
    this.name = name
  }

  valid(op: string, name: string, fields: Fields, comment = ''): void {
    this.#add({ op, name, comment, ...fields, result: 'valid' })
  }

  /** @param comment What is wrong. */
  refused(op: string, kind: Kind, name: string, comment: string, fields: Fields): void {
    this.#add({ op, name, comment, ...fields, result: 'refused', kind })
  }

  /** The file's content. */
  text(): string {
    const count = (result: string) => this.cases.filter((each) => each.result === result).length
    const head = `"format":"longhold formats v1","file":"${this.name}","valid":${count('valid')},"refused":${count('refused')}`
    return `{${head},"cases":[\n${this.cases.map((each) => JSON.stringify(each)).join(',\n')}\n]}\n`
  }

  #add(fields: Omit<VectorCase, 'id'>): void {
    const id = `published-${this.name.replace('.json', '')}-${this.cases.length + 1}`
    if (this.cases.some(({ name }) => name === fields.name)) throw new Error(`two cases "${fields.name}"`)
    this.cases.push({ id, ...fields })
  }
}
