import type { FieldTable } from '../../amqp/field-table.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Exchange } from './exchange.ts'
import { canonicalText } from './field-values.ts'
import type { StoredRecord } from './live-records.ts'

/** What a binding leads to. */
export type Destination = DeclaredQueue | Exchange

/** From an exchange to a queue or another exchange. Unique by source, destination, key and arguments. */
export class Binding {
  readonly kind = 'binding'
  readonly id: number
  readonly source: Exchange
  readonly destination: Destination
  readonly key: string
  readonly arguments: FieldTable
  /** Tells it from the other bindings of its source. */
  readonly identity: string
  /** Its place in the list of a matcher; kept by that list. */
  slot = 0
  stored: StoredRecord | null = null

  constructor(id: number, ends: BindingEnds) {
    this.id = id
    this.source = ends.source
    this.destination = ends.destination
    this.key = ends.key
    this.arguments = ends.arguments
    this.identity = bindingIdentity(ends)
  }

  /** One of its ends has been deleted, and so is it. */
  get isGone(): boolean {
    return this.source.isGone || this.destination.isGone
  }

  /** Lives on after a restart as long as both its ends do. */
  get isDurable(): boolean {
    return this.source.isDurable && this.destination.isDurable
  }
}

export interface BindingEnds {
  readonly source: Exchange
  readonly destination: Destination
  readonly key: string
  readonly arguments: FieldTable
}

/** No two bindings of one source have the same. The arguments' length keeps them apart from the key. */
export function bindingIdentity({ destination, key, arguments: table }: Omit<BindingEnds, 'source'>): string {
  const text = table.fields.size === 0 ? '' : canonicalText(table)
  return `${destination.id} ${text.length} ${text}${key}`
}

/** The bindings that lead to something. Most queues have none, and there may be very many queues. */
export class IncomingBindings implements Iterable<Binding> {
  #bindings: Set<Binding> | null = null

  get size(): number {
    return this.#bindings?.size ?? 0
  }

  [Symbol.iterator](): Iterator<Binding> {
    return (this.#bindings ?? nothing)[Symbol.iterator]()
  }

  add(binding: Binding): void {
    this.#bindings ??= new Set()
    this.#bindings.add(binding)
  }

  delete(binding: Binding): void {
    this.#bindings?.delete(binding)
  }
}

const nothing: ReadonlySet<Binding> = new Set()

/** Bindings in no order; adding and removing cost the same however many there are. */
export class BindingList {
  readonly items: Binding[] = []

  add(binding: Binding): void {
    binding.slot = this.items.length
    this.items.push(binding)
  }

  /** The last one takes the place of the removed one. */
  remove(binding: Binding): void {
    const last = this.items.pop()
    if (last === undefined || last === binding) return
    this.items[binding.slot] = last
    last.slot = binding.slot
  }
}

/** Takes it out of both of its ends. */
export function removeBinding(binding: Binding): void {
  const { source, destination } = binding
  source.outgoing.delete(binding.identity)
  source.matcher.remove(binding)
  destination.incoming.delete(binding)
  source.home.bindingCount--
  if (destination.isGone) source.goneBindings--
  if (!binding.isGone) source.home.version++
}
