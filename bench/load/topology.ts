import type { AmqpAddress } from '../wire/amqp-url.ts'
import * as frames from '../wire/method-frames.ts'
import { MethodId } from '../wire/method-ids.ts'
import { RawConnection } from '../wire/raw-connection.ts'

export interface TopologyOptions {
  readonly queues: number
  readonly isDurable: boolean
  readonly isFanout: boolean
  readonly frameBytesMax: number
}

/** The queues and the exchange of one row: made before it, deleted after it whatever has happened. */
export class Topology {
  readonly queues: readonly string[]
  /** Empty: the default exchange. */
  readonly exchange: string
  readonly serverName: string
  readonly #address: AmqpAddress
  readonly #frameBytesMax: number

  static async declare(address: AmqpAddress, runId: number, options: TopologyOptions): Promise<Topology> {
    const prefix = `bench-${runId.toString(16)}`
    const names = Array.from({ length: options.queues }, (_, index) => `${prefix}-${index}`)
    const exchange = options.isFanout ? prefix : ''
    const { frameBytesMax } = options
    const connection = await RawConnection.open(address, { name: 'bench control', frameBytesMax })
    const topology = new Topology(address, names, exchange, connection.serverName, frameBytesMax)
    try {
      await topology.#declare(connection, options.isDurable)
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
    serverName: string,
    frameBytesMax: number,
  ) {
    this.#address = address
    this.queues = queues
    this.exchange = exchange
    this.serverName = serverName
    this.#frameBytesMax = frameBytesMax
  }

  async delete(): Promise<void> {
    const options = { name: 'bench control', frameBytesMax: this.#frameBytesMax }
    const connection = await RawConnection.open(this.#address, options)
    try {
      const { channel } = connection
      for (const queue of this.queues) {
        await connection.call(frames.queueDelete(channel, queue), MethodId.QueueDeleteOk)
      }
      if (this.exchange !== '') {
        await connection.call(frames.exchangeDelete(channel, this.exchange), MethodId.ExchangeDeleteOk)
      }
    } finally {
      await connection.close()
    }
  }

  async #declare(connection: RawConnection, isDurable: boolean): Promise<void> {
    const { channel } = connection
    if (this.exchange !== '') {
      await connection.call(frames.exchangeDeclare(channel, this.exchange, 'fanout'), MethodId.ExchangeDeclareOk)
    }
    for (const queue of this.queues) {
      await connection.call(frames.queueDeclare(channel, queue, isDurable), MethodId.QueueDeclareOk)
      if (this.exchange === '') continue
      await connection.call(frames.queueBind(channel, queue, this.exchange), MethodId.QueueBindOk)
    }
  }
}
