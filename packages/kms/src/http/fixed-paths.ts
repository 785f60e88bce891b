/**
 * Finds routes as Hono does, and remembers what it found for paths that are written out: those of batches are asked
 * thousands of times a second, and among a hundred routes the search takes as long as the JSON of an unwrap.
 */

import type { Result, Router } from 'hono/router'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { SmartRouter } from 'hono/router/smart-router'
import { TrieRouter } from 'hono/router/trie-router'

export class FixedPaths<T> implements Router<T> {
  readonly name = 'FixedPaths'
  readonly #router: Router<T> = new SmartRouter<T>({ routers: [new RegExpRouter<T>(), new TrieRouter<T>()] })
  /** Methods and paths of routes without parameters: as many as the source has, whatever is asked. */
  readonly #fixed = new Set<string>()
  readonly #found = new Map<string, Result<T>>()

  add(method: string, path: string, handler: T): void {
    this.#router.add(method, path, handler)
    if (!/[:*?{]/u.test(path)) this.#fixed.add(`${method} ${path}`)
    this.#found.clear()
  }

  match(method: string, path: string): Result<T> {
    const name = `${method} ${path}`
    const known = this.#found.get(name)
    if (known !== undefined) return known
    const found = this.#router.match(method, path)
    if (this.#fixed.has(name)) this.#found.set(name, found)
    return found
  }
}
