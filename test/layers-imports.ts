/** What one source file asks of others, read from its syntax tree: values, types, re-exports and lazy imports. */

import { parseSync, visitorKeys } from 'oxc-parser'
import type { Node } from 'oxc-parser'

export interface Import {
  readonly specifier: string
  /** Erased before it runs: `import type`, `export type … from`, `import('…')` in a type. */
  readonly typeOnly: boolean
  readonly line: number
}

export interface SourceFacts {
  readonly imports: readonly Import[]
  /** Globals the file reads without declaring them, out of those asked for. */
  readonly globals: ReadonlySet<string>
  /** Lines of statements other than `export { … } from` and `export type { … } from`. */
  readonly otherThanNamedReExports: readonly number[]
}

/** @throws Error when the file does not parse, naming it and the reason. */
export function readSource(
  file: string,
  source: string,
  watchedGlobals: readonly string[] = [],
): SourceFacts {
  const { program, errors } = parseSync(file, source)
  const [problem] = errors
  if (problem !== undefined) throw new Error(`${file} does not parse: ${problem.message}`)

  const lineOf = (offset: number) => source.slice(0, offset).split('\n').length
  const imports: Import[] = []
  const declared = new Set<string>()
  const read = new Set<string>()

  walk(program, (node, key, parents) => {
    const found = importOf(node, source)
    if (found !== undefined) imports.push({ ...found, line: lineOf(node.start) })
    if (node.type === 'Identifier' && watchedGlobals.includes(node.name)) {
      if (isBinding(parents, key)) declared.add(node.name)
      else if (!isName(parents, key)) read.add(node.name)
    }
  })

  return {
    imports,
    globals: new Set([...read].filter((name) => !declared.has(name))),
    otherThanNamedReExports: program.body
      .filter((statement) => !isNamedReExport(statement))
      .map((statement) => lineOf(statement.start)),
  }
}

function importOf(node: Node, source: string): Omit<Import, 'line'> | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
      // `import { type T } from` is not erased: with verbatimModuleSyntax an empty import stays behind.
      return { specifier: node.source.value, typeOnly: node.importKind === 'type' }
    case 'ExportNamedDeclaration':
      if (node.source === null) return undefined
      return { specifier: node.source.value, typeOnly: node.exportKind === 'type' }
    case 'ExportAllDeclaration':
      return { specifier: node.source.value, typeOnly: node.exportKind === 'type' }
    case 'ImportExpression':
      return {
        specifier: literal(node.source) ?? `a computed import: ${text(node.source, source)}`,
        typeOnly: false,
      }
    case 'TSImportType':
      return { specifier: node.source.value, typeOnly: true }
    case 'TSExternalModuleReference':
      return { specifier: node.expression.value, typeOnly: false }
    case 'NewExpression': {
      // new URL('./worker.ts', import.meta.url): the way a worker is named, and an arrow like any other.
      const [path, base] = node.arguments
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'URL' || path === undefined)
        return undefined
      const target = literal(path)
      const isModule = base !== undefined && text(base, source) === 'import.meta.url'
      return isModule && target?.endsWith('.ts') === true ? { specifier: target, typeOnly: false } : undefined
    }
    default:
      return undefined
  }
}

function isNamedReExport(node: Node): boolean {
  return node.type === 'ExportNamedDeclaration' && node.declaration === null
    ? node.source !== null || node.specifiers.length === 0
    : false
}

/** `const { process } = …`, `function f(process)`: here the name is the file's own. */
function isBinding([parent, outer]: readonly Node[], key: string): boolean {
  if (parent?.type === 'VariableDeclarator') return key === 'id'
  if (parent?.type === 'Property') return key === 'value' && outer?.type === 'ObjectPattern'
  return key === 'params' || parent?.type === 'ImportSpecifier'
}

/** The name of a member, a property or a field says nothing about a global, and a type is erased. */
function isName([parent]: readonly Node[], key: string): boolean {
  if (parent?.type === 'TSTypeReference') return true
  if (parent?.type === 'MemberExpression') return key === 'property' && !parent.computed
  return key === 'key' && parent !== undefined && named.has(parent.type)
}

const named = new Set([
  'Property',
  'PropertyDefinition',
  'MethodDefinition',
  'TSPropertySignature',
  'TSMethodSignature',
])

function literal(node: Node): string | undefined {
  return node.type === 'Literal' && typeof node.value === 'string' ? node.value : undefined
}

function text(node: Node, source: string): string {
  return source.slice(node.start, node.end)
}

type Visit = (node: Node, key: string, parents: readonly Node[]) => void

/** Depth first; `parents` has the nearest first, `key` is where in it the node was found. */
function walk(node: Node, visit: Visit, key = '', parents: readonly Node[] = []): void {
  visit(node, key, parents)
  for (const childKey of visitorKeys[node.type] ?? []) {
    // The tree is plain data: `visitorKeys` names the properties of each kind that hold a node or several.
    const child = (node as unknown as Record<string, Node | (Node | null)[] | null | undefined>)[childKey]
    for (const next of Array.isArray(child) ? child : [child]) {
      if (next !== null && next !== undefined) walk(next, visit, childKey, [node, ...parents])
    }
  }
}
