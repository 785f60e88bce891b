/** The API reference: every entry of the two packages that are imported, as their package.json has them. */

import { readFileSync } from 'node:fs'

const entryPoints = ['core', 'kms'].flatMap((name) => {
  const manifest = JSON.parse(
    readFileSync(new URL(`../packages/${name}/package.json`, import.meta.url), 'utf8'),
  )
  return Object.values(manifest.exports)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `../packages/${name}/${path}`)
})

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  name: 'Longhold',
  readme: 'library.md',
  entryPoints,
  tsconfig: 'tsconfig.json',
  out: 'dist/api',
  // To the sources beside it: there is no address that every copy of the repository has.
  disableGit: true,
  sourceLinkTemplate: '../../../../packages/{path}#L{line}',
  excludePrivate: true,
  sort: ['kind', 'alphabetical'],
  // The rest of what a comment has to say is asked for by test/docs-comments.test.ts, which needs no install.
  validation: { notExported: false, notDocumented: true, invalidLink: true, invalidPath: true },
  packagesRequiringDocumentation: ['@longhold/core', '@longhold/kms'],
  requiredToBeDocumented: ['Module', 'Variable', 'Function', 'Class', 'Interface', 'TypeAlias'],
  treatWarningsAsErrors: true,
}
