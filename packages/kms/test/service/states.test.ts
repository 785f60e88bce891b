import type { VersionState } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { checkTransition, unwrappingStates, versionStates } from '../../src/service/states.ts'

const states = Object.keys(versionStates) as VersionState[]

describe('states of a version', () => {
  test('seven, of which one wraps, two unwrap and one does so for who may read what is compromised', () => {
    expect(states).toHaveLength(7)
    expect(states.filter((state) => versionStates[state].wrap)).toEqual(['primary'])
    expect(unwrappingStates).toEqual(['primary', 'unwrap_only', 'compromised'])
    expect(versionStates.compromised.unwrapTakes).toBe('unwrap.compromised')
  })

  test('a state that unwraps may be rewrapped from, and what is destroyed stays so', () => {
    for (const state of unwrappingStates) expect(versionStates[state].rewrapFrom, state).toBe(true)
    expect(versionStates.destroyed.mayBecome).toEqual([])
  })

  const pairs = states.flatMap((from) => states.map((to) => ({ from, to })))
  const isLegal = ({ from, to }: (typeof pairs)[number]) => versionStates[from].mayBecome.includes(to)

  test.each(pairs.filter(isLegal))('$from may become $to', ({ from, to }) => {
    expect(() => checkTransition(from, to)).not.toThrow()
  })

  test.each(pairs.filter((pair) => !isLegal(pair)))('$from cannot become $to, by name', ({ from, to }) => {
    expect(() => checkTransition(from, to)).toThrow(
      expect.objectContaining({
        code: 'invalid_state',
        message: expect.stringMatching(new RegExp(`that is ${from} cannot become ${to}; `, 'u')) as string,
      }),
    )
  })

  test('every state but pending is reached from another, and pending from none', () => {
    const reached = new Set(states.flatMap((state) => versionStates[state].mayBecome))
    expect(states.filter((state) => !reached.has(state))).toEqual(['pending'])
  })
})
