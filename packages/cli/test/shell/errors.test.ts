import { symlinkSync } from 'node:fs'

import { LongholdError } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { CliError, fileError, fromCore, fromCoreItem } from '../../src/shell/errors.ts'
import { Workspace } from '../support/cli.ts'

describe('an error of core', () => {
  test.each([
    ['malformed', 1],
    ['unsupported', 1],
    ['not_a_recipient', 1],
    ['cannot_open', 1],
    ['limit_exceeded', 1],
    ['bad_context', 2],
    ['bad_key', 2],
    ['bad_text', 2],
    ['bad_value', 2],
    ['bad_input', 2],
    ['unavailable', 4],
  ] as const)('%s is exit %d', (code, exitCode) => {
    const error = new LongholdError(code, 'it went wrong', { hint: 'do this' })
    expect(fromCore(error)).toMatchObject({ code, exitCode, message: 'it went wrong', hint: 'do this' })
    // Of one item among many, whatever is refused is data.
    expect(fromCoreItem(error, 'a.lh')).toMatchObject({
      code,
      exitCode: code === 'unavailable' ? 4 : 1,
      message: 'a.lh: it went wrong',
    })
  })
})

describe('an error of the file system', () => {
  const failed = (code: string) => fileError(Object.assign(new Error('x'), { code }), 'a.txt', 'write')

  test.each([
    ['EACCES', 2, 'cannot write a.txt: permission denied'],
    ['EROFS', 2, 'cannot write a.txt: the file system is read-only'],
    ['ENOSPC', 4, 'cannot write a.txt: the disk is full'],
    ['EDQUOT', 4, 'cannot write a.txt: the disk quota is used up'],
    ['EIO', 4, 'cannot write a.txt: input/output error'],
    ['ESTALE', 4, 'cannot write a.txt: ESTALE'],
  ])('%s is exit %d', (code, exitCode, message) => {
    expect(failed(code)).toMatchObject({ exitCode, message })
    expect(failed(code)).toBeInstanceOf(CliError)
  })

  test('anything else is not explained away', () => {
    const defect = new TypeError('undefined is not a function')
    expect(fileError(defect, 'a.txt', 'read')).toBe(defect)
    const ofNode = failed('ERR_INVALID_ARG_TYPE')
    expect(ofNode).not.toBeInstanceOf(CliError)
  })

  test('links that lead in a circle, and a name that is too long', async () => {
    using space = new Workspace()
    symlinkSync('b', space.file('a'))
    symlinkSync('a', space.file('b'))
    expect((await space.cli(['inspect', 'a'])).stderr).toContain('cannot read a: too many symbolic links')
    const long = 'x'.repeat(300)
    expect((await space.cli(['inspect', long])).stderr).toContain('the name is too long')
    expect((await space.cli(['keygen', '-o', long])).code).toBe(2)
  })
})
