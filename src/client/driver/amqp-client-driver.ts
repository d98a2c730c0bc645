import type { Clock } from '../../base/clock.ts'
import { connectFailed, WarrenError } from '../errors.ts'
import type { ByteStream, Dial } from './byte-stream.ts'
import type { ConnectionEvents, ConnectTarget, Driver, DriverConnection } from './driver.ts'
import { LibraryConnection } from './library-connection.ts'

/** The driver there is: `@cloudamqp/amqp-client` over whatever `dial` opens. */
export class AmqpClientDriver implements Driver {
  readonly #clock: Clock
  readonly #dial: Dial

  constructor(parts: { clock: Clock; dial: Dial }) {
    this.#clock = parts.clock
    this.#dial = parts.dial
  }

  async connect(target: ConnectTarget, events: ConnectionEvents, signal: AbortSignal): Promise<DriverConnection> {
    const stream = await this.#open(target, signal)
    let isConnected = false
    const connection = new LibraryConnection(target, stream, {
      clock: this.#clock,
      events: {
        ...events,
        closed: (error) => {
          if (isConnected) events.closed(error)
        },
      },
    })
    const abort = (): void => connection.destroy(aborted(signal, target))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    try {
      await connection.connect()
      isConnected = true
    } finally {
      signal.removeEventListener('abort', abort)
    }
    return {
      product: connection.product,
      isWarren: connection.isWarren,
      channelsMax: connection.channelsMax,
      openChannel: (channelEvents) => connection.openChannel(channelEvents),
      close: (msMax) => connection.closeWithin(msMax),
      destroy: (error) => connection.destroy(error),
    }
  }

  async #open(target: ConnectTarget, signal: AbortSignal): Promise<ByteStream> {
    try {
      return await this.#dial(target, signal)
    } catch (error) {
      if (signal.aborted) throw aborted(signal, target)
      throw connectFailed(error, target.label)
    }
  }
}

function aborted(signal: AbortSignal, target: ConnectTarget): WarrenError {
  if (signal.reason instanceof WarrenError) return signal.reason
  const mend = 'Check that a broker answers there, or allow more time with `connectTimeoutMs`.'
  return new WarrenError('CONNECT_TIMEOUT', `${target.label} did not answer in time.`, { mend, cause: signal.reason })
}
