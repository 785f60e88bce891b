import { z } from '@hono/zod-openapi'
import { permissions } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { keyPattern } from '../src/service/keys.ts'
import { versionStates } from '../src/service/states.ts'
import { createKeyRequest, versionInfo } from '../src/wire-keys.ts'
import { createTokenRequest, unwrapRequest, wire } from '../src/wire.ts'

describe('schemas', () => {
  test('of another type than the wire’s do not compile', () => {
    interface Wire {
      a: string
      b?: string | undefined
    }
    const both = z.strictObject({ a: z.string(), b: z.string().optional() })
    const missing = z.strictObject({ a: z.string() })
    const more = z.strictObject({ a: z.string(), b: z.string().optional(), c: z.string().optional() })
    const other = z.strictObject({ a: z.number(), b: z.string().optional() })
    const required = z.strictObject({ a: z.string(), b: z.string() })
    expect(wire<Wire>()(both)).toBe(both)
    // @ts-expect-error a field of the wire is missing
    expect(wire<Wire>()(missing)).toBe(missing)
    // @ts-expect-error the wire has no c
    expect(wire<Wire>()(more)).toBe(more)
    // @ts-expect-error a is a string
    expect(wire<Wire>()(other)).toBe(other)
    // @ts-expect-error b may be absent
    expect(wire<Wire>()(required)).toBe(required)
    // @ts-expect-error b is not in the list
    expect(wire<'a' | 'b'>()(z.enum(['a']))).toBeDefined()
  })

  test('know every permission and every state, and names as the service does', () => {
    const { permissions: list } = createTokenRequest.shape
    expect(list.element.options).toEqual([...permissions])
    expect(versionInfo.shape.state.options).toEqual(Object.keys(versionStates))
    for (const name of [
      'a',
      'A',
      '',
      '-a',
      'a-',
      '.',
      'a.b_c-9',
      'a/b',
      'é',
      'a'.repeat(64),
      'a'.repeat(65),
    ]) {
      expect(createKeyRequest.safeParse({ key: name }).success, name).toBe(keyPattern.test(name))
    }
  })

  test('keep a context pair of any name', () => {
    const text = `{"items":[{"id":"1","key_id":"${'A'.repeat(22)}","stanza":"AAAA","context":{"__proto__":"x","10":"a","9":"b"}}]}`
    const parsed = unwrapRequest.parse(JSON.parse(text))
    expect(new Map(Object.entries(parsed.items[0]?.context ?? {}))).toEqual(
      new Map([
        ['__proto__', 'x'],
        ['10', 'a'],
        ['9', 'b'],
      ]),
    )
  })
})
