/** A wrong call or configuration. The messages are for people. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** All that is wrong, not only what was found first. */
  readonly problems: readonly string[]

  constructor(...problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}
