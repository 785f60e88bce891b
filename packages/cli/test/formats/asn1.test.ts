import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { OctetSplitter } from '../../src/formats/asn1-octets.ts'
import { BerCursor, maxBerDepth, objectIdText, readBerHeader, smallInteger } from '../../src/formats/asn1.ts'
import { LegacyError } from '../../src/formats/legacy-format.ts'
import { ber, der, integer, octets, oid } from '../support/cms.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

function problemOf(step: () => unknown): string {
  try {
    step()
  } catch (error) {
    if (error instanceof LegacyError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'none'
}

/** An OCTET STRING in one of the forms that BER allows, and what is in it. */
const octetString = fc.letrec<{ any: { form: Buffer; content: Buffer } }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.uint8Array({ maxLength: 200 }).map((bytes) => ({ form: octets(bytes), content: Buffer.from(bytes) })),
    fc.tuple(fc.array(tie('any'), { maxLength: 4 }), fc.boolean()).map(([parts, isDefinite]) => ({
      form: (isDefinite ? der : ber)(0x24, ...parts.map(({ form }) => form)),
      content: Buffer.concat(parts.map(({ content }) => content)),
    })),
  ),
})).any

describe('headers', () => {
  test.each([
    ['0400', 0x04, 2, 0],
    ['047f', 0x04, 2, 127],
    ['048180', 0x04, 3, 128],
    ['04820001', 0x04, 4, 1],
    ['04880000000000000005', 0x04, 10, 5],
    ['3088001fffffffffffff', 0x30, 10, Number.MAX_SAFE_INTEGER],
    ['3080', 0x30, 2, undefined],
  ])('%s', (bytes, identifier, headerBytes, length) => {
    expect(readBerHeader(hex(bytes), 0)).toEqual({ identifier, headerBytes, length })
    for (let end = 0; end < bytes.length / 2; end++)
      expect(readBerHeader(hex(bytes).subarray(0, end), 0)).toBeUndefined()
  })

  test.each([
    ['1f8101', /tag number/],
    ['0480', /primitive/],
    ['30880020000000000000', /2\^53/],
    ['3089010000000000000000', /8 bytes/],
    ['30ff', /8 bytes/],
  ])('%s is refused', (bytes, message) => {
    expect(problemOf(() => readBerHeader(hex(bytes), 0))).toMatch(message)
  })
})

describe('a cursor', () => {
  test('walks through definite and indefinite elements alike', () => {
    for (const outer of [der, ber]) {
      for (const inner of [der, ber]) {
        const cursor = new BerCursor(
          outer(0x30, integer(7), inner(0x31, oid('1.2.3')), inner(0xa0, inner(0x30))),
        )
        cursor.enter(0x30, 'outer')
        expect(smallInteger(cursor.primitive(0x02, 'number'), 'number')).toBe(7)
        cursor.enter(0x31, 'set')
        expect(problemOf(() => cursor.leave('set'))).toMatch(/more in the set/)
        expect(objectIdText(cursor.primitive(0x06, 'id'))).toBe('1.2.3')
        expect(cursor.next()).toBeUndefined()
        cursor.leave('set')
        expect(cursor.next()).toBe(0xa0)
        expect(cursor.element('rest')[0]).toBe(0xa0)
        cursor.leave('outer')
        cursor.finish()
      }
    }
  })

  test('refuses what does not fit', () => {
    const entered = (bytes: Uint8Array) => {
      const cursor = new BerCursor(bytes)
      cursor.enter(0x30, 'outer')
      return cursor
    }
    expect(problemOf(() => entered(hex('3003040500')).primitive(0x04, 'part'))).toMatch(
      /beyond its surroundings/,
    )
    expect(problemOf(() => entered(hex('30800405')).primitive(0x04, 'part'))).toMatch(/cut off/)
    expect(problemOf(() => entered(hex('3080')).next())).toMatch(/cut off/)
    expect(problemOf(() => entered(hex('3000')).element('part'))).toMatch(/part is missing/)
    expect(problemOf(() => entered(hex('3000')).primitive(0x04, 'part'))).toMatch(/part is missing/)
    expect(problemOf(() => entered(hex('300430020000')).element('part'))).toBe('none')
    expect(problemOf(() => new BerCursor(hex('020101')).enter(0x30, 'outer'))).toMatch(/another type/)
    expect(problemOf(() => new BerCursor(hex('00')).finish())).toMatch(/bytes after its end/)
    let deep = integer(1)
    for (let depth = 0; depth <= maxBerDepth; depth++) deep = ber(0x30, deep)
    expect(problemOf(() => new BerCursor(deep).element('deep'))).toMatch(/too deep/)
    const cursor = new BerCursor(deep)
    expect(
      problemOf(() => {
        for (;;) cursor.enter(0x30, 'deep')
      }),
    ).toMatch(/too deep/)
  })
})

test('object identifiers and small integers', () => {
  for (const id of [
    '1.2.840.113549.1.7.3',
    '2.16.840.1.101.3.4.1.46',
    '0.9.2342.19200300.100.1.25',
    '2.999.1',
  ]) {
    expect(objectIdText(oid(id).subarray(2))).toBe(id)
  }
  expect(oid('2.999.1').toString('hex')).toBe('0603883701')
  for (const bad of ['', '80', '2a86', 'ff'.repeat(9) + '7f', '01'.repeat(33)]) {
    expect(problemOf(() => objectIdText(hex(bad)))).toMatch(/^malformed/)
  }
  expect(smallInteger(hex('00'), 'x')).toBe(0)
  expect(smallInteger(hex('7fffffff'), 'x')).toBe(0x7fffffff)
  for (const bad of ['', '80', '0100000000'])
    expect(problemOf(() => smallInteger(hex(bad), 'x'))).toMatch(/x is out of range/)
})

describe('octet strings in parts', () => {
  test('give the same octets however they are cut, and leave the rest', () => {
    fc.assert(
      fc.property(
        octetString,
        fc.integer({ min: 1, max: 50 }),
        fc.uint8Array({ maxLength: 5 }),
        ({ form, content }, size, rest) => {
          const bytes = Buffer.concat([form, rest])
          const splitter = new OctetSplitter(0x04, Infinity)
          const found: Uint8Array[] = []
          let at = 0
          for (; at < bytes.length && splitter.rest === undefined; at += size) {
            found.push(...splitter.push(bytes.subarray(at, at + size)))
          }
          expect(Buffer.concat(found).equals(content)).toBe(true)
          expect(splitter.passed).toBe(form.length)
          expect(
            Buffer.concat([splitter.rest ?? new Uint8Array(), bytes.subarray(at)]).equals(Buffer.from(rest)),
          ).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('any bytes give octets, or one kind of error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 7 }), (bytes, size) => {
        const read = (pieceBytes: number) => {
          const splitter = new OctetSplitter(0x04, 1000)
          return problemOf(() => {
            for (let at = 0; at < bytes.length && splitter.rest === undefined; at += pieceBytes) {
              splitter.push(bytes.subarray(at, at + pieceBytes))
            }
          })
        }
        expect(read(size)).toBe(read(bytes.length + 1))
      }),
      { numRuns: 5000 },
    )
  })
})
