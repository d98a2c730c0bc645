/** Bodies that all webhooks of a node hold together: above so many bytes none takes another message. */
import type { WebhookRunner } from './webhook-runner.ts'

/** In bytes; what comes in before it is noticed is at most a message for each webhook more. */
const heldBytesMax = 64 * 1024 * 1024

export class WebhookRoom {
  #bytes = 0
  /** Who was refused, and is told when there is room again. */
  readonly #refused = new Set<WebhookRunner>()

  hasRoomFor(runner: WebhookRunner): boolean {
    if (this.#bytes < heldBytesMax) return true
    this.#refused.add(runner)
    return false
  }

  take(bytes: number): void {
    this.#bytes += bytes
  }

  free(bytes: number): void {
    this.#bytes -= bytes
    if (this.#bytes >= heldBytesMax || this.#refused.size === 0) return
    const refused = [...this.#refused]
    this.#refused.clear()
    for (const runner of refused) runner.resume()
  }
}
