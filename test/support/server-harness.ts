/** A server with a fake broker, in memory, with a clock that the test moves. */
import { ManualClock } from '../../src/base/clock.ts'
import type { LogFields, Logger } from '../../src/base/logger.ts'
import { MemoryNetwork } from '../../src/base/memory-network.ts'
import { SeededRandom } from '../../src/base/random.ts'
import type { BrokerCommands } from '../../src/broker/commands.ts'
import { defaultServerLimits, type ServerLimits } from '../../src/server/limits.ts'
import { Server } from '../../src/server/listener.ts'
import { FakeBroker } from './fake-broker.ts'
import { type LoginOptions, MemoryClient } from './memory-client.ts'

export class ServerHarness<B extends BrokerCommands = FakeBroker> {
  readonly clock: ManualClock
  readonly network: MemoryNetwork
  readonly broker: B
  readonly server: Server
  /** Lines of the log, level first. */
  readonly log: string[] = []

  constructor(broker: B, limits: Partial<ServerLimits> = {}, clock = new ManualClock()) {
    this.clock = clock
    this.network = new MemoryNetwork(clock)
    this.broker = broker
    this.server = new Server({
      broker,
      network: this.network,
      clock: this.clock,
      random: new SeededRandom(1),
      logger: this.#logger(),
      limits: { ...defaultServerLimits, ...limits },
    })
  }

  /** A client that has said nothing yet. */
  connect(remoteAddress = '127.0.0.1'): MemoryClient {
    const [near, far] = this.network.pair(5672, remoteAddress)
    const client = new MemoryClient(near)
    this.server.accept(far)
    return client
  }

  login(options: LoginOptions = {}): Promise<MemoryClient> {
    return this.connect().login(options)
  }

  /** A client with channel 1 open. */
  async channel(options: LoginOptions = {}): Promise<MemoryClient> {
    return (await this.login(options)).openChannel()
  }

  #logger(): Logger {
    const line =
      (level: string) =>
      (fields: LogFields, message: string): void =>
        void this.log.push(`${level} ${message}${fields['error'] instanceof Error ? `: ${fields['error'].stack}` : ''}`)
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  }
}

export function fakeHarness(limits: Partial<ServerLimits> = {}): ServerHarness {
  return new ServerHarness(new FakeBroker(), limits)
}
