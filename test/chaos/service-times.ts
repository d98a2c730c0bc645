/** How long a fault keeps messages from getting through, by the kind of the fault. */
import { appendFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { sharedNow } from '../crash/history.ts'
import { markerExchange } from '../crash/stage.ts'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'
import type { ClusterNode } from '../support/cluster/cluster-processes.ts'

/** A message that is not answered is given up after so long, in milliseconds, and another one sent. */
const answerMsMax = 5_000
/** What goes beyond twice this between two looks is time without a processor, in milliseconds. */
const tickMs = 100
/** Between tries to connect. */
const retryMs = 50

interface Outage {
  readonly fault: string
  readonly ms: number
  /** The fault was healed before. */
  readonly isAfterHealing: boolean
}

export class ServiceTimes {
  readonly #folder: string
  readonly #outages: Outage[] = []
  #isOver = false
  /** Faults that the others did not get over in time. */
  readonly lateOnes: string[] = []

  /** `folder` is where a line is written for whatever happens, so that histories and logs can be compared with it. */
  constructor(folder: string) {
    this.#folder = folder
  }

  note(text: string): void {
    const line = `${sharedNow().toFixed(0)} ${new Date().toISOString()} ${text}\n`
    appendFileSync(`${this.#folder}/timeline.log`, line)
  }

  late(fault: string, ms: number): void {
    this.lateOnes.push(`${fault}: not within ${ms} ms`)
    this.note(`LATE: ${fault}`)
  }

  /** From now until a message to queues of every shard is confirmed through each of the nodes, in milliseconds. */
  async watch(fault: string, nodes: readonly ClusterNode[], isHealed: () => boolean): Promise<void> {
    const began = sharedNow()
    await Promise.all(nodes.map((node) => this.untilThrough(node)))
    if (this.#isOver) return
    const ms = Math.round(sharedNow() - began)
    this.#outages.push({ fault, ms, isAfterHealing: isHealed() })
    this.note(`service after ${fault}: ${ms} ms${isHealed() ? ', healed before' : ''}`)
  }

  /** Nothing is watched any more. */
  end(): void {
    this.#isOver = true
  }

  /** Resolves as soon as a message to queues of every shard is confirmed through a node, or at the end. */
  async untilThrough(node: ClusterNode): Promise<void> {
    while (!this.#isOver && !(await getsThrough(addressOf(node), answerMsMax))) await pause(retryMs)
  }

  /** Whether that comes within `ms`, which do not pass while this process gets no processor: nor do the nodes then. */
  async comesWithin(ms: number, service: Promise<void>): Promise<boolean> {
    let hasCome = false
    void service.then(() => {
      hasCome = true
    })
    let last = sharedNow()
    for (let passed = 0; passed < ms && !hasCome; last = sharedNow()) {
      await Promise.race([service, pause(tickMs)])
      passed += Math.min(sharedNow() - last, 2 * tickMs)
    }
    return hasCome
  }

  /** A line for each kind of fault: how often, then the middle and the longest outage. */
  get lines(): string[] {
    const kinds = [...new Set(this.#outages.map(({ fault }) => fault))].sort()
    return kinds.map((kind) => {
      const all = this.#outages.filter(({ fault }) => fault === kind)
      const times = all.map(({ ms }) => ms).sort((a, b) => a - b)
      const healed = all.filter(({ isAfterHealing }) => isAfterHealing).length
      return `${kind}: ${all.length} times, ${times[times.length >> 1]} ms, at most ${times.at(-1)} ms; ${healed} healed before`
    })
  }
}

/** Whether a message to queues of every shard is confirmed in time. */
export async function getsThrough(address: Address, ms: number): Promise<boolean> {
  const abort = new AbortController()
  const late = pause(ms, false, { signal: abort.signal, ref: false }).catch(() => false)
  const isThrough = await Promise.race([probe(address, ms, abort.signal), late])
  abort.abort()
  return isThrough
}

async function probe(address: Address, ms: number, signal: AbortSignal): Promise<boolean> {
  let client: RawClient | null = null
  try {
    client = await RawClient.withChannel(address)
    if (signal.aborted) return false
    const found = client
    signal.addEventListener('abort', () => found.destroy(), { once: true })
    await client.call(1, 'confirm.select')
    client.publish(1, { exchange: markerExchange, routingKey: '', body: 'probe', properties: { deliveryMode: 2 } })
    const answer = await client.next(1, ms)
    return answer.name === 'basic.ack'
  } catch {
    return false
  } finally {
    client?.destroy()
  }
}

export function addressOf({ broker: { host, port, user, password } }: ClusterNode): Address {
  return { host, port, user, password }
}
