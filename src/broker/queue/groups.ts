/**
 * The groups of one queue: entries with the same key, of which so many as `limit` says are out at once, in order. Of each
 * group that may give, exactly one entry, its first, is *listed*: it stands among the ready ones for everyone to see.
 *
 * A group whose turn is over is listed again behind all that is waiting by then, so that keys take fair turns.
 */
export interface Group {
  readonly id: number
  readonly name: string
  /** Ready sequences in order, from `at` on; those that are gone may be among them. */
  ready: number[]
  at: number
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
  readonly #byName = new Map<string, Group>()
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
    return this.#byName.size
  }

  /** The id under which an entry notes its group; never 0. */
  join(name: string): number {
    let group = this.#byName.get(name)
    if (group === undefined) {
      const id = this.#freeIds.pop() ?? this.#byId.length
      group = { id, name, ready: [], at: 0, out: 0, members: 0, listed: 0 }
      this.#byId[id] = group
      this.#byName.set(name, group)
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
    insert(group, sequence)
    // One that goes before the one that is listed takes its place.
    if (group.listed !== 0 && sequence < group.listed) group.listed = 0
    this.#relist(group, false)
  }

  /** An entry was handed out: the listed one, or any other that the broker itself takes away. */
  taken(id: number, sequence: number): void {
    const group = this.#groupOf(id)
    group.out++
    if (group.listed !== sequence) return
    group.at++
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
    this.limit = limit
    for (const group of this.#byName.values()) this.#relist(group, true)
  }

  #relist(group: Group, isNewTurn: boolean): void {
    if (group.listed !== 0 || group.out >= this.limit) return
    for (; group.at < group.ready.length; group.at++) {
      const sequence = group.ready[group.at] as number
      if (!this.#isReady(sequence)) continue
      group.listed = sequence
      this.#list(sequence, isNewTurn)
      break
    }
    if (group.at === group.ready.length || (group.at > 64 && group.at * 2 > group.ready.length)) {
      group.ready = group.ready.slice(group.at)
      group.at = 0
    }
  }

  #groupOf(id: number): Group {
    const group = this.#byId[id]
    if (group === null || group === undefined) throw new Error(`no group ${id}`)
    return group
  }

  #forget(group: Group): void {
    this.#byName.delete(group.name)
    this.#byId[group.id] = null
    this.#freeIds.push(group.id)
  }
}

/** Nearly always at the end; what comes back goes before the others. */
function insert(group: Group, sequence: number): void {
  const { ready } = group
  let at = ready.length
  while (at > group.at && (ready[at - 1] as number) > sequence) at--
  if (at === ready.length) ready.push(sequence)
  else if (at === group.at && at > 0) ready[--group.at] = sequence
  else ready.splice(at, 0, sequence)
}
