import { describe, expect, test } from 'vitest'

import { GrownRows } from '../../src/service/grown-rows.ts'

const total = (rows: number) => ({ rows, sum: Uint32Array.of(0, 0, 0, 0, 0, 0, 0, 10 * rows) })
const nothing = total(0)

describe('what the rows of large tables add up to', () => {
  test('is known from where they were read, epoch by epoch', () => {
    const grown = new GrownRows()
    grown.read(4, total(100))
    grown.wrote(5, total(1))
    grown.wrote(6, nothing)
    grown.wrote(7, total(3))
    expect([3, 4, 5, 6, 7, 8].map((epoch) => grown.at(epoch)?.rows)).toEqual([
      undefined,
      100,
      101,
      101,
      104,
      undefined,
    ])
    expect(grown.at(7)).toEqual(total(104))
  })

  test('is not known before they were read', () => {
    const grown = new GrownRows()
    expect(grown.at(0)).toBeUndefined()
    grown.wrote(5, total(1))
    expect(grown.at(5)).toBeUndefined()
  })

  test('is not known once somebody else wrote, until they are read again', () => {
    const grown = new GrownRows()
    grown.read(4, total(100))
    grown.wrote(6, total(1))
    expect([4, 5, 6].map((epoch) => grown.at(epoch))).toEqual([undefined, undefined, undefined])
    grown.read(6, total(120))
    grown.wrote(7, total(1))
    expect(grown.at(7)).toEqual(total(121))
  })

  test('is known from a reading that others wrote beside', () => {
    const grown = new GrownRows()
    grown.read(4, total(100))
    grown.wrote(5, total(1))
    grown.wrote(6, total(2))
    // Began at 5, ended after 6 was written.
    grown.read(5, total(101))
    expect(grown.at(4)).toBeUndefined()
    expect(grown.at(6)).toEqual(total(103))
  })

  test('is not known from a reading of an epoch of somebody else', () => {
    const grown = new GrownRows()
    grown.wrote(9, total(1))
    grown.read(4, total(100))
    expect(grown.at(9)).toBeUndefined()
    grown.read(12, total(100))
    expect(grown.at(12)).toBeUndefined()
  })
})
