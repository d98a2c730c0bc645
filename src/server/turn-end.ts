import type { Clock } from '../base/clock.ts'

/** What has something to do once all the input of this turn of the event loop has been seen. */
export interface TurnMember {
  turnEnded(): void
}

/**
 * Runs its members once, after the events that are already there: so that everything a connection has to say in a turn
 * goes out in one write. A member that adds itself while it runs is in the next turn.
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
    for (let index = 0; index < members.length; index++) members[index]?.turnEnded()
    members.length = 0
  }
}
