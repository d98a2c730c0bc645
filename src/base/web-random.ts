import type { Random } from './random.ts'

/** Random bytes where there is no `node:crypto`: in browsers, and in Node as well. */
export class WebRandom implements Random {
  bytes(count: number): Uint8Array {
    return globalThis.crypto.getRandomValues(new Uint8Array(count))
  }
}
