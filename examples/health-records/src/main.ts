/** `node src/main.ts`: the configuration, read once, and a server until SIGINT or SIGTERM. */

import { join } from 'node:path'

import { start } from './server.ts'
import type { Config } from './server.ts'

function readConfig(env: NodeJS.ProcessEnv): Config {
  const directory = env['DATA_DIR'] ?? 'data'
  const [kmsUrl, tokenFile] = [env['KMS_URL'], env['KMS_TOKEN_FILE']]
  if ((kmsUrl === undefined) !== (tokenFile === undefined))
    throw new Error('KMS_URL and KMS_TOKEN_FILE go together')
  return Object.freeze({
    directory,
    port: Number(env['PORT'] ?? 8080),
    keyHolder:
      kmsUrl === undefined || tokenFile === undefined
        ? { identityFile: join(directory, 'identity.txt') }
        : { kmsUrl, tokenFile, key: env['KMS_KEY'] ?? 'health-records' },
    log: (line: string) => console.error(line),
  })
}

const server = await start(readConfig(process.env))
console.log(server.url)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close())
