import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import { CannotJoin } from './cannot-join.ts'
import { type Coming, readComings, unsteadyMs, withComing, writeComings } from './comings.ts'
import { fieldsOf, isCount } from './entry-fields.ts'
import { pause } from './pause.ts'

const key = 'incarnations'
const incarnationMax = 2 ** 20
const retryMs = 200
/** A read may be old: so many in a row that are behind what is known, before the store is taken to have lost its end. */
const behindReadsMax = 5
/** How many numbers are left out then: others may have been given of which this node has not heard. */
const lostNumbersMax = 1_024

export interface IncarnationWorld {
  readonly coordination: Coordination
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  /** The highest that this node's data directory knows to have been given, to whichever node. */
  readonly incarnationSeen: number
  readonly sessionMs: number
}

export interface Taken {
  readonly incarnation: number
  /** How long the node must stay before it is steady, in milliseconds. */
  readonly unsteadyMs: number
}

/**
 * The next number, which no other node was or will be given. Tries until the store acknowledges one; numbers whose write
 * has no known outcome are left unused.
 *
 * A count that is behind what is known was lost, or put back from an old copy, and with it leases and sessions. Then those
 * who served under what was lost must have stopped first, which they have when their sessions were not renewed for long.
 */
export async function takeIncarnation(world: IncarnationWorld, name: string): Promise<Taken> {
  const { coordination, clock, logger, signal, incarnationSeen, sessionMs } = world
  let behindReads = 0
  for (;;) {
    signal.throwIfAborted()
    try {
      const entry = await coordination.get(key)
      const { last, comings } = entry === null ? nothingYet : readCount(entry.value)
      const isBehind = last < incarnationSeen
      behindReads = isBehind ? behindReads + 1 : 0
      if (isBehind && behindReads < behindReadsMax) throw new Error(`incarnation ${incarnationSeen} was given before`)
      if (behindReads === behindReadsMax) {
        logger.error({ last, incarnationSeen }, lossSentence(sessionMs))
        await pause(clock, sessionMs, signal)
        continue
      }
      const next = isBehind ? incarnationSeen + lostNumbersMax : last + 1
      if (next >= incarnationMax) throw new CannotJoin(`the cluster has used up its ${incarnationMax} incarnations`)
      const coming = { name, at: Math.floor(clock.now()) }
      const value = JSON.stringify({ last: next, by: name, comings: writeComings(withComing(comings, coming)) })
      const revision = await coordination.put(key, value, entry?.revision ?? 0)
      if (revision !== null) return { incarnation: next, unsteadyMs: unsteadyMs(comings, coming) }
    } catch (error) {
      if (error instanceof CannotJoin) throw error
      signal.throwIfAborted()
      logger.debug({ error }, 'the next incarnation could not be taken yet')
    }
    await pause(clock, retryMs, signal)
  }
}

function lossSentence(sessionMs: number): string {
  return `what the nodes agree on was lost or put back to an older state: this node waits ${sessionMs / 1000} s, until nobody serves under what it was, and goes on`
}

interface Count {
  readonly last: number
  readonly comings: readonly Coming[]
}

const nothingYet: Count = { last: 0, comings: [] }

function readCount(value: string): Count {
  const { last, comings } = fieldsOf(value) ?? {}
  if (!isCount(last))
    throw new CannotJoin(
      `the coordination key '${key}' holds ${value}, which is no count; remove the key, then the nodes go on beyond all they know`,
    )
  return { last, comings: readComings(comings) }
}
