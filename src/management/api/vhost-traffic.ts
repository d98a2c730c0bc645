import type { OpenConnection } from '../../broker/connection-directory.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { Counted } from '../../broker/statistics/recent.ts'
import { trafficColumns } from '../statistics/columns.ts'
import { details, type Span } from './rates.ts'

interface Traffic {
  bytesRead: number
  bytesWritten: number
  readonly places: Counted[]
}

/** Connections between two looks at the time. */
const stepConnections = 32

/** Bytes of the connections that are open, by vhost: all connections are walked once, however many vhosts there are. */
export class VhostTraffic {
  readonly #byVhost = new Map<string, Traffic>()

  /** Yields wherever it may be interrupted. */
  static *of(connections: Iterable<OpenConnection>): Generator<void, VhostTraffic> {
    const all = new VhostTraffic()
    let seen = 0
    for (const connection of connections) {
      if (++seen % stepConnections === 0) yield
      all.#add(connection)
    }
    return all
  }

  #add({ vhost, bytesRead, bytesWritten, traffic: place }: OpenConnection): void {
    const traffic = this.#byVhost.get(vhost) ?? { bytesRead: 0, bytesWritten: 0, places: [] }
    this.#byVhost.set(vhost, traffic)
    traffic.bytesRead += bytesRead
    traffic.bytesWritten += bytesWritten
    traffic.places.push(place)
  }

  json(vhost: string, span: Span | null): JsonObject {
    const { bytesRead, bytesWritten, places } = this.#byVhost.get(vhost) ?? none
    return {
      recv_oct: bytesRead,
      recv_oct_details: details(places, trafficColumns.recv_oct, span),
      send_oct: bytesWritten,
      send_oct_details: details(places, trafficColumns.send_oct, span),
    }
  }
}

const none: Traffic = { bytesRead: 0, bytesWritten: 0, places: [] }
