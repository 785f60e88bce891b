import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'

import { Argument, Command, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import type { CreatedSlot, CreateSlotRequest, KmsSysClient, SlotInfo } from '@longhold/core/kms'

import { fileError, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { checkOutput, writeOutput } from '../shell/output-file.ts'
import { newPassphrase, passphraseFileOption } from '../shell/passphrase.ts'
import { needSysClient } from '../shell/sys-client.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'

const pollMs = 500
const kinds = ['passphrase', 'key-file', 'shares', 'key-service'] as const

interface AddOptions {
  readonly label: string
  readonly passphraseFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly threshold?: number | undefined
  readonly count?: number | undefined
  readonly sharesDir?: string | undefined
}

/** `longhold kms slots …`: what the root key of a key service is kept in. */
export function kmsSlotsCommand(terminal: Terminal) {
  return new Command('slots')
    .summary('list, add and remove what opens the root key')
    .description(
      'Lists the slots in which the root key is kept; any one of them opens it. slots add makes another, slots ' +
        'remove takes one away.',
    )
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(addCommand(terminal))
    .addCommand(removeCommand(terminal))
    .addHelpText(
      'after',
      examples('longhold kms slots', 'longhold kms slots add passphrase --label "the safe"'),
    )
}

/** `longhold kms rotate-root`. */
export function kmsRotateRootCommand(terminal: Terminal) {
  return new Command('rotate-root')
    .summary('replace the root key, in every slot')
    .description(
      'Makes a new root key, keeps it in every slot and seals every row anew under it; the old one is forgotten when ' +
        'no row needs it. Nobody who holds a slot has to be there. If it is interrupted, the service goes on with ' +
        'it; the same command again waits for the end. Keys, tokens and the audit log stay what they are.',
    )
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms rotate-root'))
    .action(async (options) => {
      const client = await needSysClient(terminal, options)
      let state = await client.rotateRoot()
      while (state.next_root_version !== null) {
        if (!terminal.json) terminal.note(`${state.rows_left} rows are left`)
        await setTimeout(pollMs, undefined, { signal: terminal.signal }).catch(() => terminal.checkStop())
        state = await client.rootRotation()
      }
      await terminal.answer({ text: `root key version ${state.root_version}`, json: state })
    })
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists the slots, and nothing that opens them.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms slots list'))
    .action(async (options) => {
      const client = await needSysClient(terminal, options)
      const slots = await client.listSlots()
      await terminal.answer({ text: slotTable(slots), json: { slots } })
    })
}

function addCommand(terminal: Terminal) {
  return new Command('add')
    .description(
      'Adds a slot. A passphrase is asked for twice, or read from --passphrase-file. A key file is made new at ' +
        '--key-file, here and not at the service. Shares are written to --shares-dir, one file each, and are ' +
        'nowhere else. key-service is the other key service that this one was started with.',
    )
    .addArgument(new Argument('<kind>', 'what opens it').choices(kinds))
    .option('--label <text>', 'whose it is, or where; for people', '')
    .addOption(passphraseFileOption())
    .option('--key-file <file>', 'key-file: the new file (mode 0600)')
    .addOption(new Option('--threshold <number>', 'shares: how many open').argParser(toCount))
    .addOption(new Option('--count <number>', 'shares: how many there are').argParser(toCount))
    .option('--shares-dir <directory>', 'shares: the new directory for their files')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold kms slots add passphrase --label "the safe"',
        'longhold kms slots add shares --threshold 2 --count 3 --shares-dir shares',
      ),
    )
    .action(async (kind, options) => {
      checkFit(kind, options)
      const client = await needSysClient(terminal, options)
      const { share_texts: texts, ...slot } = await makers[kind](terminal, client, options)
      await terminal.answer({ text: slotTable([slot]), json: slot })
      if (texts.length > 0 && !terminal.json) {
        terminal.hint(`give each file of ${options.sharesDir ?? ''} to another person, and keep none here`)
      }
    })
}

function removeCommand(terminal: Terminal) {
  return new Command('remove')
    .description(
      'Removes a slot. That is no revocation: an older backup of the database still opens with it. Where whoever ' +
        'held it must not open anything, replace the root key too, then rotate the keys.',
    )
    .argument('<slot>', 'the slot, as the list names it')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms slots remove 0123456789abcdef'))
    .action(async (slot, options) => {
      const client = await needSysClient(terminal, options)
      await client.removeSlot(slot)
      await terminal.answer({ text: '', json: { removed: slot } })
      if (terminal.json) return
      terminal.note('this is no revocation: an older backup of the database still opens with the slot')
      terminal.hint('longhold kms rotate-root replaces the root key; longhold kms rotate KEY each key')
    })
}

type Maker = (terminal: Terminal, client: KmsSysClient, options: AddOptions) => Promise<CreatedSlot>

const makers: Readonly<Record<(typeof kinds)[number], Maker>> = {
  async passphrase(terminal, client, options) {
    const passphrase = await newPassphrase(terminal, options)
    return await client.addSlot({ kind: 'passphrase', label: options.label, passphrase })
  },

  async 'key-file'(terminal, client, { label, keyFile }) {
    if (keyFile === undefined)
      throw usage('where the new key file goes is missing', { hint: 'give --key-file FILE' })
    const content = randomBytes(32)
    try {
      // First the file: a slot that nothing opens would count as one.
      await writeOutput(terminal, keyFile, content, { mode: 0o600 })
      const request: CreateSlotRequest = { kind: 'key-file', label, key_file: content.toString('base64url') }
      return await undoing(
        () => client.addSlot(request),
        () => rm(terminal.path(keyFile)),
      )
    } finally {
      content.fill(0)
    }
  },

  async shares(terminal, client, { label, threshold, count, sharesDir }) {
    if (threshold === undefined || count === undefined || sharesDir === undefined) {
      throw usage('shares need three numbers and a place', {
        hint: 'give --threshold 2 --count 3 --shares-dir DIRECTORY',
      })
    }
    await checkOutput(terminal, sharesDir, false)
    try {
      await mkdir(terminal.path(sharesDir), { mode: 0o700 })
    } catch (error) {
      throw fileError(error, sharesDir, 'write')
    }
    const slot = await undoing(
      () => client.addSlot({ kind: 'shares', label, threshold, count }),
      () => rm(terminal.path(sharesDir), { recursive: true }),
    )
    for (const [at, text] of slot.share_texts.entries()) {
      await undoing(
        () => writeOutput(terminal, `${sharesDir}/share-${at + 1}.txt`, `${text}\n`, { mode: 0o600 }),
        () => client.removeSlot(slot.slot),
      )
    }
    return slot
  },

  async 'key-service'(_terminal, client, { label }) {
    return await client.addSlot({ kind: 'key-service', label })
  },
}

/** Runs a step; if it fails, what came before it is taken back. */
async function undoing<T>(step: () => Promise<T>, undo: () => Promise<unknown>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    await undo()
    throw error
  }
}

const optionsOf: Readonly<Record<(typeof kinds)[number], readonly (keyof AddOptions)[]>> = {
  passphrase: ['passphraseFile'],
  'key-file': ['keyFile'],
  shares: ['threshold', 'count', 'sharesDir'],
  'key-service': [],
}

function checkFit(kind: (typeof kinds)[number], options: AddOptions): void {
  const all = Object.values(optionsOf).flat()
  const strange = all.find((name) => options[name] !== undefined && !optionsOf[kind].includes(name))
  if (strange === undefined) return
  const flag = strange.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)
  throw usage(`a slot of kind ${kind} takes no --${flag}`)
}

function toCount(text: string): number {
  if (!/^[1-9]\d?$/u.test(text)) throw new InvalidArgumentError('a number from 1 to 99')
  return Number(text)
}

function slotTable(slots: readonly SlotInfo[]): string {
  return table([
    ['SLOT', 'KIND', 'LABEL', 'ROOT', 'CREATED'],
    ...slots.map(({ slot, kind, label, shares, root_version: root, created_at: created }) => [
      slot,
      shares === null ? kind : `${shares.threshold} of ${shares.count} ${kind}`,
      label,
      String(root),
      created,
    ]),
  ])
}
