/**
 * Holds the sources to the tables of ARCHITECTURE.md: which room may import which, type-only imports too. A row is
 * one room: a folder, a file, several of them, or each child of a folder by itself (`seal/*`). A file belongs to
 * the room that names it closest.
 */

import { existsSync, globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, posix } from 'node:path'

import { type Import, readSource } from './layers-imports.ts'

export interface Room {
  readonly package: string
  readonly names: readonly string[]
  /** Names of rooms of the same package. */
  readonly inside: readonly string[]
  /** Packages; `node:x`, `node:*`; with `type ` in front when only types may come from there. */
  readonly outside: readonly string[]
}

/**
 * Reads every table under a heading that names a package in code font, whose header row begins with `room`.
 * @throws Error when there is none: a check without rules would pass.
 */
export function readRooms(markdown: string): Room[] {
  const rooms: Room[] = []
  let packageName = ''
  for (const line of markdown.split('\n')) {
    const heading = /^#+ .*`(@longhold\/[\w-]+)`/.exec(line)?.[1]
    if (heading !== undefined) packageName = heading
    const cells = line.startsWith('|') ? line.split('|').slice(1, -1) : []
    const [first = '', inside = '', outside = ''] = cells
    const names = inCode(first)
    if (names.length > 0) {
      rooms.push({ package: packageName, names, inside: inCode(inside), outside: inCode(outside) })
    }
  }
  if (rooms.length === 0) throw new Error('ARCHITECTURE.md lists no room')
  return rooms
}

/** @returns One line per fault, naming file, import and rule; empty when all is well. */
export function checkLayers(root: string, rooms: readonly Room[]): string[] {
  const faults = rooms.flatMap((room) => unknownArrows(room, rooms))
  faults.push(...cycles(tableGraph(rooms)).map((cycle) => `ARCHITECTURE.md: a cycle of rooms: ${cycle}`))
  const graph = new Map<string, string[]>()
  for (const manifestPath of globSync('packages/*/package.json', { cwd: root }).toSorted()) {
    const folder = dirname(manifestPath)
    // Our own manifests: a string name, and maps of names to ranges.
    const manifest = JSON.parse(readFileSync(join(root, manifestPath), 'utf8')) as Manifest
    const mine = rooms.filter((room) => room.package === manifest.name)
    for (const file of globSync(`${folder}/src/**/*.ts`, { cwd: root }).toSorted()) {
      faults.push(...checkFile(root, file, { folder, manifest, rooms: mine }, graph))
    }
  }
  if (graph.size === 0) faults.push('packages/*/src: no source file found')
  return [...faults, ...cycles(graph).map((cycle) => `a cycle of files: ${cycle}`)]
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

interface Package {
  readonly folder: string
  readonly manifest: Manifest
  readonly rooms: readonly Room[]
}

function checkFile(root: string, file: string, own: Package, graph: Map<string, string[]>): string[] {
  const isCore = own.manifest.name === '@longhold/core'
  const source = readFileSync(join(root, file), 'utf8')
  const facts = readSource(file, source, isCore ? ['Buffer', 'process'] : [])
  const faults = [...facts.globals].map((name) => `${file}: reads the global ${name}; core runs without it`)
  if (file.endsWith('/index.ts')) {
    for (const line of facts.otherThanNamedReExports) {
      faults.push(`${file}:${line}: index.ts holds named re-exports only`)
    }
  }

  const room = roomOf(file, own)
  if (room === undefined) return [...faults, `${file}: belongs to no room of ARCHITECTURE.md`]
  const arrows: string[] = []
  graph.set(file, arrows)
  for (const found of facts.imports) {
    const fault = found.specifier.startsWith('.')
      ? checkInside(root, file, room, own, found, arrows)
      : checkOutside(room, own, found)
    if (fault !== undefined) faults.push(`${file}:${found.line}: imports ${found.specifier}: ${fault}`)
  }
  return faults
}

function checkInside(
  root: string,
  file: string,
  from: OwnRoom,
  own: Package,
  { specifier }: Import,
  arrows: string[],
): string | undefined {
  const target = posix.join(posix.dirname(file), specifier)
  if (!target.startsWith(`${own.folder}/src/`)) return `leaves ${own.folder}/src; name the package instead`
  if (!existsSync(join(root, target))) return 'there is no such file'
  arrows.push(target)
  const to = roomOf(target, own)
  if (to === undefined) return 'belongs to no room of ARCHITECTURE.md'
  if (to.room === from.room || to.rule.names.some((name) => from.rule.inside.includes(name))) return undefined
  return `\`${from.name}\` may not import \`${to.name}\``
}

function checkOutside(
  { name, rule }: OwnRoom,
  own: Package,
  { specifier, typeOnly }: Import,
): string | undefined {
  const listed = (allowed: string) =>
    allowed === specifier ||
    (allowed === 'node:*' && specifier.startsWith('node:')) ||
    (allowed.endsWith('/*') && specifier.startsWith(allowed.slice(0, -1))) ||
    (!allowed.startsWith('@longhold/') && allowed === packageOf(specifier))
  const allowed = rule.outside.some((entry) =>
    entry.startsWith('type ') ? typeOnly && listed(entry.slice('type '.length)) : listed(entry),
  )
  if (!allowed) return `\`${name}\` may not import it`
  if (isBuiltin(specifier)) return specifier.startsWith('node:') ? undefined : 'write node: in front'
  const { dependencies = {}, peerDependencies = {} } = own.manifest
  return packageOf(specifier) in { ...dependencies, ...peerDependencies }
    ? undefined
    : `${own.folder}/package.json does not declare ${packageOf(specifier)}`
}

interface OwnRoom {
  /** What names the file: `seal/key-file` where the rule is for `seal/*`. */
  readonly name: string
  /** The same for all files of a room. */
  readonly room: string
  readonly rule: Room
}

function roomOf(file: string, own: Package): OwnRoom | undefined {
  const path = file.slice(`${own.folder}/src/`.length).replace(/\.ts$/, '')
  let best: (OwnRoom & { closeness: number }) | undefined
  for (const rule of own.rooms) {
    for (const listed of rule.names) {
      const folder = listed.replace(/\/\*$/, '')
      const isEach = folder !== listed
      const [child] = path.slice(folder.length + 1).split('/')
      if (path !== folder && !path.startsWith(`${folder}/`)) continue
      if (isEach && child === '') continue
      // `a/b` names a file of `a/*` more closely than `a/*` does, and that more closely than `a`.
      const closeness = 2 * folder.length + (isEach ? 1 : 0)
      const name = isEach ? `${folder}/${child}` : listed
      if (best === undefined || closeness > best.closeness) {
        best = { name, room: isEach ? name : (rule.names[0] ?? name), rule, closeness }
      }
    }
  }
  return best
}

function unknownArrows(room: Room, rooms: readonly Room[]): string[] {
  const known = rooms.filter((other) => other.package === room.package).flatMap((other) => other.names)
  return room.inside
    .filter((name) => !known.includes(name))
    .map(
      (name) =>
        `ARCHITECTURE.md: \`${room.names[0]}\` of ${room.package} lists \`${name}\`, which is no room`,
    )
}

/** One node for each row, by its package and first name. */
function tableGraph(rooms: readonly Room[]): Map<string, string[]> {
  const id = (room: Room) => `${room.package} ${room.names[0]}`
  const arrows = (room: Room) =>
    rooms.filter(
      (other) => other.package === room.package && other.names.some((name) => room.inside.includes(name)),
    )
  return new Map(rooms.map((room) => [id(room), arrows(room).map(id)]))
}

/** Every cycle is reported once, from where the search met it. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (node: string, path: readonly string[]) => {
    const start = path.indexOf(node)
    if (start >= 0) found.push([...path.slice(start), node].join(' → '))
    if (start >= 0 || done.has(node)) return
    for (const next of graph.get(node) ?? []) visit(next, [...path, node])
    done.add(node)
  }
  for (const node of graph.keys()) visit(node, [])
  return found
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function inCode(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
}
