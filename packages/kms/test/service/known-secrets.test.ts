import { expect, test } from 'vitest'

import { KnownSecrets } from '../../src/service/known-secrets.ts'

const mac = (byte: number) => new Uint8Array(32).fill(byte)

/** Counts how often the HMAC is asked for. */
function counting(secret: string, known = new KnownSecrets()) {
  let asked = 0
  const check = (token: string, given: string, secretMac: Uint8Array | null = mac(1)) =>
    known.check(token, given, secretMac ?? undefined, () => {
      asked += 1
      return given === secret && secretMac?.[0] === 1
    })
  return { check, asked: () => asked }
}

test('a secret that was right is not asked for again', () => {
  const { check, asked } = counting('right')
  expect(check('a', 'right')).toBe(true)
  expect(check('a', 'right')).toBe(true)
  expect(asked()).toBe(1)
})

test('another secret, another token and another MAC are asked for, each time', () => {
  const { check, asked } = counting('right')
  expect(check('a', 'right')).toBe(true)
  expect(check('a', 'wrong')).toBe(false)
  expect(check('a', 'wrong')).toBe(false)
  expect(check('a', 'right', mac(2))).toBe(false)
  expect(check('a', 'right', null)).toBe(false)
  expect(check('b', 'right')).toBe(true)
  expect(asked()).toBe(6)
  expect(check('a', 'right')).toBe(true)
  expect(asked()).toBe(6)
})

test('what is forgotten for others is asked for again', () => {
  const { check, asked } = counting('right')
  for (let token = 0; token < 1001; token++) check(String(token), 'right')
  expect(check('1000', 'right')).toBe(true)
  expect(asked()).toBe(1001)
  expect(check('0', 'right')).toBe(true)
  expect(asked()).toBe(1002)
})

test('everything is forgotten at the end', () => {
  const known = new KnownSecrets()
  const { check, asked } = counting('right', known)
  check('a', 'right')
  known.forget()
  expect(check('a', 'right')).toBe(true)
  expect(asked()).toBe(2)
})
