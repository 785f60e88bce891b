import { lstat, mkdir, rm } from 'node:fs/promises'

import { Command } from '@commander-js/extra-typings'
import { generateIdentity } from '@longhold/core'

import { configFileName } from '../shell/config.ts'
import { codeOf, fileError, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { defaultListen, parseListen } from '../shell/listen.ts'
import { checkOutput, writeOutput } from '../shell/output-file.ts'
import type { Terminal } from '../shell/terminal.ts'
import { writeIdentity } from './keygen.ts'
import { inService } from './service-error.ts'

const folder = '.longhold'
const identityFile = `${folder}/identity.txt`
const dataDir = `${folder}/kms`

interface InitOptions {
  readonly local?: true | undefined
  readonly key: string
  readonly listen: string
  readonly breakGlass?: string | undefined
}

/** What one of the two ways of setting up gives: entries of `longhold.yaml`, and what to say. */
interface Setup {
  readonly recipients: readonly { readonly text: string; readonly comment?: string }[]
  readonly lines: readonly string[]
  readonly made: readonly (readonly [path: string, what: string])[]
  readonly next: readonly string[]
  readonly json: Readonly<Record<string, unknown>>
}

/** `longhold init`: from nothing to usable. */
export function initCommand(terminal: Terminal) {
  return new Command('init')
    .summary('set up a key service, or a local identity, in this directory')
    .description(
      'Makes an embedded key service with its root key, an administrator token and a first key in .longhold, ' +
        'and writes longhold.yaml, so that the other commands need no flags here. With --local there is no ' +
        'key service but an identity in a file. Nothing that exists is replaced.',
    )
    .option('--local', 'an identity in a file instead of a key service')
    .option('--key <name>', 'the name of the first key', 'default')
    .option('--listen <host:port>', 'where the key service is going to listen', defaultListen)
    .option(
      '--break-glass <file>',
      'also encrypt to an identity of last resort, which this new file will hold',
    )
    .addHelpText(
      'after',
      examples('longhold init --break-glass /media/usb/break-glass.txt', 'longhold init --local'),
    )
    .action(async (options) => {
      const { host, port } = parseListen(options.listen)
      if (port === 0) throw usage('--listen needs a fixed port here: it is written to longhold.yaml')
      await checkNothingThere(terminal, options)
      const undo: string[] = []
      let setup: Setup
      let breakGlass: BreakGlass | undefined
      try {
        breakGlass = await makeBreakGlass(terminal, options.breakGlass, undo)
        await makeFolder(terminal, undo)
        undo.push(options.local ? identityFile : dataDir)
        setup = await (options.local ? setUpIdentity(terminal) : setUpService(terminal, options, host, port))
        await writeOutput(terminal, configFileName, configText(setup, breakGlass))
      } catch (error) {
        // Nothing can have been encrypted yet: leave no half of a set-up, so that init can be tried again.
        for (const path of undo) await rm(terminal.path(path), { recursive: true, force: true })
        throw error
      }
      await report(terminal, setup, breakGlass)
    })
}

async function checkNothingThere(terminal: Terminal, { breakGlass }: InitOptions): Promise<void> {
  for (const path of [configFileName, identityFile, dataDir]) {
    const found = await lstat(terminal.path(path)).catch(() => undefined)
    if (found === undefined) continue
    throw usage(`${path} exists already: this directory is set up`, {
      hint: 'nothing was changed; longhold init in an empty directory makes another one',
    })
  }
  if (breakGlass !== undefined) await checkOutput(terminal, breakGlass, false)
}

/** The folder for secrets, which no repository should take in. `reencrypt` may have made it for its locks. */
async function makeFolder(terminal: Terminal, undo: string[]): Promise<void> {
  try {
    await mkdir(terminal.path(folder), { mode: 0o700 })
    undo.push(folder)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw fileError(error, folder, 'write')
  }
  const ignored = `${folder}/.gitignore`
  if ((await lstat(terminal.path(ignored)).catch(() => undefined)) !== undefined) return
  await writeOutput(terminal, ignored, '*\n')
}

async function setUpIdentity(terminal: Terminal): Promise<Setup> {
  using identity = generateIdentity()
  await writeIdentity(terminal, identityFile, identity)
  const recipient = identity.recipient.toString()
  return {
    recipients: [{ text: recipient }],
    lines: [`identity: ${identityFile}`],
    made: [[identityFile, 'the identity: whoever has this file opens everything. Keep a copy elsewhere.']],
    next: ['echo hello | longhold encrypt -o hello.lh', 'longhold decrypt hello.lh'],
    json: { mode: 'local', identity: identityFile, recipient },
  }
}

async function setUpService(
  terminal: Terminal,
  { key, listen }: InitOptions,
  host: string,
  port: number,
): Promise<Setup> {
  const made = await inService(({ initService }) =>
    initService({ dataDir: terminal.path(dataDir), firstKey: key }),
  )
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    recipients: [{ text: `kms:${key}` }],
    lines: [
      `kms-url: ${url}`,
      `kms-token-file: ${dataDir}/admin.token`,
      'kms:',
      `  data-dir: ${dataDir}`,
      `  listen: '${listen}'`,
    ],
    made: [
      [`${dataDir}/kms.db`, `the key service's database, with the key ${key}`],
      [`${dataDir}/root.key`, 'the root key. Without it the database is worthless: keep a copy elsewhere.'],
      [`${dataDir}/admin.token`, 'the token that may do everything'],
    ],
    next: [
      'longhold kms serve                                  (leave it running, in another terminal)',
      'echo hello | longhold encrypt -o hello.lh',
      'longhold decrypt hello.lh',
    ],
    json: {
      mode: 'key-service',
      kms_url: url,
      data_dir: dataDir,
      token_file: `${dataDir}/admin.token`,
      key,
      recipient: made.firstKey?.recipient ?? null,
    },
  }
}

interface BreakGlass {
  readonly path: string
  readonly recipient: string
}

async function makeBreakGlass(
  terminal: Terminal,
  path: string | undefined,
  undo: string[],
): Promise<BreakGlass | undefined> {
  if (path === undefined) return undefined
  using identity = generateIdentity()
  await writeIdentity(terminal, path, identity)
  undo.push(path)
  return { path, recipient: identity.recipient.toString() }
}

function configText({ recipients, lines }: Setup, breakGlass: BreakGlass | undefined): string {
  return [
    '# Written by longhold init. Each entry does what the flag of the same name does.',
    ...lines,
    'recipient:',
    ...recipients.map(({ text }) => `  - ${text}`),
    ...(breakGlass === undefined
      ? []
      : ['  # break glass: opens everything without the above', `  - ${breakGlass.recipient}`]),
    '',
  ].join('\n')
}

async function report(terminal: Terminal, setup: Setup, breakGlass: BreakGlass | undefined): Promise<void> {
  const made = [
    ...setup.made,
    [configFileName, 'what the other commands read here'] as const,
    ...(breakGlass === undefined
      ? []
      : [
          [
            breakGlass.path,
            'the identity of last resort. Take it offline now, and remove it from here.',
          ] as const,
        ]),
  ]
  const width = Math.max(...made.map(([path]) => path.length))
  await terminal.answer({
    text: [
      'Made:',
      ...made.map(([path, what]) => `  ${path.padEnd(width)}  ${what}`),
      '',
      'Next:',
      ...setup.next.map((line) => `  $ ${line}`),
    ].join('\n'),
    json: {
      config: configFileName,
      ...setup.json,
      break_glass: breakGlass ?? null,
    },
  })
  if (breakGlass !== undefined || terminal.json) return
  terminal.hint(
    'for the day these files are lost: longhold keygen -o FILE on another medium, its recipient added to longhold.yaml',
  )
}
