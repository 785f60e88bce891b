/** `HOST:PORT`, where a service listens. */

import { usage } from './errors.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export const defaultListen = '127.0.0.1:8420'

/** @throws CliError with exit code 2 on anything but `HOST:PORT`; an IPv6 host stands in brackets. */
export function parseListen(text: string): ListenAddress {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/u.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || port > 65_535) {
    throw usage(`not HOST:PORT: ${text}`, { hint: `say, ${defaultListen}, or port 0 for any free one` })
  }
  return { host, port }
}
