import type { Clock } from '../base/clock.ts'
import type { Connection } from './connection.ts'
import type { DriverChannel, DriverConnection } from './driver/driver.ts'
import { closedByUser, WarrenError } from './errors.ts'
import type { Settings } from './options.ts'
import { within } from './waiting.ts'

/**
 * Channels for single operations, kept open for the next one. At most `channelsMax` are in use; further operations wait
 * for their turn. An operation that the broker refuses costs its channel and no other.
 */
export class ChannelPool {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #settings: Settings
  #idle: DriverChannel[] = []
  #inUse = 0
  readonly #waiting: (() => void)[] = []

  constructor(parts: { connection: Connection; clock: Clock; settings: Settings }) {
    this.#connection = parts.connection
    this.#clock = parts.clock
    this.#settings = parts.settings
  }

  get inUse(): number {
    return this.#inUse
  }

  /** `doing` is how the error of a timeout names it. Rejects with a `WarrenError`. */
  run<T>(doing: string, operation: (channel: DriverChannel) => Promise<T>): Promise<T> {
    return this.#within(doing, (state) => this.#run(operation, state))
  }

  /** The same for what may be done twice: when the connection is lost under it, it is done again on the next one, in the same time. */
  runAgain<T>(doing: string, operation: (channel: DriverChannel) => Promise<T>): Promise<T> {
    return this.#within(doing, async (state) => {
      for (;;) {
        try {
          return await this.#run(operation, state)
        } catch (error) {
          if (state.isLate || !isLost(error)) throw error
          // Its channels may hear of it before the connection does.
          await new Promise<void>((resolve) => void this.#clock.soon(resolve))
        }
      }
    })
  }

  #within<T>(doing: string, work: (state: { isLate: boolean }) => Promise<T>): Promise<T> {
    const ms = this.#settings.operationTimeoutMs
    const state = { isLate: false }
    return within(this.#clock, ms, work(state), () => {
      state.isLate = true
      const cause = this.#connection.lastError ?? undefined
      const mend =
        cause === undefined
          ? 'Allow more time with `operationTimeoutMs`, or look why the broker is slow.'
          : `There is no connection: ${cause.message}`
      return new WarrenError('OPERATION_TIMEOUT', `${doing} took longer than ${ms} ms.`, { mend, cause })
    })
  }

  async #run<T>(operation: (channel: DriverChannel) => Promise<T>, state: { isLate: boolean }): Promise<T> {
    await this.#turn()
    try {
      const connection = await this.#connection.ready()
      if (state.isLate) throw closedByUser('An operation that had taken too long went on')
      const channel = await this.#take(connection)
      try {
        return await operation(channel)
      } finally {
        if (!state.isLate && channel.isOpen) this.#idle.push(channel)
        else void channel.close()
      }
    } finally {
      this.#inUse--
      this.#waiting.shift()?.()
    }
  }

  #turn(): Promise<void> | undefined {
    if (this.#inUse < this.#settings.channelsMax) {
      this.#inUse++
      return undefined
    }
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        this.#inUse++
        resolve()
      })
    })
  }

  #take(connection: DriverConnection): Promise<DriverChannel> | DriverChannel {
    this.#idle = this.#idle.filter((channel) => channel.isOpen)
    return this.#idle.pop() ?? connection.openChannel(deaf)
  }
}

/** What happens to these channels, their operations say. */
const deaf = { closed: () => undefined, confirmed: () => undefined, returned: () => undefined }

/** By no fault of the operation: cut, or the broker is being stopped (320). */
function isLost(error: unknown): boolean {
  if (!(error instanceof WarrenError)) return false
  return (
    error.code === 'CONNECTION_LOST' || (error.code === 'CONNECTION_CLOSED' && error.replyCode === connectionForced)
  )
}

const connectionForced = 320
