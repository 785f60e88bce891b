import { describe, expect, test } from 'vitest'

import { decodeText } from '../../src/formats/encodings.ts'

describe('text encodings', () => {
  test.each([
    ['base64', 'aGk=', 'hi'],
    ['base64', 'aGk', 'hi'],
    ['base64', '', ''],
    ['base64', 'aGVs\nbG8=\n', 'hello'],
    ['base64', 'aGVs\r\nbG8=', 'hello'],
    ['base64url', '_-8', '\u00ff\u00ef'],
    ['base64url', '_-8=', '\u00ff\u00ef'],
    ['base64url', 'aGk', 'hi'],
    ['hex', '6869', 'hi'],
    ['hex', '6A6b', 'jk'],
    ['hex', '', ''],
  ] as const)('%s %j', (encoding, text, expected) => {
    expect(decodeText(text, encoding)?.toString('latin1')).toBe(expected)
  })

  test('utf8', () => {
    expect(decodeText('ü', 'utf8')).toEqual(Buffer.from([0xc3, 0xbc]))
    expect(decodeText('\ud800', 'utf8')).toBeUndefined()
  })

  test.each([
    ['base64', 'aGk=='],
    ['base64', 'a'],
    ['base64', 'aGl='],
    ['base64', 'aG k='],
    ['base64', '_-8='],
    ['base64', 'aGk=x'],
    ['base64', 'aG=k'],
    ['base64url', '/+8'],
    ['base64url', 'aGl'],
    ['base64url', 'aGk\n'],
    ['hex', '686'],
    ['hex', '68 69'],
    ['hex', '0x68'],
    ['hex', '68zz'],
  ] as const)('%s refuses %j', (encoding, text) => {
    expect(decodeText(text, encoding)).toBeUndefined()
  })
})
