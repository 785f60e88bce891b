/**
 * The doc comments of what the packages export, read from the syntax trees: which exports there are, where each is
 * declared, and what its comment says. The rules are those of CONTRIBUTING: sizes, units, errors, section.
 */

import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

import { parseSync } from 'oxc-parser'
import type { Comment, Node, Program } from 'oxc-parser'

export interface Source {
  readonly path: string
  readonly text: string
  readonly program: Program
  readonly comments: readonly Comment[]
}

/** One export: the declarations it comes down to (overloads have several), and the file they are in. */
export interface Declared {
  readonly name: string
  readonly source: Source
  /** Statements as they stand in the file, `export` included: a comment is in front of that. */
  readonly statements: readonly Node[]
}

/** A member of an exported class or interface that callers see. */
export interface Member {
  readonly name: string
  readonly kind: 'method' | 'property' | 'getter'
  readonly doc: string | undefined
  /** The text of its type or, of a method, of what it returns. */
  readonly type: string
  readonly parameters: readonly Parameter[]
}

export interface Parameter {
  readonly name: string
  readonly type: string
}

const sources = new Map<string, Source>()

/** @throws Error when the file does not parse. */
export function readSource(path: string, text?: string): Source {
  const known = text === undefined ? sources.get(path) : undefined
  if (known !== undefined) return known
  const read = text ?? readFileSync(path, 'utf8')
  const { program, comments, errors } = parseSync(path, read)
  const [problem] = errors
  if (problem !== undefined) throw new Error(`${path} does not parse: ${problem.message}`)
  const source = { path, text: read, program, comments }
  if (text === undefined) sources.set(path, source)
  return source
}

/** The source files of a package's entries, `.` and the rest of `exports`, by entry. */
export function entriesOf(packageFolder: string): Map<string, string> {
  // A manifest of ours: entries that are sources are strings.
  const manifest = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    exports: Record<string, string>
  }
  const entries = Object.entries(manifest.exports).filter(([, path]) => path.endsWith('.ts'))
  if (entries.length === 0) throw new Error(`${packageFolder}: no entry is a source file`)
  return new Map(entries.map(([name, path]) => [name, join(packageFolder, path)]))
}

/**
 * Everything a module exports, followed through re-exports to where it is declared.
 * @throws Error for `export *`, a default export, or a name that is declared nowhere.
 */
export function exportsOf(source: Source): Declared[] {
  return source.program.body.flatMap((statement): Declared[] => {
    if (statement.type === 'ExportAllDeclaration' || statement.type === 'ExportDefaultDeclaration')
      throw new Error(`${source.path}: write named exports`)
    if (statement.type !== 'ExportNamedDeclaration') return []
    if (statement.declaration !== null) {
      return namesOf(statement.declaration).map((name) => declared(name, source, name))
    }
    const from = statement.source === null ? source : follow(source, statement.source.value)
    return statement.specifiers.map(({ local, exported }) =>
      declared(nameOf(local), from, nameOf(exported) ?? ''),
    )
  })
}

/** The declarations of a name in a file, perhaps imported there from another of ours. */
export function declared(name: string | undefined, source: Source, as = name ?? ''): Declared {
  const statements = source.program.body.filter((statement) => {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
    return declaration !== null && namesOf(declaration).includes(name ?? '')
  })
  if (statements.length > 0) return { name: as, source, statements }
  for (const statement of source.program.body) {
    if (statement.type !== 'ImportDeclaration' && statement.type !== 'ExportNamedDeclaration') continue
    if (!statement.source?.value.startsWith('.')) continue
    for (const specifier of statement.specifiers) {
      if (specifier.type === 'ImportSpecifier' && specifier.local.name === name)
        return declared(nameOf(specifier.imported), follow(source, statement.source.value), as)
      if (specifier.type === 'ExportSpecifier' && nameOf(specifier.exported) === name)
        return declared(nameOf(specifier.local), follow(source, statement.source.value), as)
    }
  }
  throw new Error(`${source.path}: ${as} is declared nowhere`)
}

function follow(source: Source, specifier: string): Source {
  return readSource(join(dirname(source.path), specifier))
}

function namesOf(node: Node): string[] {
  if (node.type === 'VariableDeclaration') return node.declarations.flatMap(({ id }) => nameOf(id) ?? [])
  if ('id' in node && node.id !== null) return [nameOf(node.id) ?? ''].filter((name) => name !== '')
  return []
}

function nameOf(node: Node | undefined): string | undefined {
  if (node?.type === 'Identifier') return node.name
  return node?.type === 'Literal' && typeof node.value === 'string' ? node.value : undefined
}

/** The doc comment right in front of a node, without its stars. */
export function docOf({ text, comments }: Source, node: Node): string | undefined {
  const comment = comments.findLast(({ end }) => end <= node.start)
  if (comment?.type !== 'Block' || !comment.value.startsWith('*')) return undefined
  if (text.slice(comment.end, node.start).trim() !== '') return undefined
  return comment.value.replaceAll(/^\s*\* ?/gm, '').trim()
}

/** What the comment at the head of a file says, which describes the whole of it. */
export function headOf({ comments }: Source): string {
  const [first] = comments
  return first?.start === 0 && first.value.startsWith('*') ? first.value : ''
}

/** The first doc comment of a declaration: of overloads one is enough. */
export function docOfAll({ source, statements }: Declared): string | undefined {
  return statements.map((statement) => docOf(source, statement)).find((doc) => doc !== undefined)
}

export function declarationOf({ statements }: Declared): Node | undefined {
  const [first] = statements
  return first?.type === 'ExportNamedDeclaration' ? (first.declaration ?? undefined) : first
}

/** What callers see of a class or an interface; nothing for other declarations. */
export function membersOf(one: Declared): Member[] {
  const { source } = one
  const node = declarationOf(one)
  if (node?.type === 'TSInterfaceDeclaration') {
    return node.body.body.flatMap((member): Member[] => {
      if (member.type !== 'TSPropertySignature' && member.type !== 'TSMethodSignature') return []
      const isMethod = member.type === 'TSMethodSignature'
      return [
        {
          name: nameOf(member.key) ?? '',
          kind: isMethod ? 'method' : 'property',
          doc: docOf(source, member),
          type: textOf(source, isMethod ? member.returnType : member.typeAnnotation),
          parameters: isMethod ? parametersOf(source, member.params) : [],
        },
      ]
    })
  }
  if (node?.type !== 'ClassDeclaration') return []
  const members = node.body.body.flatMap((member): Member[] => {
    if (member.type !== 'MethodDefinition' && member.type !== 'PropertyDefinition') return []
    const name = nameOf(member.key)
    // `#x` and `[Symbol.dispose]` have no name here; a constructor is described by its class.
    if (name === undefined || member.computed || member.accessibility === 'private' || name === 'constructor')
      return []
    const doc = docOf(source, member) ?? inheritedDoc(one, name)
    if (!('kind' in member)) {
      const type = textOf(source, member.typeAnnotation)
      return [{ name, kind: 'property', doc, type, parameters: [] }]
    }
    const kind = member.kind === 'get' ? 'getter' : 'method'
    const { params, returnType } = member.value
    return [{ name, kind, doc, type: textOf(source, returnType), parameters: parametersOf(source, params) }]
  })
  // Of overloads the first has the comment.
  return members.filter(({ name }, at) => members.findIndex((other) => other.name === name) === at)
}

/** A method that implements an interface means what is said there. */
function inheritedDoc(one: Declared, name: string): string | undefined {
  const node = declarationOf(one)
  if (node?.type !== 'ClassDeclaration') return undefined
  for (const { expression } of node.implements ?? []) {
    const above = declared(nameOf(expression), one.source)
    const found = membersOf(above).find((member) => member.name === name)
    // With what the interface says of all its operations.
    if (found?.doc !== undefined) return `${found.doc}\n${docOfAll(above) ?? ''}`
  }
  return undefined
}

/** The parameters of an exported function, and what it returns; `undefined` for what is none. */
export function signatureOf(one: Declared): { parameters: Parameter[]; type: string } | undefined {
  const node = declarationOf(one)
  if (node?.type !== 'FunctionDeclaration' && node?.type !== 'TSDeclareFunction') return undefined
  return { parameters: parametersOf(one.source, node.params), type: textOf(one.source, node.returnType) }
}

function parametersOf(source: Source, nodes: readonly Node[]): Parameter[] {
  return nodes.map((node) => {
    const inner = node.type === 'AssignmentPattern' ? node.left : node
    const annotation = 'typeAnnotation' in inner ? inner.typeAnnotation : undefined
    return { name: nameOf(inner) ?? '', type: textOf(source, annotation) }
  })
}

function textOf({ text }: Source, node: Node | null | undefined): string {
  return node ? text.slice(node.start, node.end).replace(/^:\s*/, '') : ''
}

export function shortPath(root: string, { source }: Declared): string {
  return relative(root, source.path)
}
