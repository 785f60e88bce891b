/** A store in memory: what the contract means, in the fewest words. It forgets everything when the process ends. */

import type { VersionState } from '@longhold/core/kms'

import type {
  AuditAppend,
  AuditHead,
  AuditRow,
  ClusterRow,
  Initialization,
  KeyRow,
  KeyStore,
  KeySummary,
  NewKey,
  Outcome,
  OwnKeyRow,
  PageRequest,
  Rotation,
  SlotRow,
  StateChange,
  TokenRow,
  VersionRow,
} from '../service/key-store.ts'

export class MemoryStore implements KeyStore {
  #cluster: ClusterRow | undefined
  readonly #slots: SlotRow[] = []
  readonly #ownKeys: OwnKeyRow[] = []
  readonly #keys = new Map<string, KeyRow>()
  readonly #versions = new Map<string, VersionRow>()
  readonly #tokens = new Map<string, TokenRow>()
  readonly #heads = new Map<string, AuditHead>()
  readonly #entries: AuditRow[] = []

  async cluster(): Promise<ClusterRow | undefined> {
    return structuredClone(this.#cluster)
  }

  async slots(): Promise<SlotRow[]> {
    return structuredClone(this.#slots)
  }

  async ownKeys(): Promise<OwnKeyRow[]> {
    return structuredClone(this.#ownKeys)
  }

  async key(key: string): Promise<KeySummary | undefined> {
    const row = this.#keys.get(key)
    return row && this.#summary(row)
  }

  async keys(page: PageRequest<string>): Promise<KeySummary[]> {
    return pageOf([...this.#keys.values()], ({ key }) => key, page).map((row) => this.#summary(row))
  }

  async version(key: string, version: number): Promise<VersionRow | undefined> {
    return structuredClone(this.#versions.get(`${key} ${version}`))
  }

  async versions(key: string, page: PageRequest<number>): Promise<VersionRow[]> {
    return structuredClone(pageOf(this.#versionsOf(key), ({ version }) => version, page))
  }

  async versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<VersionRow[]> {
    const wanted = new Set(recipientIds.map(hexOf))
    return structuredClone(
      [...this.#versions.values()].filter(({ recipientId }) => wanted.has(hexOf(recipientId))),
    )
  }

  async recipientIds(key: string, states: readonly VersionState[]): Promise<Uint8Array[]> {
    const rows = this.#versionsOf(key).filter(({ state }) => states.includes(state))
    return structuredClone(
      rows.toSorted((a, b) => a.version - b.version).map(({ recipientId }) => recipientId),
    )
  }

  async token(token: string): Promise<TokenRow | undefined> {
    return structuredClone(this.#tokens.get(token))
  }

  async tokens(page: PageRequest<string>): Promise<TokenRow[]> {
    return structuredClone(pageOf([...this.#tokens.values()], ({ token }) => token, page))
  }

  async auditHead(run: string): Promise<AuditHead | undefined> {
    return structuredClone(this.#heads.get(run))
  }

  async auditHeads(): Promise<AuditHead[]> {
    return structuredClone([...this.#heads.values()])
  }

  async auditRuns(): Promise<string[]> {
    return [...new Set(this.#entries.map(({ run }) => run))]
  }

  async auditEntries(run: string, page: PageRequest<number>): Promise<AuditRow[]> {
    const entries = this.#entries.filter((entry) => entry.run === run)
    return structuredClone(pageOf(entries, ({ seq }) => seq, page))
  }

  async initialize(initialization: Initialization, audit: AuditAppend): Promise<Outcome> {
    return this.#write(audit, this.#cluster === undefined, () => {
      const { cluster, slot, ownKeys, token, firstKey } = structuredClone(initialization)
      this.#cluster = cluster
      this.#slots.push(slot)
      this.#ownKeys.push(...ownKeys)
      this.#tokens.set(token.token, token)
      if (firstKey !== undefined) this.#put(firstKey)
    })
  }

  async createKey(created: NewKey, audit: AuditAppend): Promise<Outcome> {
    const isNew = !this.#keys.has(created.key.key) && this.#isNewRecipient(created.version)
    return this.#write(audit, isNew, () => this.#put(structuredClone(created)))
  }

  async rotate(rotation: Rotation, audit: AuditAppend): Promise<Outcome> {
    const { key, expectedGeneration, expectedPrimary, version } = structuredClone(rotation)
    const row = this.#keys.get(key)
    const primary = this.#versions.get(`${key} ${expectedPrimary}`)
    const isExpected =
      row?.generation === expectedGeneration &&
      row.latestVersion === version.version - 1 &&
      primary?.state === 'primary' &&
      this.#isNewRecipient(version)
    return this.#write(audit, isExpected, () => {
      if (row === undefined || primary === undefined) return
      const at = version.createdAt
      const primaryName = `${key} ${expectedPrimary}`
      this.#versions.set(primaryName, { ...primary, state: 'unwrap_only', stateChangedAt: at })
      const generation = expectedGeneration + 1
      this.#put({ key: { ...row, generation, latestVersion: version.version, rotatedAt: at }, version })
    })
  }

  async changeState(change: StateChange, audit: AuditAppend): Promise<Outcome> {
    const { key, version, expectedGeneration, from, to, at } = change
    const row = this.#keys.get(key)
    const changed = this.#versions.get(`${key} ${version}`)
    const isExpected = row?.generation === expectedGeneration && changed?.state === from
    return this.#write(audit, isExpected, () => {
      if (row === undefined || changed === undefined) return
      const generation = expectedGeneration + 1
      this.#put({ key: { ...row, generation }, version: { ...changed, state: to, stateChangedAt: at } })
    })
  }

  async createToken(token: TokenRow, audit: AuditAppend): Promise<Outcome> {
    return this.#write(audit, !this.#tokens.has(token.token), () => {
      this.#tokens.set(token.token, structuredClone(token))
    })
  }

  async revokeToken(token: string, at: number, audit: AuditAppend): Promise<Outcome> {
    const row = this.#tokens.get(token)
    return this.#write(audit, row?.revokedAt === null, () => {
      if (row !== undefined) this.#tokens.set(token, { ...row, revokedAt: at })
    })
  }

  async append(audit: AuditAppend): Promise<Outcome> {
    return this.#write(audit, true, () => undefined)
  }

  async close(): Promise<void> {
    // Nothing is under way: every write above is done when it returns.
  }

  #write(audit: AuditAppend, isExpected: boolean, write: () => void): Outcome {
    const { entries, head } = structuredClone(audit)
    if (!isExpected) return 'conflict'
    if ((this.#heads.get(head.run)?.seq ?? 0) + 1 !== entries[0]?.seq) return 'chain_moved'
    write()
    this.#entries.push(...entries)
    this.#heads.set(head.run, head)
    return 'done'
  }

  #put({ key, version }: NewKey): void {
    this.#keys.set(key.key, key)
    this.#versions.set(`${version.key} ${version.version}`, version)
  }

  #isNewRecipient({ recipientId }: VersionRow): boolean {
    return [...this.#versions.values()].every((row) => hexOf(row.recipientId) !== hexOf(recipientId))
  }

  #versionsOf(key: string): VersionRow[] {
    return [...this.#versions.values()].filter((row) => row.key === key)
  }

  #summary(row: KeyRow): KeySummary {
    const primary = this.#versionsOf(row.key).find(({ state }) => state === 'primary')
    return structuredClone({ ...row, primaryVersion: primary?.version ?? 0 })
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Strings by UTF-16 unit, which is the order of bytes for the ASCII names there are. */
function pageOf<R, T extends string | number>(
  rows: readonly R[],
  nameOf: (row: R) => T,
  { after, limit }: PageRequest<T>,
): R[] {
  return rows
    .filter((row) => after === undefined || nameOf(row) > after)
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    .slice(0, limit)
}
