/**
 * What was declared through this client, in order: each is declared once on first use, and all of them again whenever
 * the connection came back, before anybody uses it.
 */
import type { ChannelPool } from './channel-pool.ts'
import type {
  BindingDeclaration,
  DriverChannel,
  DriverConnection,
  ExchangeDeclaration,
  QueueDeclaration,
} from './driver/driver.ts'
import { WarrenError } from './errors.ts'

export type Definition =
  | { readonly kind: 'queue'; readonly name: string; readonly declaration: QueueDeclaration }
  | { readonly kind: 'exchange'; readonly name: string; readonly declaration: ExchangeDeclaration }
  | { readonly kind: 'binding'; readonly to: 'queue' | 'exchange'; readonly binding: BindingDeclaration }

export class Topology {
  readonly #pool: ChannelPool
  readonly #failed: (error: WarrenError, doing: string) => void
  readonly #declared = new Map<string, { definition: Definition; done: Promise<void> }>()

  constructor(pool: ChannelPool, failed: (error: WarrenError, doing: string) => void) {
    this.#pool = pool
    this.#failed = failed
  }

  /** Changes whenever something has to be declared that was declared before. */
  version = 0

  /** What has been declared, in order. */
  get definitions(): readonly Definition[] {
    return [...this.#declared.values()].map(({ definition }) => definition)
  }

  /** Declares it unless that has been done, on as many connections as it takes. Rejects with what the broker says; the next call tries again. */
  ensure(definition: Definition): Promise<void> {
    const key = keyOf(definition)
    const known = this.#declared.get(key)
    // With other properties, the broker says what it thinks of them.
    if (known !== undefined && isSame(known.definition, definition)) return known.done
    const done = this.#pool.runAgain(`The declaration of ${key}`, (channel) => declare(channel, definition))
    this.#declared.set(key, { definition, done })
    done.catch(() => {
      if (this.#declared.get(key)?.done !== done) return
      if (known === undefined) this.#declared.delete(key)
      else this.#declared.set(key, known)
    })
    return done
  }

  /** All of them, in order. */
  async ensureAll(definitions: readonly Definition[]): Promise<void> {
    for (const definition of definitions) await this.ensure(definition)
  }

  /** Somebody has deleted it: declared again at the next use. Bindings of a queue go with it. */
  forget(definitions: readonly Definition[]): void {
    for (const definition of definitions) this.#declared.delete(keyOf(definition))
    this.version++
  }

  /** It is not there any more, and neither are its bindings. */
  forgetQueue(name: string): void {
    const gone = this.definitions.filter((definition) =>
      definition.kind === 'binding'
        ? definition.to === 'queue' && definition.binding.destination === name
        : definition.kind === 'queue' && definition.name === name,
    )
    if (gone.length > 0) this.forget(gone)
  }

  /** A queue of that name, whatever its properties; a durable one is made when there is none. */
  async ensureSomeQueue(name: string, declaration: QueueDeclaration): Promise<void> {
    const definition: Definition = { kind: 'queue', name, declaration }
    try {
      await this.ensure(definition)
    } catch (error) {
      const exists = error instanceof WarrenError && error.replyCode === 406
      if (!exists) throw error
      const done = this.#pool.runAgain(`The question for ${keyOf(definition)}`, async (channel) => {
        await channel.checkQueue(name)
      })
      await done
    }
  }

  /** On a new connection. Never rejects: what fails is told, the others are declared. */
  async restore(connection: DriverConnection): Promise<void> {
    let channel: DriverChannel | null = null
    for (const [key, { definition }] of [...this.#declared]) {
      try {
        channel ??= await connection.openChannel(deaf)
        await declare(channel, definition)
      } catch (error) {
        if (!(error instanceof WarrenError)) throw error
        // The connection is gone again: whoever is next does all of it.
        if (error.code !== 'CHANNEL_CLOSED') return
        this.#declared.delete(key)
        this.version++
        this.#failed(error, `declaring ${key} again`)
        channel = null
      }
    }
    await channel?.close()
  }
}

const deaf = { closed: () => undefined, confirmed: () => undefined, returned: () => undefined }

/** How messages name it; the same for two definitions of one thing. */
export function keyOf(definition: Definition): string {
  if (definition.kind !== 'binding') return `${definition.kind} '${definition.name}'`
  const { source, destination, bindingKey, arguments: table } = definition.binding
  const more = Object.keys(table).length === 0 ? '' : ` ${Object.entries(table).map(String).join(' ')}`
  return `binding '${source}' → ${definition.to} '${destination}' by '${bindingKey}'${more}`
}

export function isSame(one: Definition, other: Definition): boolean {
  if (one === other) return true
  return textOf(one) === textOf(other)
}

function textOf(definition: Definition): string {
  return JSON.stringify(definition, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
}

async function declare(channel: DriverChannel, definition: Definition): Promise<void> {
  if (definition.kind === 'queue') await channel.declareQueue(definition.name, definition.declaration)
  else if (definition.kind === 'exchange') await channel.declareExchange(definition.name, definition.declaration)
  else if (definition.to === 'queue') await channel.bindQueue(definition.binding)
  else await channel.bindExchange(definition.binding)
}
