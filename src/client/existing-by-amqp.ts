/**
 * What AMQP alone tells of what exists. A passive declaration says whether there is a queue or exchange; declaring it again
 * changes nothing and is refused (406) with the first thing that differs. Probing again with what exists in its place
 * gives the next one, until the broker agrees. Of bindings AMQP tells nothing.
 *
 * Each refusal costs a channel of the pool. A queue that goes between the two questions is made by the second; and a
 * queue with `x-expires` counts as used.
 */
import type { ChannelPool } from './channel-pool.ts'
import type { DriverChannel, ExchangeDeclaration, QueueDeclaration } from './driver/driver.ts'
import type { Table, TableValue } from './driver/properties.ts'
import { WarrenError } from './errors.ts'
import type { Difference, Finding } from './plan-items.ts'
import type { Definition } from './topology.ts'

/** A source of knowledge about what exists. Rejects when the broker cannot be asked at all. */
export interface Existing {
  find(definition: Definition, what: string): Promise<Finding>
}

/** So many differences of one thing are found at most. */
const differencesMax = 32

export class ExistingByAmqp implements Existing {
  readonly #pool: ChannelPool

  constructor(pool: ChannelPool) {
    this.#pool = pool
  }

  find(definition: Definition, what: string): Promise<Finding> {
    switch (definition.kind) {
      case 'queue':
        return this.#queue(definition.name, definition.declaration, what)
      case 'exchange':
        return this.#exchange(definition.name, definition.declaration, what)
      case 'binding':
        return Promise.resolve({
          state: 'unknown',
          reason: "AMQP does not tell; give the URL of the broker's HTTP API",
        })
    }
  }

  #queue(name: string, declaration: QueueDeclaration, what: string): Promise<Finding> {
    return this.#probe(what, declaration, {
      check: async (channel) => void (await channel.checkQueue(name)),
      declare: async (channel, probed) => void (await channel.declareQueue(name, probed)),
    })
  }

  #exchange(name: string, declaration: ExchangeDeclaration, what: string): Promise<Finding> {
    return this.#probe(what, declaration, {
      check: (channel) => channel.checkExchange(name),
      declare: (channel, probed) => channel.declareExchange(name, probed),
    })
  }

  async #probe<D extends AnyDeclaration>(what: string, wanted: D, ask: Questions<D>): Promise<Finding> {
    const missing = await this.#refusal(what, ask.check)
    if (missing?.replyCode === 404) return { state: 'create' }
    if (missing !== null) return unknown(missing)
    const differences: Difference[] = []
    let probed = wanted
    while (differences.length < differencesMax) {
      const refusal = await this.#refusal(what, (channel) => ask.declare(channel, probed))
      if (refusal === null) break
      const next = differenceOf(refusal, wanted)
      if (next === null) return differences.length > 0 ? { state: 'differs', differences } : unknown(refusal)
      if (differences.some(({ name }) => name === next.name)) break
      differences.push(next)
      probed = withCurrent(probed, next)
    }
    return differences.length === 0 ? { state: 'same' } : { state: 'differs', differences }
  }

  /** What the broker says against it; null when nothing. Rejects with what has nothing to do with the question. */
  async #refusal(what: string, question: (channel: DriverChannel) => Promise<void>): Promise<WarrenError | null> {
    try {
      await this.#pool.run(`The question for ${what}`, question)
      return null
    } catch (error) {
      // An exchange type that the broker does not know ends the connection (503); it is the answer all the same.
      if (error instanceof WarrenError && (error.code === 'CHANNEL_CLOSED' || error.replyCode === 503)) return error
      throw error
    }
  }
}

type AnyDeclaration = QueueDeclaration | ExchangeDeclaration

interface Questions<D> {
  readonly check: (channel: DriverChannel) => Promise<void>
  readonly declare: (channel: DriverChannel, declaration: D) => Promise<void>
}

function unknown({ replyCode, replyText }: WarrenError): Finding {
  return { state: 'unknown', reason: `the broker does not say (${replyCode} ${replyText})` }
}

const inequivalent = /inequivalent arg '([^']+)' for .*: received (.*) but current is (.*)$/s

/** Null for a refusal that is not about a difference. */
function differenceOf({ replyCode, replyText }: WarrenError, wanted: AnyDeclaration): Difference | null {
  // The broker says no more than this of a queue that is exclusive or should be.
  if (replyCode === 405 && 'isExclusive' in wanted && /exclusive property value/.test(replyText)) {
    return { name: 'exclusive', current: String(!wanted.isExclusive), wanted: String(wanted.isExclusive) }
  }
  const [, name, received = '', current = ''] = inequivalent.exec(replyText) ?? []
  return name === undefined ? null : { name, current: shownValue(current), wanted: shownValue(received) }
}

/** As `'5'`, as `the value '5' of type 'signedint'`, or as `none`. */
function shownValue(text: string): string | null {
  if (text === 'none') return null
  const [, typed] = /^the value '(.*)' of type '[^']*'$/s.exec(text) ?? []
  return typed ?? text.replace(/^'(.*)'$/s, '$1')
}

const flags: Readonly<Record<string, string>> = {
  durable: 'isDurable',
  auto_delete: 'isAutoDelete',
  internal: 'isInternal',
  exclusive: 'isExclusive',
}

/** What was wanted, but for this, which is as it exists. */
function withCurrent<D extends AnyDeclaration>(declaration: D, { name, current }: Difference): D {
  const flag = flags[name]
  if (flag !== undefined) return { ...declaration, [flag]: current === 'true' }
  if (name === 'type') return { ...declaration, type: current ?? '' }
  const table: { [key: string]: TableValue } = { ...declaration.arguments }
  delete table[name]
  if (current !== null) table[name] = typed(current, declaration.arguments, name)
  return { ...declaration, arguments: table }
}

/** The broker shows values as text: a number where one was wanted, or where it can be nothing else. */
function typed(text: string, wanted: Table, name: string): TableValue {
  if (text === 'true' || text === 'false') return text === 'true'
  const isNumber = typeof wanted[name] === 'number' || (wanted[name] === undefined && /^-?\d+$/.test(text))
  return isNumber ? Number(text) : text
}
