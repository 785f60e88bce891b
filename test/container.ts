/** Runs the steps of the Containerfile and starts what comes of them, as an engine would: `pnpm run container`. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { lintContainerfile, readContainerfile, runContainerfile } from './containerfile.ts'

const context = join(import.meta.dirname, '..')
const file = join(context, 'packages/kms/deploy/Containerfile')
const folder = mkdtempSync(join(tmpdir(), 'longhold-container-'))

try {
  const instructions = readContainerfile(readFileSync(file, 'utf8'))
  const faults = lintContainerfile(instructions)
  if (faults.length > 0) throw new Error(faults.join('\n'))
  const { root, workdir, env: given, entrypoint } = runContainerfile(instructions, context, folder)
  const [program, ...first] = entrypoint
  if (program !== 'node') throw new Error(`${program} is not what the image has`)
  const dataDir = join(folder, 'data')
  const options = { cwd: join(root, workdir), env: { ...process.env, ...given } }
  console.log(
    execFileSync(process.execPath, [...first, 'init', '--data-dir', dataDir], {
      ...options,
      encoding: 'utf8',
    }),
  )
  const serve = ['serve', '--data-dir', dataDir, '--listen', '127.0.0.1:0']
  const service = spawn(process.execPath, [...first, ...serve], {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(service.stdout, 'data')) as [Buffer]
  const [, url] = /^listening on (\S+)/u.exec(said.toString()) ?? []
  const { status } = await fetch(`${url}/readyz`)
  service.kill('SIGTERM')
  const [code] = (await once(service, 'close')) as [number | null]
  if (status !== 200 || code !== 0) throw new Error(`/readyz said ${status}, the end was ${code}`)
  console.log('the image would serve, and stop when told to')
} finally {
  rmSync(folder, { recursive: true, force: true })
}
