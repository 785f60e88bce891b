/** A Containerfile, read far enough to be checked and to have its steps run where there is no engine. */

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'

export interface Instruction {
  readonly name: string
  readonly text: string
  readonly line: number
}

export function readContainerfile(text: string): Instruction[] {
  const instructions: Instruction[] = []
  const lines = text.split('\n')
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1
    let whole = lines[index] ?? ''
    while (whole.endsWith('\\')) whole = whole.slice(0, -1) + (lines[++index] ?? '').trim()
    const [, name, rest] = /^\s*([A-Za-z]+)\s+(.*)$/u.exec(whole) ?? []
    if (whole.trim() === '' || whole.trimStart().startsWith('#')) continue
    if (name === undefined || rest === undefined) throw new Error(`line ${line}: no instruction: ${whole}`)
    instructions.push({ name: name.toUpperCase(), text: rest.trim(), line })
  }
  return instructions
}

const known = new Set('FROM WORKDIR COPY RUN ENV USER EXPOSE STOPSIGNAL ENTRYPOINT CMD'.split(' '))

/** What should not be in one, each fault with its line. */
export function lintContainerfile(instructions: readonly Instruction[]): string[] {
  const faults: string[] = []
  let stage = new Map<string, Instruction>()
  for (const instruction of instructions) {
    const { name, text, line } = instruction
    const say = (fault: string) => faults.push(`line ${line}: ${fault}`)
    if (name === 'FROM') {
      stage = new Map()
      const [image = ''] = text.split(/\s+/u)
      if (!/:[\w.-]+$|@sha256:/u.test(image) || image.endsWith(':latest')) say(`${image} has no version`)
    } else if (stage.size === 0 && name !== 'WORKDIR' && name !== 'ENV') {
      say(`${name} before WORKDIR`)
    }
    if (!known.has(name)) say(`${name} is not among ${[...known].join(' ')}`)
    if (name === 'WORKDIR' && !text.startsWith('/')) say('WORKDIR is not absolute')
    if (name === 'RUN' && /(?:^|\s)(?:sudo|curl|wget)\b|\|\s*(?:ba)?sh\b/u.test(text)) {
      say('RUN fetches what nobody checks')
    }
    if (name === 'RUN' && /(?:^|[\s=])\/(?!dev\/)/u.test(text)) say('RUN names a path outside of WORKDIR')
    if (name === 'ENV' && /TOKEN|SECRET|PASSWORD|KEY/iu.test(text))
      say('ENV holds a secret, which the image keeps')
    if ((name === 'ENTRYPOINT' || name === 'CMD') && !isExecForm(text)) {
      say(`${name} goes through a shell, which takes the signals`)
    }
    stage.set(name, instruction)
  }
  const user = stage.get('USER')?.text ?? 'root'
  if (/^(?:root|0)(?::|$)/u.test(user)) faults.push('the last stage runs as root')
  if (!stage.has('ENTRYPOINT')) faults.push('the last stage has no ENTRYPOINT')
  return faults
}

export interface Built {
  /** The root of the last stage. */
  readonly root: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
}

/**
 * Runs the steps of every stage with a folder in the place of its root, on the machine's own programs: what an engine
 * would do, without its walls.
 */
export function runContainerfile(
  instructions: readonly Instruction[],
  context: string,
  folder: string,
): Built {
  const stages = new Map<string, string>()
  let built: Built = { root: '', workdir: '/', env: {}, entrypoint: [], command: [] }
  for (const { name, text } of instructions) {
    const place = join(built.root, built.workdir)
    if (name === 'FROM') {
      const [, stage = `stage-${stages.size}`] = /\sAS\s+(\S+)$/iu.exec(text) ?? []
      const root = join(folder, stage)
      mkdirSync(root, { recursive: true })
      stages.set(stage, root)
      built = { root, workdir: '/', env: {}, entrypoint: [], command: [] }
    } else if (name === 'WORKDIR') {
      mkdirSync(join(built.root, text), { recursive: true })
      built = { ...built, workdir: text }
    } else if (name === 'ENV') {
      const [key = '', value = ''] = text.split('=', 2)
      built = { ...built, env: { ...built.env, [key]: value } }
    } else if (name === 'COPY') {
      copy(text, { context, stages, place })
    } else if (name === 'RUN') {
      execFileSync('sh', ['-ec', text], {
        cwd: place,
        env: { ...process.env, ...built.env },
        stdio: 'inherit',
      })
    } else if (name === 'ENTRYPOINT') {
      built = { ...built, entrypoint: words(text) }
    } else if (name === 'CMD') {
      built = { ...built, command: words(text) }
    }
  }
  return built
}

interface CopyPlaces {
  readonly context: string
  readonly stages: ReadonlyMap<string, string>
  readonly place: string
}

function copy(text: string, { context, stages, place }: CopyPlaces): void {
  const all = text.split(/\s+/u)
  const from = all[0]?.startsWith('--from=') === true ? all.shift()?.slice('--from='.length) : undefined
  const to = join(place, all.pop() ?? '.')
  const base = from === undefined ? context : stages.get(from)
  if (base === undefined) throw new Error(`there is no stage ${from}`)
  for (const source of all) {
    const path = join(base, source)
    // A file goes into a folder whose name ends with a slash; of a folder, the content goes.
    const isFile = spawnSync('test', ['-f', path]).status === 0
    const verbatimSymlinks = true
    cpSync(path, isFile && to.endsWith('/') ? join(to, basename(source)) : to, {
      recursive: true,
      verbatimSymlinks,
    })
  }
}

function isExecForm(text: string): boolean {
  try {
    return words(text).length > 0
  } catch {
    return false
  }
}

function words(text: string): string[] {
  const value: unknown = JSON.parse(text)
  if (!Array.isArray(value) || !value.every((word) => typeof word === 'string'))
    throw new Error('not a list of words')
  return value
}
