import { assert } from '../../base/assert.ts'
import type { Log, Position } from '../../log/log.ts'
import { BrokerError } from '../errors.ts'
import type { Definitions } from './definitions.ts'
import { topologyLimits } from './limits.ts'
import type { Reclaim } from './reclaim.ts'
import { recordOf } from './record-of.ts'
import { encodeRecord, type TopologyRecord } from './records.ts'

/**
 * Where topology's changes are made: a record is appended if it is of something durable, or if other nodes must know it
 * too, and applied in any case, in this order and by nobody else. Gives out the ids.
 */
export class Journal {
  readonly #definitions: Definitions
  readonly #storesAll: boolean
  #log: Log | null = null
  #reclaim: Reclaim | null = null
  #term = 0
  #idCount = 0

  /** With `storesAll` what is transient is appended too. */
  constructor(definitions: Definitions, storesAll: boolean) {
    this.#definitions = definitions
    this.#storesAll = storesAll
  }

  /** Everything has been replayed, or followed; from now on changes can be made, with the ids of this term. */
  begin(log: Log, reclaim: Reclaim, term: number): void {
    assert(term < termsMax, 'a log can be opened about two million times')
    this.#log = log
    this.#reclaim = reclaim
    this.#term = term
    this.#idCount = 0
  }

  /** The log cannot go on, is closed, or is another node's: nothing stored can be changed until `begin`. */
  end(): void {
    this.#log = null
  }

  /** The first of `count` ids. */
  nextId(count = 1): number {
    assert(this.#idCount + count < idsPerTerm, 'one opening gives out at most 2^32 ids')
    const id = this.#term * idsPerTerm + this.#idCount + 1
    this.#idCount += count
    return id
  }

  change(record: TopologyRecord, isDurable: boolean): Position {
    const position = isDurable || this.#storesAll ? this.append(record) : 0
    this.#definitions.apply(record, position)
    return position
  }

  /** The position is 0 if nothing was durable. */
  removeIds(ids: readonly number[]): Position {
    const stored = ids.filter((id) => this.#definitions.byId(id)?.stored !== null)
    let position: Position = 0
    for (let index = 0; index < stored.length; index += removedIdsMax) {
      position = this.append({ kind: 'removed', ids: stored.slice(index, index + removedIdsMax) })
    }
    this.#definitions.apply({ kind: 'removed', ids }, position)
    this.#reclaim?.consider()
    return position
  }

  /** Writes a definition again at the end of the log, for reclaim. */
  rewrite(id: number): void {
    const definition = this.#definitions.byId(id)
    assert(definition !== undefined, 'a live record has its definition')
    // The record behind that one end was deleted says enough of it, and a later one of the binding would be wrong.
    if (definition.kind === 'binding' && definition.isGone) {
      this.#definitions.forget(definition)
      return
    }
    this.change(recordOf(definition), true)
  }

  /** Appends only. */
  append(record: TopologyRecord): Position {
    const log = this.#log
    if (log === null) {
      throw new BrokerError('internal-error', 'definitions cannot be stored at the moment')
    }
    const bytes = encodeRecord(record)
    const max = topologyLimits.definitionBytesMax
    if (bytes.length > max) {
      throw new BrokerError(
        'precondition-failed',
        `${record.kind} of ${bytes.length} bytes is larger than ${max} bytes`,
      )
    }
    const at = log.reserve(bytes.length)
    log.buffer.set(bytes, at)
    this.#reclaim?.count(log.segments.at(-1)?.id ?? 0)
    return log.appended
  }
}

/** An id is the term × this + a count. */
const idsPerTerm = 2 ** 32
/** Terms for which ids stay below 2^53. */
const termsMax = 2 ** 21
/** In one record, which must fit a log's longest. */
const removedIdsMax = 10_000
