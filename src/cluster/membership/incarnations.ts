import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import { CannotJoin } from './cannot-join.ts'
import { fieldsOf, isCount } from './entry-fields.ts'
import { pause } from './pause.ts'

const key = 'incarnations'
const incarnationMax = 2 ** 20
const retryMs = 200

export interface IncarnationWorld {
  readonly coordination: Coordination
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
}

/**
 * The next number, which no other node was or will be given. Tries until the store acknowledges one; numbers whose write
 * has no known outcome are left unused.
 */
export async function takeIncarnation({ coordination, clock, logger, signal }: IncarnationWorld, name: string) {
  for (;;) {
    signal.throwIfAborted()
    try {
      const entry = await coordination.get(key)
      const next = (entry === null ? 0 : lastOf(entry.value)) + 1
      if (next >= incarnationMax) throw new CannotJoin(`the cluster has used up its ${incarnationMax} incarnations`)
      const revision = await coordination.put(key, JSON.stringify({ last: next, by: name }), entry?.revision ?? 0)
      if (revision !== null) return next
    } catch (error) {
      if (error instanceof CannotJoin) throw error
      logger.debug({ error }, 'the next incarnation could not be taken yet')
    }
    await pause(clock, retryMs, signal)
  }
}

function lastOf(value: string): number {
  const last = fieldsOf(value)?.['last']
  if (!isCount(last)) throw new CannotJoin(`the coordination key '${key}' holds ${value}, which is no count`)
  return last
}
