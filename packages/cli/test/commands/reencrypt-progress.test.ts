import { afterEach, expect, test, vi } from 'vitest'

import { Pace } from '../../src/commands/reencrypt-progress.ts'
import { duration } from '../../src/commands/reencrypt-report.ts'
import { Workspace } from '../support/cli.ts'
import { javaYaml, oldPem } from '../support/legacy-values.ts'
import { identity, makeNotes } from '../support/migration.ts'

afterEach(() => {
  vi.useRealTimers()
})

test('a line has how far, how fast and how long still', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const pace = new Pace({ unit: 'rows', total: 10_000 })
  expect(pace.line('pass 1', 0)).toBe('pass 1: 0 of 10,000 rows')
  vi.advanceTimersByTime(1000)
  expect(pace.line('pass 1', 500)).toBe('pass 1: 500 of 10,000 rows, 500 rows/s, about 19 s left')
  vi.advanceTimersByTime(1000)
  expect(pace.line('pass 1', 2500)).toBe('pass 1: 2,500 of 10,000 rows, 1,250 rows/s, about 6 s left')
})

test('the rate is that of the last ten seconds, and begins anew with a pass', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const pace = new Pace({ unit: 'bytes', total: 1_000_000 })
  for (let second = 0; second <= 30; second++) {
    pace.line('pass 1', second <= 15 ? second : 15 + (second - 15) * 1000)
    vi.advanceTimersByTime(1000)
  }
  expect(pace.line('pass 1', 16_015)).toMatch(/, 1,000 bytes\/s, about 16 min left$/)
  expect(pace.line('pass 2', 100)).toBe('pass 2: 100 of 1,000,000 bytes')
})

test('more than there seemed to be is no surprise', () => {
  expect(new Pace({ unit: 'rows', total: 10 }).line('read', 12)).toBe('read: 12 of 12 rows')
})

test.each([
  [0, '1 s'],
  [59, '59 s'],
  [90, '2 min'],
  [3600, '1 h 0 min'],
  [9000, '2 h 30 min'],
])('%i seconds', (seconds, text) => {
  expect(duration(seconds)).toBe(text)
})

test('on a terminal the line is rewritten, elsewhere a short run says nothing', async () => {
  using space = new Workspace()
  await makeNotes(space.file('notes.db'), 20)
  space.write('old.pem', oldPem)
  space.write('id.txt', identity.exportText())
  space.write(
    'longhold.yaml',
    `recipient: ${identity.recipient.toString()}\nidentity: id.txt\nreencrypt:\n  table: notes\n  column: body\n  private-keys: [old.pem]${javaYaml}`,
  )
  const quiet = await space.ok(['reencrypt', 'plan', 'notes.db'])
  expect(quiet.stderr).not.toContain('of 20 rows')
  const run = ['reencrypt', 'run', 'notes.db', '--execute', '--workers', '1', '--batch-rows', '5']
  const { stderr } = await space.ok(run, { tty: ['stderr'] })
  expect(stderr.replaceAll('\r\u001b[2K', '<line>')).toMatch(/<line>pass 1: \d+ of 20 rows/)
})
