import type { AmqpAddress } from '../wire/amqp-url.ts'
import * as frames from '../wire/method-frames.ts'
import { MethodId } from '../wire/method-ids.ts'
import { RawConnection } from '../wire/raw-connection.ts'

export interface TopologyOptions {
  readonly queues: number
  readonly isDurable: boolean
  readonly isFanout: boolean
  readonly frameBytesMax: number
  readonly queueArguments?: frames.Table
  /** Beside the others a queue for what dies in them. */
  readonly hasDeadLetters?: boolean
}

/** The queues and the exchange of one row: made before it, deleted after it whatever has happened. */
export class Topology {
  readonly queues: readonly string[]
  /** Empty: the default exchange. */
  readonly exchange: string
  /** The queue for what dies; empty: none. */
  readonly deadLetters: string
  readonly serverName: string
  readonly #address: AmqpAddress
  readonly #frameBytesMax: number

  static async declare(address: AmqpAddress, runId: number, options: TopologyOptions): Promise<Topology> {
    const prefix = `bench-${runId.toString(16)}`
    const names = Array.from({ length: options.queues }, (_, index) => `${prefix}-${index}`)
    const exchange = options.isFanout ? prefix : ''
    const { frameBytesMax } = options
    const connection = await RawConnection.open(address, { name: 'bench control', frameBytesMax })
    const deadLetters = options.hasDeadLetters === true ? `${prefix}-dead` : ''
    const topology = new Topology(address, names, exchange, deadLetters, connection.serverName, frameBytesMax)
    try {
      await topology.#declare(connection, options)
    } catch (error) {
      await topology.delete()
      throw error
    } finally {
      await connection.close()
    }
    return topology
  }

  private constructor(
    address: AmqpAddress,
    queues: readonly string[],
    exchange: string,
    deadLetters: string,
    serverName: string,
    frameBytesMax: number,
  ) {
    this.#address = address
    this.queues = queues
    this.exchange = exchange
    this.deadLetters = deadLetters
    this.serverName = serverName
    this.#frameBytesMax = frameBytesMax
  }

  async delete(): Promise<void> {
    const options = { name: 'bench control', frameBytesMax: this.#frameBytesMax }
    const connection = await RawConnection.open(this.#address, options)
    try {
      const { channel } = connection
      for (const queue of this.#allQueues()) {
        await connection.call(frames.queueDelete(channel, queue), MethodId.QueueDeleteOk)
      }
      if (this.exchange !== '') {
        await connection.call(frames.exchangeDelete(channel, this.exchange), MethodId.ExchangeDeleteOk)
      }
    } finally {
      await connection.close()
    }
  }

  /** How many messages of a queue are ready. */
  async countReady(queue: string): Promise<number> {
    const connection = await RawConnection.open(this.#address, {
      name: 'bench look',
      frameBytesMax: this.#frameBytesMax,
    })
    try {
      const frame = frames.queueDeclarePassive(connection.channel, queue)
      const answer = await connection.call(frame, MethodId.QueueDeclareOk)
      return answer.readUInt32BE(5 + (answer[4] ?? 0))
    } finally {
      await connection.close()
    }
  }

  #allQueues(): string[] {
    return this.deadLetters === '' ? [...this.queues] : [...this.queues, this.deadLetters]
  }

  async #declare(connection: RawConnection, { isDurable, queueArguments = {} }: TopologyOptions): Promise<void> {
    const { channel } = connection
    if (this.deadLetters !== '') {
      await connection.call(frames.queueDeclare(channel, this.deadLetters, isDurable), MethodId.QueueDeclareOk)
    }
    const toDead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': this.deadLetters }
    const all = this.deadLetters === '' ? queueArguments : { ...queueArguments, ...toDead }
    if (this.exchange !== '') {
      await connection.call(frames.exchangeDeclare(channel, this.exchange, 'fanout'), MethodId.ExchangeDeclareOk)
    }
    for (const queue of this.queues) {
      await connection.call(frames.queueDeclare(channel, queue, isDurable, all), MethodId.QueueDeclareOk)
      if (this.exchange === '') continue
      await connection.call(frames.queueBind(channel, queue, this.exchange), MethodId.QueueBindOk)
    }
  }
}
