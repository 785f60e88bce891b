/** `longhold reencrypt status`. */

import { refused } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, table } from '../shell/text.ts'
import { withProblems } from './problems.ts'
import type { TargetFlags } from './reencrypt-flags.ts'
import { resolveObjects, showObjectStatus } from './reencrypt-objects.ts'
import { runJson, runRows } from './reencrypt-report.ts'
import { resolveTarget } from './reencrypt-settings.ts'
import { openReader } from './reencrypt-target.ts'

export async function showStatus(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: TargetFlags,
): Promise<void> {
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) return await showObjectStatus(terminal, objects)
  const target = await resolveTarget(terminal, targetPath, flags)
  await withProblems(async () => {
    const reader = await openReader(target, { own: [target.column], read: [] })
    try {
      const state = await reader.latestRun()
      if (state === undefined) {
        throw refused(`no run has begun on ${reader.target.name}`, {
          hint: 'longhold reencrypt plan is the first step',
        })
      }
      const isAtWork = await reader.isLocked()
      const { unit, total } = await reader.size()
      const now = state.status !== 'running' ? state.status : isAtWork ? 'running' : 'broken off'
      await terminal.answer({
        text: table([
          ['target', reader.target.name],
          ['run', state.runId],
          ['now', now === 'broken off' ? 'broken off: the same run command goes on' : now],
          ['pass', `${state.pass}, ${count(reader.progressOf(state))} of ${count(total)} ${unit}`],
          ...runRows(state),
          ['started', state.startedAt],
          ['last commit', state.updatedAt],
        ]),
        json: { ...runJson(state), at_work: isAtWork, progress: reader.progressOf(state), total, unit },
      })
    } finally {
      await reader.close()
    }
  })
}
