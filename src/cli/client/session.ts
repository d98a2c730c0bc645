/** One connection with one channel, for the time of one command. The first thing that goes wrong ends it. */
import { targetOf } from '../../client/address.ts'
import { AmqpClientDriver } from '../../client/driver/amqp-client-driver.ts'
import type { ChannelEvents, DriverChannel, DriverConnection, ReturnedMessage } from '../../client/driver/driver.ts'
import { nodeDial } from '../../client/driver/node-dial.ts'
import { connectionLost, type WarrenError } from '../../client/errors.ts'
import { ExitCode } from '../exit-code.ts'
import { CommandFailure, misuse } from './command-failure.ts'
import { brokerUrl, type ConnectionFlags, tlsOptions } from './connection-options.ts'
import type { Run } from './run.ts'

const heartbeatSeconds = 60
const closeMsMax = 5_000

/** What a publisher hears. */
export interface PublishEvents {
  confirmed(sequence: number, isMultiple: boolean, isNack: boolean): void
  returned(message: ReturnedMessage): void
}

const noEvents: PublishEvents = { confirmed: () => {}, returned: () => {} }

export class Session {
  readonly channel: DriverChannel
  /** Where, for people: without user and password. */
  readonly label: string
  /** Never resolves; rejects when channel or connection end by themselves. */
  readonly failed: Promise<never>
  readonly #connection: DriverConnection

  /** Rejects with a `WarrenError` or `CommandFailure`. */
  static async open(command: string, flags: ConnectionFlags, run: Run, events = noEvents): Promise<Session> {
    const target = targetOf(brokerUrl(flags), { name: `warren ${command}`, heartbeatSeconds })
    if (target.protocol !== 'amqp' && target.protocol !== 'amqps') {
      throw misuse(`--url has the protocol '${target.protocol}:'; give amqp:// or amqps://`)
    }
    const failure = new Failure()
    const driver = new AmqpClientDriver({ clock: run.clock, dial: nodeDial(tlsOptions(flags)) })
    const attempt = new AbortController()
    const timer = run.clock.after(flags.timeout * 1000, () => attempt.abort())
    const stopped = (): void => attempt.abort()
    run.stop.signal.addEventListener('abort', stopped)
    try {
      const connection = await driver.connect(target, connectionEvents(failure, target.label, run), attempt.signal)
      const channel = await connection.openChannel(channelEvents(failure, events))
      return new Session(connection, channel, { label: target.label, failed: failure.promise })
    } catch (error) {
      if (!run.stop.isMade) throw error
      throw new CommandFailure(run.stop.exitCode || ExitCode.failed, `stopped before ${target.label} had answered`)
    } finally {
      timer.cancel()
      run.stop.signal.removeEventListener('abort', stopped)
    }
  }

  private constructor(
    connection: DriverConnection,
    channel: DriverChannel,
    parts: { label: string; failed: Promise<never> },
  ) {
    this.#connection = connection
    this.channel = channel
    this.label = parts.label
    this.failed = parts.failed
  }

  /** In order; the broker takes back what was not acknowledged. Never rejects. */
  async close(): Promise<void> {
    await this.#connection.close(closeMsMax)
  }
}

/** Opens a session, does the work, closes it whatever happens. */
export async function withSession<T>(
  command: string,
  flags: ConnectionFlags,
  run: Run,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open(command, flags, run)
  try {
    return await Promise.race([work(session), session.failed])
  } finally {
    await session.close()
  }
}

class Failure {
  readonly promise: Promise<never>
  fail: (error: WarrenError) => void = () => {}

  constructor() {
    this.promise = new Promise((_, reject) => {
      this.fail = reject
    })
    this.promise.catch(() => undefined)
  }
}

function connectionEvents(failure: Failure, label: string, { printer }: Run) {
  return {
    closed: (error: WarrenError | null) => failure.fail(error ?? connectionLost(label, null)),
    blocked: (reason: string) => printer.note(`warren: ${label} takes no messages for now (${reason}); waiting`),
    unblocked: () => printer.note(`warren: ${label} takes messages again`),
  }
}

function channelEvents(failure: Failure, events: PublishEvents): ChannelEvents {
  return {
    confirmed: events.confirmed,
    returned: events.returned,
    closed: (error) => {
      if (error !== null) failure.fail(error)
    },
  }
}
