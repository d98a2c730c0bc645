import type { Clock } from '../base/clock.ts'

/** What has something to do once all the input of this turn of the event loop has been seen. */
export interface TurnMember {
  turnEnded(): void
}

/** How long members may take in one turn, in milliseconds, and how many of them between two looks at the clock. */
const turnEndMsMax = 4
const membersPerLook = 16

/**
 * Runs its members once, after the events that are already there: so that everything a connection has to say in a turn
 * goes out in one write. A member that adds itself while it runs is in the next turn; so are those for which there was
 * no time, ahead of it.
 */
export class TurnEnd {
  readonly #clock: Clock
  #members: TurnMember[] = []
  #running: TurnMember[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The member sees to it that it is added at most once per turn. */
  add(member: TurnMember): void {
    if (this.#members.length === 0) this.#clock.soon(this.#run)
    this.#members.push(member)
  }

  readonly #run = (): void => {
    const members = this.#members
    this.#members = this.#running
    this.#running = members
    const end = this.#clock.monotonic() + turnEndMsMax
    let index = 0
    while (index < members.length) {
      members[index++]?.turnEnded()
      if (index % membersPerLook === 0 && this.#clock.monotonic() >= end) break
    }
    if (index < members.length) this.#goOnLater(members.slice(index))
    members.length = 0
  }

  #goOnLater(left: readonly TurnMember[]): void {
    if (this.#members.length === 0) this.#clock.soon(this.#run)
    this.#members = left.concat(this.#members)
  }
}
