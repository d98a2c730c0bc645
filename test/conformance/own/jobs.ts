/** Producers and workers of jobs, as users of a job queue have them: they reconnect, throw, hang and drop out. */
import { setTimeout as pause } from 'node:timers/promises'
import amqplib from 'amqplib'
import { Dice } from '../../crash/dice.ts'
import { reconnect } from '../../crash/reconnect.ts'
import type { Arrival, RawClient } from '../../support/amqp/raw-client.ts'
import type { BrokerProcess } from '../../support/broker-process.ts'
import { int, tagOf, text } from '../protocol/steps.ts'
import type { Ending, Job, JobHistory, Seen } from './job-history.ts'

export const jobQueue = 'jobs'
export const parkingQueue = 'jobs.parked'
/** In milliseconds, but attempts. */
export const rules = { attempts: 2, retryMsMin: 48, leaseMs: 1_500 }

export const jobArguments = {
  'x-max-priority': int(3),
  'x-retry-attempts': int(rules.attempts),
  'x-retry-delay': int(60),
  'x-retry-backoff': int(2),
  'x-retry-parking-queue': parkingQueue,
  'x-consumer-timeout': int(rules.leaseMs),
  // What a producer sends again after a lost connection is there once.
  'x-message-deduplication': true,
}

const batchJobs = 4
const batchPauseMs = 90
const groupsPerProducer = 3
/** Deliveries that are failed on purpose, by job: most none, some never succeed. */
const failures = [0, 0, 0, 0, 0, 0, 1, 2, 99]
const waitMs = 300

/** What everybody shares. */
export interface Yard {
  readonly broker: BrokerProcess
  readonly history: JobHistory
  readonly seed: number
  /** Producers end when they have confirms for all they sent, workers when `isOver`. */
  isPublishing: boolean
  isOver: boolean
  /** Jobs by id, and how often workers are to fail each. */
  readonly jobs: Map<string, { job: Job; failures: number }>
}

// ---------------------------------------------------------------- producers

export async function produce(yard: Yard, name: string): Promise<void> {
  const dice = new Dice(yard.seed + Number(name) * 7_919)
  const numbers = new Map<string, number>()
  let connection = new ProducerConnection(yard)
  for (let index = 0; yard.isPublishing; ) {
    const batch: Order[] = []
    while (batch.length < batchJobs) batch.push(order(yard, dice, `${name}-${index++}`, name, numbers))
    for (let left = batch; left.length > 0; ) {
      left = await connection.publish(left)
      if (left.length === 0) break
      connection.close()
      await pause(50)
      connection = new ProducerConnection(yard)
    }
    await pause(dice.between(0, 2 * batchPauseMs))
  }
  connection.close()
}

interface Order {
  readonly job: Job
  readonly options: amqplib.Options.Publish
}

function order(yard: Yard, dice: Dice, id: string, producer: string, numbers: Map<string, number>): Order {
  const group = dice.chance(0.6) ? `${producer}:${dice.between(1, groupsPerProducer)}` : null
  const headers: Record<string, unknown> = {}
  let notBefore = 0
  let number = 0
  if (group !== null) {
    number = numbers.get(group) ?? 0
    numbers.set(group, number + 1)
    headers['x-group'] = group
  } else if (dice.chance(0.4)) {
    const delay = dice.between(1, 900)
    notBefore = Date.now() + delay
    if (dice.chance(0.5)) headers['x-delay'] = delay
    else headers['x-deliver-at'] = notBefore
  }
  const job = { id, group, number, notBefore }
  yard.jobs.set(id, { job, failures: dice.pick(failures) })
  return { job, options: { persistent: true, messageId: id, priority: dice.between(0, 3), headers } }
}

class ProducerConnection {
  readonly #yard: Yard
  #model: Promise<amqplib.ChannelModel> | null = null
  #channel: Promise<amqplib.ConfirmChannel> | null = null
  #broken: () => void = () => {}

  constructor(yard: Yard) {
    this.#yard = yard
  }

  /** Gives those that were not confirmed, in order: the connection is of no use any more. */
  async publish(orders: readonly Order[]): Promise<Order[]> {
    const open = new Set(orders)
    try {
      this.#channel ??= this.#open()
      const channel = await this.#channel
      await new Promise<void>((resolve) => {
        this.#broken = resolve
        for (const each of orders) {
          channel.publish('', jobQueue, Buffer.from(each.job.id), each.options, (error: unknown) => {
            if (error === null || error === undefined) {
              open.delete(each)
              this.#yard.history.confirmed(each.job)
            }
            if (open.size === 0) resolve()
          })
        }
      })
    } catch {
      // It is down, or went down: what is not confirmed is sent again.
    }
    return [...open]
  }

  close(): void {
    void this.#model?.then((model) => model.close()).catch(() => {})
  }

  async #open(): Promise<amqplib.ConfirmChannel> {
    this.#model = amqplib.connect(this.#yard.broker.url)
    const model = await this.#model
    for (const event of ['error', 'close']) model.on(event, () => this.#broken())
    const channel = await model.createConfirmChannel()
    for (const event of ['error', 'close']) channel.on(event, () => this.#broken())
    return channel
  }
}

// ---------------------------------------------------------------- workers

/** One job at a time, on a connection of its own. */
export async function work(yard: Yard, number: number): Promise<void> {
  const dice = new Dice(yard.seed + number * 104_729)
  while (!yard.isOver) {
    const client = await reconnect(yard.broker)
    if (client === null) continue
    try {
      client.send(1, 'basic.qos', { prefetchCount: 1 })
      client.send(1, 'basic.consume', { queue: jobQueue, consumerTag: `worker-${number}` })
      while (!yard.isOver && (await workOnce(yard, client, dice)));
    } catch {
      // The broker went away in the middle.
    }
    client.destroy()
  }
}

/** One arrival. False: the connection is over. */
async function workOnce(yard: Yard, client: RawClient, dice: Dice): Promise<boolean> {
  const one = await client.nextOnAny(waitMs).catch(() => null)
  if (one === null) return true
  if (one.name === 'end') return false
  if (one.name === 'connection.close') {
    client.send(0, 'connection.close-ok')
    return false
  }
  if (one.name !== 'basic.deliver') return true
  const entry = yard.jobs.get(text(one) ?? '')
  if (entry === undefined) throw new Error(`there is no job '${text(one)}'`)
  const seen = yard.history.delivered(entry.job, Date.now())
  const isToFail = yard.history.failuresOf(entry.job.id) < entry.failures
  await pause(dice.between(0, 12))
  return end(yard, client, { one, seen, ending: isToFail ? failing(dice) : 'acked', dice })
}

function failing(dice: Dice): Ending {
  if (dice.chance(0.08)) return 'hung'
  return dice.chance(0.12) ? 'lost' : 'failed'
}

interface Work {
  readonly one: Arrival
  readonly seen: Seen
  readonly ending: Ending
  readonly dice: Dice
}

/** What is said to a connection that has just ended is uncertain, as all that happens near a stop. */
function end(yard: Yard, client: RawClient, { one, seen, ending, dice }: Work): boolean {
  const deliveryTag = tagOf(one)
  yard.history.ended(seen, ending, Date.now())
  if (ending === 'acked') client.send(1, 'basic.ack', { deliveryTag })
  else if (ending === 'failed') {
    const requeue = dice.chance(0.5)
    client.send(1, dice.chance(0.5) ? 'basic.nack' : 'basic.reject', { deliveryTag, requeue })
  }
  if (ending !== 'lost') return true
  client.destroy()
  return false
}
