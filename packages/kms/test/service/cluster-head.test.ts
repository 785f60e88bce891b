import { randomBytes } from 'node:crypto'

import { Secret } from '@longhold/core'
import { describe, expect, onTestFinished, test } from 'vitest'

import { HeadChange, openHead, sameRows, sealHead } from '../../src/service/cluster-head.ts'
import { RowMacs } from '../../src/service/row-mac.ts'

function macs(): RowMacs {
  const made = new RowMacs(new Uint8Array(16), Secret.copyOf(new Uint8Array(32).fill(1)))
  onTestFinished(() => made.close())
  return made
}

const addend = () => new Uint8Array(randomBytes(32))
const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)

describe('the sum', () => {
  test('is the one of large integers modulo 2²⁵⁶, however often it wraps', () => {
    const change = new HeadChange()
    let expected = 0n
    for (let index = 0; index < 200; index++) {
      const one = index % 5 === 0 ? new Uint8Array(32).fill(0xff) : addend()
      if (index % 3 === 0) change.subtract(one)
      else change.add(one)
      expected = BigInt.asUintN(256, index % 3 === 0 ? expected - number(one) : expected + number(one))
    }
    const { sum, rowCount } = change.applyTo(undefined)
    const hex = [...sum].map((word) => word.toString(16).padStart(8, '0')).join('')
    expect(BigInt(`0x${hex}`)).toBe(expected)
    expect(rowCount).toBe(133 - 67)
  })

  test('forgets what is taken away, in any order', () => {
    const [a, b, c] = [addend(), addend(), addend()]
    const before = new HeadChange()
    for (const one of [a, b, c]) before.add(one)
    const change = new HeadChange()
    change.subtract(b)
    const only = new HeadChange()
    for (const one of [c, a]) only.add(one)
    const head = before.applyTo(undefined)
    expect(sameRows(change.applyTo(head), only.applyTo(undefined))).toBe(true)
    expect(change.applyTo(head).epoch).toBe(2)
    expect(sameRows(head, only.applyTo(undefined))).toBe(false)
  })

  test('of as many other rows is another', () => {
    const [one, other] = [new HeadChange(), new HeadChange()]
    one.add(addend())
    other.add(addend())
    expect(sameRows(one.applyTo(undefined), other.applyTo(undefined))).toBe(false)
  })
})

describe('a stored head', () => {
  test('opens to what was sealed', () => {
    const change = new HeadChange()
    change.add(addend())
    const head = change.applyTo(undefined, 9)
    expect(openHead(macs(), sealHead(macs(), head))).toEqual(head)
  })

  test('shows nothing of its sum: the same rows look otherwise at every epoch', () => {
    const change = new HeadChange()
    change.add(addend())
    const rows = [1, 2, 3].map((epoch) => sealHead(macs(), change.applyTo(undefined, epoch)).maskedSum)
    const plain = new Uint8Array(change.applyTo(undefined).sum.length * 4)
    for (const [index, word] of change.applyTo(undefined).sum.entries())
      new DataView(plain.buffer).setUint32(4 * index, word)
    const seen = [...rows, plain].map((bytes) => Buffer.from(bytes).toString('hex'))
    expect(new Set(seen).size).toBe(4)
  })

  test.each<[string, object]>([
    ['epoch', { epoch: 4 }],
    ['number of rows', { rowCount: 7 }],
    ['sum', { maskedSum: new Uint8Array(32) }],
    ['length of its sum', { maskedSum: new Uint8Array(31) }],
    ['MAC', { mac: new Uint8Array(32) }],
  ])('of another %s is refused', (_, changes) => {
    const head = sealHead(macs(), { epoch: 3, rowCount: 2, sum: new Uint32Array(8).fill(5) })
    expect(() => openHead(macs(), { ...head, ...changes })).toThrow(
      expect.objectContaining({ code: 'integrity_violation' }),
    )
  })

  test('of another cluster or key is refused', () => {
    const head = sealHead(macs(), { epoch: 3, rowCount: 2, sum: new Uint32Array(8) })
    const others = [
      new RowMacs(new Uint8Array(16).fill(1), Secret.copyOf(new Uint8Array(32).fill(1))),
      new RowMacs(new Uint8Array(16), Secret.copyOf(new Uint8Array(32).fill(2))),
    ]
    for (const other of others) {
      expect(() => openHead(other, head)).toThrow(expect.objectContaining({ code: 'integrity_violation' }))
      other.close()
    }
  })
})
