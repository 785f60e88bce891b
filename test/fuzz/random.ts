/** Numbers that look random and are the same for the same seed on every machine (sfc32). Not for keys. */
export class Random {
  readonly #state: Uint32Array

  /** Each pair of seed and stream gives numbers of its own. */
  constructor(seed: number, stream = 0) {
    this.#state = Uint32Array.of(seed, stream, Math.floor(stream / 2 ** 32) ^ 0x9e3779b9, 1)
    for (let i = 0; i < 12; i++) this.u32()
  }

  u32(): number {
    const s = this.#state
    const [a = 0, b = 0, c = 0, count = 0] = s
    const out = (a + b + count) >>> 0
    s[3] = count + 1
    s[0] = b ^ (b >>> 9)
    s[1] = c + (c << 3)
    s[2] = ((c << 21) | (c >>> 11)) + out
    return out
  }

  /** 0 to `limit` − 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit)
  }

  chance(probability: number): boolean {
    return this.u32() < probability * 2 ** 32
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)]
    if (picked === undefined) throw new Error('nothing to pick from')
    return picked
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.u32())
  }
}
