import type { VersionState } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { checkTransition, unwrappingStates, versionStates } from '../../src/service/states.ts'

const states = Object.keys(versionStates) as VersionState[]

describe('states of a version', () => {
  test('seven, of which one wraps and two unwrap', () => {
    expect(states).toHaveLength(7)
    expect(states.filter((state) => versionStates[state].wrap)).toEqual(['primary'])
    expect(unwrappingStates).toEqual(['primary', 'unwrap_only'])
  })

  test('a state that unwraps may be rewrapped from, and what is destroyed stays so', () => {
    for (const state of unwrappingStates) expect(versionStates[state].rewrapFrom, state).toBe(true)
    expect(versionStates.destroyed.mayBecome).toEqual([])
  })

  test.each(states.flatMap((from) => states.map((to) => [from, to] as const)))('%s to %s', (from, to) => {
    const isLegal = versionStates[from].mayBecome.includes(to)
    const check = () => checkTransition(from, to)
    if (isLegal) expect(check).not.toThrow()
    else {
      expect(check).toThrow(
        expect.objectContaining({
          code: 'invalid_state',
          message: expect.stringMatching(new RegExp(`that is ${from} cannot become ${to}; `, 'u')),
        }),
      )
    }
  })

  test('every state but pending is reached from another, and pending from none', () => {
    const reached = new Set(states.flatMap((state) => versionStates[state].mayBecome))
    expect(states.filter((state) => !reached.has(state))).toEqual(['pending'])
  })
})
