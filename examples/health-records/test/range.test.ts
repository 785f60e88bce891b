import { expect, test } from 'vitest'

import { rangeOf } from '../src/range.ts'

test.each([
  ['bytes=0-9', 10, { start: 0, end: 10 }],
  ['bytes=9-', 10, { start: 9, end: 10 }],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=-3', 10, { start: 7, end: 10 }],
  ['bytes=-30', 10, { start: 0, end: 10 }],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=-1', 0, 'unsatisfiable'],
  [`bytes=0-${'9'.repeat(400)}`, 10, { start: 0, end: 10 }],
  [`bytes=${'9'.repeat(400)}-`, 10, 'unsatisfiable'],
  ['bytes=5-4', 10, undefined],
  ['bytes=-', 10, undefined],
  ['bytes=0-1,3-4', 10, undefined],
  ['lines=0-1', 10, undefined],
  [undefined, 10, undefined],
] as const)('%s of %i bytes', (header, size, range) => {
  expect(rangeOf(header, size)).toEqual(range)
})
