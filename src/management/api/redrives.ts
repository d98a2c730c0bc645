import type { Principal } from '../../broker/commands.ts'
import { ApiError, badRequest } from './answer.ts'
import { Redrive, type RedriveWish } from './redrive.ts'
import type { Api } from './route.ts'

/** Runs at one time, and those that are remembered. */
const runningMax = 16
const rememberedMax = 256

/** The runs of a node: at most one for a queue; of the last one is told until another begins. */
export class Redrives {
  readonly #runs = new Map<string, Redrive>()

  start(api: Api, principal: Principal, wish: RedriveWish): Redrive {
    const key = keyOf(wish.vhost, wish.from)
    if (this.#runs.get(key)?.isRunning === true) throw badRequest('messages of this queue are on their way already')
    const running = [...this.#runs.values()].filter(({ isRunning }) => isRunning)
    if (running.length >= runningMax) {
      throw new ApiError(429, 'too_many_requests', `messages of ${runningMax} queues are on their way already`)
    }
    this.#runs.delete(key)
    for (const [old, run] of this.#runs) if (this.#runs.size >= rememberedMax && !run.isRunning) this.#runs.delete(old)
    const run = new Redrive(api, principal, wish)
    this.#runs.set(key, run)
    run.start()
    return run
  }

  of(vhost: string, queue: string): Redrive | null {
    return this.#runs.get(keyOf(vhost, queue)) ?? null
  }
}

function keyOf(vhost: string, queue: string): string {
  return JSON.stringify([vhost, queue])
}
