import type { ReturnedMessage } from './driver/driver.ts'
import type { WarrenError } from './errors.ts'

/** What a client tells. `connection` is `consuming` or `publishing`. */
export interface ClientEvents {
  connected: { readonly connection: ConnectionRole; readonly to: string }
  disconnected: { readonly connection: ConnectionRole; readonly error: WarrenError }
  reconnecting: {
    readonly connection: ConnectionRole
    readonly attempt: number
    readonly delayMs: number
    readonly error: WarrenError
  }
  /** The broker takes no messages for now: sends wait. */
  blocked: { readonly reason: string }
  unblocked: Record<never, never>
  /** What went wrong where no promise can say so: a queue that cannot be declared again, a handler that failed. */
  error: { readonly error: WarrenError | Error; readonly doing: string }
  returned: ReturnedMessage
}

export type ConnectionRole = 'consuming' | 'publishing'

type Listener<E> = (event: E) => void

/** Listeners are called in order; what one throws is given to `failed`, and nobody else suffers. */
export class Emitter {
  readonly #listeners = new Map<keyof ClientEvents, Set<Listener<never>>>()
  readonly #failed: (error: unknown, name: string) => void

  constructor(failed: (error: unknown, name: string) => void) {
    this.#failed = failed
  }

  /** Returns what takes the listener off again. */
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  emit<Name extends keyof ClientEvents>(name: Name, event: ClientEvents[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        ;(listener as Listener<ClientEvents[Name]>)(event)
      } catch (error) {
        this.#failed(error, name)
      }
    }
  }
}
