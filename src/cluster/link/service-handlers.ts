import type { Logger } from '../../base/logger.ts'
import { type Service, type ServiceHandler, services } from '../peers.ts'
import type { Link } from './link.ts'

/**
 * Who hears of what. Ups and downs come to all handlers in the order in which they happened, each one to the last
 * handler before the next one to the first: a handler that takes a link down is told so after all have heard that it
 * was up.
 */
export class ServiceHandlers {
  readonly #logger: Logger
  /** By service. */
  readonly #handlers: (ServiceHandler | null)[] = new Array(1 + Math.max(...Object.values(services))).fill(null)
  readonly #untold: { link: Link; isUp: boolean }[] = []
  #isTelling = false

  constructor(logger: Logger) {
    this.#logger = logger
  }

  serve(service: Service, handler: ServiceHandler): void {
    if (this.#handlers[service] !== null) throw new TypeError(`service ${service} has a handler already`)
    this.#handlers[service] = handler
  }

  /** A service that nobody has here is one of a later version: its messages are dropped. */
  message(link: Link, service: number, buffer: Uint8Array, start: number, end: number): void {
    const handler = this.#handlers[service]
    if (handler === undefined || handler === null) return
    try {
      handler.message(link, buffer, start, end)
    } catch (error) {
      this.#mistake(link, service, error)
    }
  }

  up(link: Link): void {
    this.#tell({ link, isUp: true })
  }

  down(link: Link): void {
    this.#tell({ link, isUp: false })
  }

  drained(link: Link): void {
    this.#each(link, (handler) => handler.drained(link))
  }

  #tell(event: { link: Link; isUp: boolean }): void {
    this.#untold.push(event)
    if (this.#isTelling) return
    this.#isTelling = true
    for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
      const { link, isUp } = next
      this.#each(link, (handler) => (isUp ? handler.up(link) : handler.down(link)))
    }
    this.#isTelling = false
  }

  #each(link: Link, tell: (handler: ServiceHandler) => void): void {
    for (const [service, handler] of this.#handlers.entries()) {
      if (handler === null) continue
      try {
        tell(handler)
      } catch (error) {
        this.#mistake(link, service, error)
      }
    }
  }

  /** Our own: the link goes down, the other services and links go on. */
  #mistake(link: Link, service: number, error: unknown): void {
    const fields = { node: link.name, incarnation: link.incarnation, service, error }
    this.#logger.error(fields, `service ${service} has failed on the link to node '${link.name}'`)
    link.cut('a service of this node has failed')
  }
}
