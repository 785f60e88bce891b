/** Who may do what at a key service; reached as `client.access`. */

import type {
  CreateGrantRequest,
  ExplainRequest,
  Explanation,
  GrantInfo,
  PrincipalInfo,
} from './access-wire.ts'
import type { KeysRequests } from './keys-client.ts'

/**
 * Looks after principals and their grants. Every method throws LongholdError as those of KmsClient do: `bad_input` also
 * for a rule that says nothing, and for more than the token may hand on.
 */
export class KmsAccess {
  readonly #requests: KeysRequests

  /** Not for callers: `client.access` is one. */
  constructor(requests: KeysRequests) {
    this.#requests = requests
  }

  /** Makes a principal, which may do nothing yet. */
  async createPrincipal(principal: string, description = ''): Promise<PrincipalInfo> {
    const body = { principal, description }
    return await this.#requests.ask('POST', '/v1/principals', 'way to make principals', { body })
  }

  /** One principal. */
  async principal(principal: string): Promise<PrincipalInfo> {
    return await this.#requests.ask('GET', principalPath(principal), `principal ${principal}`)
  }

  /** All principals, by name. */
  async listPrincipals(): Promise<PrincipalInfo[]> {
    return await this.#requests.askAll('/v1/principals', 'list of principals')
  }

  /** Switches a principal off, with all its tokens at once, or on again. */
  async setDisabled(principal: string, disabled: boolean): Promise<PrincipalInfo> {
    const path = principalPath(principal)
    return await this.#requests.ask('PATCH', path, `principal ${principal}`, { body: { disabled } })
  }

  /** Gives a principal a rule. Nobody hands on more than he holds. */
  async createGrant(grant: CreateGrantRequest): Promise<GrantInfo> {
    const what = `principal ${grant.principal}`
    return await this.#requests.ask('POST', '/v1/grants', what, { body: grant })
  }

  /** All rules of a principal. */
  async listGrants(principal: string): Promise<GrantInfo[]> {
    const path = `${principalPath(principal)}/grants`
    return await this.#requests.askAll(path, `principal ${principal}`)
  }

  /** Takes a rule away. */
  async deleteGrant(principal: string, grant: string): Promise<void> {
    const path = `${principalPath(principal)}/grants/${encodeURIComponent(grant)}`
    await this.#requests.ask('DELETE', path, `grant ${grant} of ${principal}`)
  }

  /** What would be decided, and by which rules. Nothing is changed or counted. */
  async explain(request: ExplainRequest): Promise<Explanation> {
    const whose = request.principal ?? `token ${request.token ?? ''}`
    return await this.#requests.ask('POST', '/v1/authz/explain', whose, { body: request })
  }
}

function principalPath(principal: string): string {
  return `/v1/principals/${encodeURIComponent(principal)}`
}
