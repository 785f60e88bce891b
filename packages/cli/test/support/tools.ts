/** Other people's programs, whose output the tests read; `.ci/tools` installs them. */

import { spawnSync } from 'node:child_process'

/** Whether a program is there: `describe.skipIf(!hasTool('gpg'))`. Under CI it must be. */
export function hasTool(program: string): boolean {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' })
  if (error !== undefined && process.env['CI'] !== undefined)
    throw new Error(`CI needs ${program}: see .ci/tools`)
  return error === undefined
}

/** Runs a program to its end and gives what it wrote. */
export function runTool(
  program: string,
  args: readonly string[],
  { input, cwd, env }: { input?: string | Uint8Array; cwd?: string; env?: Record<string, string> } = {},
): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    input: input ?? '',
    cwd,
    env: { ...process.env, ...env },
    maxBuffer: 512 * 1024 * 1024,
  })
  if (error !== undefined) throw error
  if (status === 0) return stdout
  throw new Error(`${program} ${args.join(' ')}: ${stderr.toString()}`)
}
