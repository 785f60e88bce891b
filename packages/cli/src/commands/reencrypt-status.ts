/** `longhold reencrypt status`. */

import { refused } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, table } from '../shell/text.ts'
import type { FleetState } from '../sources/fleet.ts'
import { inRanges } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import type { TargetFlags } from './reencrypt-flags.ts'
import { openFleet } from './reencrypt-fleet-settings.ts'
import { resolveObjects, showObjectStatus } from './reencrypt-objects.ts'
import { runJson, runRows } from './reencrypt-report.ts'
import { resolveTarget } from './reencrypt-settings.ts'
import type { TargetSettings } from './reencrypt-settings.ts'
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
      const fleet = state.position === inRanges ? await fleetState(target) : undefined
      const now = state.status !== 'running' ? state.status : isAtWork ? 'running' : 'broken off'
      await terminal.answer({
        text: table([
          ['target', reader.target.name],
          ['run', state.runId],
          ['now', now === 'broken off' ? 'broken off: the same run command goes on' : now],
          ['pass', `${state.pass}, ${count(reader.progressOf(state))} of ${count(total)} ${unit}`],
          ...fleetRows(fleet),
          ...runRows(state),
          ['started', state.startedAt],
          ['last commit', state.updatedAt],
        ]),
        json: {
          ...runJson(state),
          at_work: isAtWork,
          progress: reader.progressOf(state),
          total,
          unit,
          ...fleetJson(fleet),
        },
      })
    } finally {
      await reader.close()
    }
  })
}

async function fleetState(target: TargetSettings): Promise<FleetState | undefined> {
  const onlooker = await openFleet(target, { own: [target.column], read: [] }, 'onlooker')
  try {
    return await onlooker.state()
  } finally {
    await onlooker.close()
  }
}

function fleetRows(fleet: FleetState | undefined): string[][] {
  if (fleet === undefined) return []
  const { members, ranges, rangesDone, isPaused } = fleet
  const names = members.map(({ name }) => name).join(', ')
  return [
    ['workers', members.length === 0 ? 'none' : `${count(members.length)}: ${names}`],
    ['ranges', `${count(rangesDone)} of ${count(ranges)}${isPaused ? ', paused' : ''}`],
  ]
}

function fleetJson(fleet: FleetState | undefined) {
  if (fleet === undefined) return {}
  const { members, ranges, rangesDone, isPaused } = fleet
  return { workers: members.map(({ name }) => name), ranges, ranges_done: rangesDone, paused: isPaused }
}
