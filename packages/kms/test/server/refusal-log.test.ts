import { expect, test } from 'vitest'

import type { LogEntry } from '../../src/http/env.ts'
import { refusalLog } from '../../src/server/refusal-log.ts'

test('a reason is said at once, then once a minute with how many there were', () => {
  const lines: LogEntry[] = []
  let nowMs = 0
  const refused = refusalLog(
    (entry) => lines.push(entry),
    () => nowMs,
  )
  refused('no_post_quantum_group')
  for (let i = 0; i < 1000; i++) refused('no_post_quantum_group')
  refused('old_tls')
  nowMs = 59_999
  refused('no_post_quantum_group')
  expect(lines).toEqual([
    {
      level: 'error',
      code: 'no_post_quantum_group',
      message: 'a client offers no post-quantum group (X25519MLKEM768), which is required here',
    },
    { level: 'error', code: 'old_tls', message: 'a client speaks no TLS 1.3' },
  ])
  nowMs = 60_000
  refused('no_post_quantum_group')
  expect(lines.at(-1)?.message).toMatch(/\(and 1001 more since the last line\)$/u)
})
