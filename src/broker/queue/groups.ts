/**
 * The groups of one queue: entries with the same key, of which so many as `limit` says are out at once, in order. Of each
 * group that may give, exactly one entry, its first, is *listed*: it stands among the ready ones for everyone to see.
 *
 * A group whose turn is over is listed again behind all that is waiting by then, so that keys take fair turns.
 */
export interface Group {
  readonly id: number
  readonly name: string
  /**
   * Ready sequences in order behind the listed one, from `at` on; those that are gone may be among them. Null in the many
   * groups that have none.
   */
  ready: number[] | null
  at: number
  /** Those that came back before the first of `ready`: in descending order, the next one last. */
  returned: number[] | null
  /** Handed out, or waiting to be tried again: both hold up those behind. */
  out: number
  /** All its entries, wherever they are. */
  members: number
  /** The sequence by which it stands among the ready ones; 0: it does not. */
  listed: number
}

export class Groups {
  limit: number
  readonly #isReady: (sequence: number) => boolean
  readonly #list: (sequence: number, isNewTurn: boolean) => void
  /** In parts, by a hash of the name: a map of a million takes too long to grow at once. */
  readonly #byName: (Map<string, Group> | null)[] = []
  #size = 0
  readonly #byId: (Group | null)[] = [null]
  readonly #freeIds: number[] = []

  /** `list` puts an entry among the ready ones: at its own place, or behind all others (`isNewTurn`). */
  constructor(
    limit: number,
    isReady: (sequence: number) => boolean,
    list: (sequence: number, isNewTurn: boolean) => void,
  ) {
    this.limit = limit
    this.#isReady = isReady
    this.#list = list
  }

  get size(): number {
    return this.#size
  }

  /** The id under which an entry notes its group; never 0. */
  join(name: string): number {
    const part = this.#partOf(name)
    let group = part.get(name)
    if (group === undefined) {
      const id = this.#freeIds.pop() ?? this.#byId.length
      group = { id, name, ready: null, at: 0, returned: null, out: 0, members: 0, listed: 0 }
      this.#byId[id] = group
      part.set(name, group)
      this.#size++
    }
    group.members++
    return group.id
  }

  nameOf(id: number): string {
    return this.#byId[id]?.name ?? ''
  }

  isListed(id: number, sequence: number): boolean {
    return this.#byId[id]?.listed === sequence
  }

  /** An entry is ready: it came, fell due, or came back. */
  ready(id: number, sequence: number): void {
    const group = this.#groupOf(id)
    if (group.listed === sequence) return
    if (group.listed === 0 || sequence > group.listed) insert(group, sequence)
    else {
      // It goes before the one that is listed, and takes its place.
      insert(group, group.listed)
      insert(group, sequence)
      group.listed = 0
    }
    this.#relist(group, false)
  }

  /** An entry was handed out: the listed one, or any other that the broker itself takes away. */
  taken(id: number, sequence: number): void {
    const group = this.#groupOf(id)
    group.out++
    if (group.listed !== sequence) return
    group.listed = 0
    this.#relist(group, true)
  }

  /** One that was out is ready again, at its place. */
  back(id: number, sequence: number): void {
    this.#groupOf(id).out--
    this.ready(id, sequence)
  }

  /** An entry is gone: one that was out, or one that was ready. */
  gone(id: number, sequence: number, wasOut: boolean): void {
    const group = this.#groupOf(id)
    group.members--
    if (wasOut) group.out--
    if (group.members === 0) return this.#forget(group)
    if (group.listed === sequence) group.listed = 0
    this.#relist(group, wasOut)
  }

  /** The limit has changed: some may give more. */
  changeLimit(limit: number): void {
    if (limit === this.limit) return
    this.limit = limit
    for (const part of this.#byName) for (const group of part?.values() ?? []) this.#relist(group, true)
  }

  #relist(group: Group, isNewTurn: boolean): void {
    if (group.listed !== 0 || group.out >= this.limit) return
    for (let sequence = takeFirst(group); sequence !== 0; sequence = takeFirst(group)) {
      if (!this.#isReady(sequence)) continue
      group.listed = sequence
      this.#list(sequence, isNewTurn)
      return
    }
  }

  #groupOf(id: number): Group {
    const group = this.#byId[id]
    if (group === null || group === undefined) throw new Error(`no group ${id}`)
    return group
  }

  #forget(group: Group): void {
    this.#partOf(group.name).delete(group.name)
    this.#size--
    this.#byId[group.id] = null
    this.#freeIds.push(group.id)
  }

  #partOf(name: string): Map<string, Group> {
    const index = hashOf(name) % parts
    while (this.#byName.length <= index) this.#byName.push(null)
    const part = this.#byName[index] ?? new Map<string, Group>()
    this.#byName[index] = part
    return part
  }
}

const parts = 256

/** FNV-1a. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}

/** Nearly always at the end; what comes back goes before the others. */
function insert(group: Group, sequence: number): void {
  const ready = group.ready ?? []
  const last = ready[ready.length - 1] ?? 0
  if (sequence > last || group.at === ready.length) append(group, sequence)
  else if (sequence > (ready[group.at] as number)) insertSorted(ready, group.at, sequence, 1)
  else {
    group.returned ??= []
    insertSorted(group.returned, 0, sequence, -1)
  }
}

function append(group: Group, sequence: number): void {
  const first = group.returned?.[0] ?? 0
  // It may only seem to be the last: all that is left came back.
  if (first > sequence) insertSorted(group.returned as number[], 0, sequence, -1)
  else if (group.ready === null) group.ready = [sequence]
  else group.ready.push(sequence)
}

/** Into what ascends (`direction` 1) or descends (-1) from index `low` on. */
function insertSorted(list: number[], from: number, sequence: number, direction: 1 | -1): void {
  let low = from
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (((list[middle] as number) - sequence) * direction < 0) low = middle + 1
    else high = middle
  }
  if (list[low] === sequence) return
  if (low === list.length) list.push(sequence)
  else list.splice(low, 0, sequence)
}

/** The lowest sequence, which is taken out; 0 when there is none. */
function takeFirst(group: Group): number {
  const { returned, ready } = group
  if (returned !== null) {
    const sequence = returned.pop() as number
    if (returned.length === 0) group.returned = null
    return sequence
  }
  if (ready === null) return 0
  const sequence = ready[group.at++] as number
  if (group.at === ready.length) {
    group.ready = null
    group.at = 0
  } else if (group.at > 64 && group.at * 2 > ready.length) {
    group.ready = ready.slice(group.at)
    group.at = 0
  }
  return sequence
}
