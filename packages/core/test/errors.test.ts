import { expect, test } from 'vitest'

import { LongholdError, badInput, cannotOpen, malformed } from '../src/errors.ts'

test('an error says its code, its message and its hint', () => {
  const error = new LongholdError('bad_key', 'not a key', { hint: 'make one' })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'LongholdError',
    code: 'bad_key',
    message: 'not a key',
    hint: 'make one',
  })
  expect(String(error)).toBe('LongholdError: not a key')
  expect('cause' in error).toBe(false)
  expect(new LongholdError('bad_key', 'x').hint).toBeUndefined()
})

test('the cause is kept for operators', () => {
  const cause = new Error('why')
  expect(new LongholdError('unavailable', 'x', { cause }).cause).toBe(cause)
})

test('cannot_open lists the causes there can be and never says which', () => {
  expect(cannotOpen().message).toMatch(/key is another.*context.*altered or cut off/)
  expect(cannotOpen().message).not.toMatch(/tag|mac\b|commitment|chunk/i)
  expect(cannotOpen().hint).toBeUndefined()
  expect(Object.keys(cannotOpen()).toSorted()).toEqual(['code', 'hint', 'name'])
  expect('cause' in cannotOpen()).toBe(false)
})

test('the short forms have their codes', () => {
  expect(malformed('two heads')).toMatchObject({ code: 'malformed', message: 'malformed: two heads' })
  expect(badInput('no', 'do')).toMatchObject({ code: 'bad_input', message: 'no', hint: 'do' })
  expect(badInput('no').hint).toBeUndefined()
})
