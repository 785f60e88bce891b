import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  concat,
  copyBytes,
  equalBytes,
  fromBase64url,
  fromHex,
  fromUtf8,
  lp16,
  readU16,
  testingBase64url,
  toBase64url,
  toHex,
  u16,
  u8,
  utf8,
  wipe,
} from '../src/bytes.ts'
import { hex } from './samples.ts'

describe('joining, copying, comparing', () => {
  test('concat joins into bytes of their own', () => {
    const part = Uint8Array.of(1, 2)
    const joined = concat(part, new Uint8Array(), Uint8Array.of(3))
    part.fill(9)
    expect(joined).toEqual(Uint8Array.of(1, 2, 3))
    expect(concat()).toEqual(new Uint8Array())
  })

  test('copyBytes copies a Buffer too, and gives no Buffer', () => {
    const buffer = Buffer.from([1, 2, 3])
    const copy = copyBytes(buffer)
    buffer.fill(9)
    expect(copy).toEqual(Uint8Array.of(1, 2, 3))
    expect(copy).not.toBeInstanceOf(Buffer)
  })

  test('equalBytes finds every difference of one bit, and of lengths', () => {
    const bytes = Uint8Array.of(0, 1, 128, 255)
    expect(equalBytes(bytes, copyBytes(bytes))).toBe(true)
    expect(equalBytes(new Uint8Array(), new Uint8Array())).toBe(true)
    for (let bit = 0; bit < 32; bit++) {
      const other = copyBytes(bytes)
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(equalBytes(bytes, other)).toBe(false)
    }
    expect(equalBytes(bytes, bytes.subarray(1))).toBe(false)
    expect(equalBytes(bytes, concat(bytes, Uint8Array.of(0)))).toBe(false)
    expect(equalBytes(bytes, new Uint8Array())).toBe(false)
  })

  test('wipe overwrites all it is given', () => {
    const [one, other] = [Uint8Array.of(1, 2), Uint8Array.of(3)]
    wipe(one, other)
    expect([...one, ...other]).toEqual([0, 0, 0])
  })
})

describe('integers', () => {
  test('are big-endian', () => {
    expect(u8(0xab)).toEqual(hex('ab'))
    expect(u16(0xabcd)).toEqual(hex('abcd'))
    expect(lp16(hex('010203'))).toEqual(hex('0003010203'))
    expect(lp16(new Uint8Array(0x1234))).toHaveLength(0x1236)
    expect(readU16(hex('00abcd00'), 1)).toBe(0xabcd)
    expect(readU16(hex('ffff00abcd').subarray(2), 1)).toBe(0xabcd)
  })

  test('of 16 bits come back, all of them', () => {
    const all = Array.from({ length: 65_536 }, (_, n) => n)
    expect(all.filter((n) => readU16(u16(n), 0) !== n)).toEqual([])
  })

  test('outside of their bytes are an error', () => {
    expect(() => readU16(hex('ab'), 0)).toThrow(RangeError)
  })
})

describe('UTF-8', () => {
  test('comes back, byte order mark and all', () => {
    for (const text of ['', 'abc', '\uFEFFabc', 'ä€😀', '\0']) expect(fromUtf8(utf8(text))).toBe(text)
  })

  test('that is not valid is undefined', () => {
    for (const bytes of ['ff', 'c080', 'eda080', 'f4908080', 'e282']) {
      expect(fromUtf8(hex(bytes)), bytes).toBeUndefined()
    }
  })
})

describe('hexadecimal', () => {
  test('comes back, in either case', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    expect(toHex(all)).toMatch(/^000102.*fdfeff$/)
    expect(fromHex(toHex(all))).toEqual(all)
    expect(fromHex(toHex(all).toUpperCase())).toEqual(all)
    expect(fromHex('')).toEqual(new Uint8Array())
  })

  test.each(['0', '0g', ' 00', '00 ', '0x00', '٠٠', '00\n', '-1'])('%j is none', (text) => {
    expect(fromHex(text)).toBeUndefined()
  })
})

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const { portable, native } = testingBase64url

test('the engine’s base64 is used where there is one', () => {
  expect(native === undefined).toBe(!('fromBase64' in Uint8Array))
  expect(toBase64url(Uint8Array.of(0xfb, 0xff))).toBe('-_8')
  expect(fromBase64url('-_8')).toEqual(Uint8Array.of(0xfb, 0xff))
})

test('bytes in a Buffer, and in a part of one, are written as themselves', () => {
  const buffer = Buffer.from('xfoobarx').subarray(1, 7)
  expect([portable, native ?? portable].map(({ encode }) => encode(buffer))).toEqual(['Zm9vYmFy', 'Zm9vYmFy'])
})

// An engine without base64 of its own has one that counts here.
describe.each(Object.entries({ portable, native: native ?? portable }))(
  'base64url, %s',
  (_name, { encode, decode }) => {
    test('has the spelling of RFC 4648 §10, without padding', () => {
      const examples = ['', 'Zg', 'Zm8', 'Zm9v', 'Zm9vYg', 'Zm9vYmE', 'Zm9vYmFy']
      examples.forEach((text, length) => expect(encode(utf8('foobar').subarray(0, length))).toBe(text))
    })

    test('is what Node makes of all byte strings of one and two bytes', () => {
      const all = Array.from({ length: 256 + 65_536 }, (_, n) => (n < 256 ? u8(n) : u16(n - 256)))
      const wrong = all.filter((bytes) => {
        const text = Buffer.from(bytes).toString('base64url')
        return encode(bytes) !== text || !equalBytes(decode(text) ?? new Uint8Array(), bytes)
      })
      expect(wrong).toEqual([])
    })

    test('comes back at every length', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
          const text = encode(bytes)
          expect(text).toBe(Buffer.from(bytes).toString('base64url'))
          expect(decode(text)).toEqual(bytes)
        }),
      )
    })

    // Two digits carry 12 bits for 8, three carry 18 for 16: each byte string has 16 or 4 spellings, one of them right.
    test('of all texts of two digits exactly 256 are read, of three 65,536', () => {
      const texts = (length: number): string[] =>
        length === 0
          ? ['']
          : texts(length - 1).flatMap((start) => Array.from(alphabet, (digit) => start + digit))
      const read = (length: number) => texts(length).filter((text) => decode(text) !== undefined)
      expect(read(1)).toEqual([])
      expect(read(2)).toHaveLength(256)
      const three = read(3)
      expect(three).toHaveLength(65_536)
      expect(three.every((text) => 'AEIMQUYcgkosw048'.includes(text[2] ?? ''))).toBe(true)
    })

    test('every character outside of the alphabet is refused, at every place', () => {
      const strangers = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).filter(
        (character) => !alphabet.includes(character),
      )
      expect(strangers).toHaveLength(0x3000 - 64)
      const read = strangers.flatMap((c) =>
        [`${c}AAA`, `A${c}AA`, `AAA${c}`, `${c}A`, `A${c}`].filter((text) => decode(text) !== undefined),
      )
      expect(read).toEqual([])
    })

    test.each([
      'A',
      'AAAAA',
      'Zg==',
      'Zm8=',
      'Zm9v\n',
      ' Zm9v',
      'Zm 9v',
      'Zm9v=',
      'Zh',
      'Zm9',
      '+/+/',
      'Zm9vYg\0',
      'Zm9v\tYg',
      'Zg=',
      'Zm9vZ=g',
      'Zm9vYmE====',
      'Zm\u00a09v',
    ])('%j is refused', (text) => expect(decode(text)).toBeUndefined())
  },
)
