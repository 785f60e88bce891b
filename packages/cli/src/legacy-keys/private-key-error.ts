/** Why bytes are no usable private key. The message holds nothing of them. */
export class PrivateKeyError extends Error {
  readonly code: 'not_a_key' | 'not_rsa' | 'needs_passphrase' | 'wrong_passphrase'

  constructor(code: PrivateKeyError['code'], message: string) {
    super(message)
    this.name = 'PrivateKeyError'
    this.code = code
  }
}
