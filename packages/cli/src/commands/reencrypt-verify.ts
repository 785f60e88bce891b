/** `longhold reencrypt verify`. */

import { verify } from '../reencrypt/verify.ts'
import type { Verification } from '../reencrypt/verify.ts'
import { refused } from '../shell/errors.ts'
import { resolveIdentities } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import { everySuite } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import { withProblems } from './problems.ts'
import type { VerifyFlags } from './reencrypt-flags.ts'
import { resolveObjects } from './reencrypt-objects.ts'
import { Pace } from './reencrypt-progress.ts'
import { resolveTarget } from './reencrypt-settings.ts'
import { openReader } from './reencrypt-target.ts'

export async function verifyReencryption(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: VerifyFlags,
): Promise<void> {
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) {
    const { verifyObjectTarget } = await import('./reencrypt-objects-plan.ts')
    return await verifyObjectTarget(terminal, objects, flags)
  }
  const target = await resolveTarget(terminal, targetPath, flags)
  const identities = (await resolveIdentities(terminal, flags)).map((named) => named.identity)
  await withProblems(async () => {
    const reader = await openReader(target, { own: [target.column], read: [] })
    const progress = new Progress(terminal)
    try {
      const pace = new Pace(await reader.size())
      const found = await verify({
        reader,
        identities,
        suites: await everySuite(),
        onProgress: (done) => progress.update(pace.line('verified', done)),
        checkStop: () => terminal.checkStop(),
      })
      progress.done()
      await answer(terminal, reader.target.name, found)
    } finally {
      progress.done()
      await reader.close()
    }
  })
}

async function answer(terminal: Terminal, name: string, found: Verification): Promise<void> {
  const failures = [...found.failures]
  const failed = failures.reduce((sum, [, failure]) => sum + failure.count, 0)
  await terminal.answer({
    text: table([
      ['target', name],
      ['values', count(found.values)],
      ['  opened', `${count(found.opened)} under ${plural(found.dataKeys, 'data key')}`],
      ['  not re-encrypted', count(found.remaining)],
      ['  do not open', count(failed)],
      ...failures.map(([code, failure]) => [
        `    ${code}`,
        `${count(failure.count)}, say ${failure.examples.join(', ')}`,
      ]),
      ['without a value', count(found.empty)],
    ]),
    json: {
      target: name,
      values: found.values,
      opened: found.opened,
      not_reencrypted: found.remaining,
      failed,
      failures: failures.map(([code, failure]) => ({ code, ...failure })),
      empty: found.empty,
      data_keys: found.dataKeys,
    },
  })
  if (failed > 0) {
    throw refused(`${plural(failed, 'record')} of ${name} did not open`, {
      hint: 'no_data_key: its wrapped key is missing; cannot_open: the row was moved or renamed, or bytes were altered',
    })
  }
  if (found.remaining > 0) {
    throw refused(`${plural(found.remaining, 'value')} of ${name} not re-encrypted yet`, {
      hint: 'longhold reencrypt run goes on; its dead letters say what does not open',
    })
  }
}
