/** Suites by the id of their KEM, for people. */

const names: ReadonlyMap<number, string> = new Map([[0x647a, 'MLKEM768-X25519, HKDF-SHA256, AES-256-GCM']])

export function suiteName(kemId: number): string {
  return names.get(kemId) ?? `KEM 0x${kemId.toString(16)}`
}
