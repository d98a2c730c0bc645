/** Dead letters by where and of what they died: of one queue, and of all queues that hold some. */
import { inSlices } from '../../base/sliced.ts'
import type { Session } from '../../broker/commands.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { BrokerError } from '../../broker/errors.ts'
import type { DeclaredQueue } from '../../broker/topology/declared-queue.ts'
import { queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, badRequest, ok } from './answer.ts'
import { browse } from './browsing.ts'
import { DeathGroups } from './death-groups.ts'
import { inSession } from './in-session.ts'
import { queueOf } from './queues.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

export const deadLetterRoutes: readonly Route[] = [
  route('GET', '/queues/{vhost}/{name}/deaths', ofQueue, { vhost: 'enter' }),
  route('GET', '/warren/dead-letters', (api, request) => ofAll(api, request, request.caller.visibleVhosts())),
  route('GET', '/warren/dead-letters/{vhost}', (api, request) => ofAll(api, request, vhostsOf(request)), {
    vhost: 'enter',
  }),
]

/** Messages looked at together, so that others have their turn in between. */
const pageMessages = 200
/** Messages of one queue that are looked at for one answer. */
const ofQueueMax = 100_000
/** Of all queues, for one answer: messages, and queues with messages. What is left is for the next one. */
const messagesMax = 10_000
const queuesMax = 500
/** A queue whose first messages have never died holds no dead letters: it is passed over. */
const sampleMessages = 10

async function ofQueue(api: Api, request: ApiRequest): Promise<Answer> {
  const { name } = queueOf(request)
  const groups = new DeathGroups(name)
  const budget = { messages: ofQueueMax }
  const left = await inSession(api, request, (session) => look(api, session, { name, after: 0, groups, budget }))
  return ok({ is_complete: left === null, groups: groups.json })
}

interface Look {
  readonly name: string
  /** Sequence of the last message that was seen. */
  readonly after: number
  readonly groups: DeathGroups
  readonly budget: { messages: number }
}

/** The sequence of the last message that was looked at, where there may be more; null: that was all. */
async function look(api: Api, session: Session, { name, after, groups, budget }: Look): Promise<number | null> {
  let [last, limit] = [after, after === 0 ? sampleMessages : pageMessages]
  while (budget.messages > 0) {
    const found = await browse(api, session, name, { after: last, limit, bodyBytesMax: 0 })
    for (const message of found) groups.add(message)
    budget.messages -= found.length
    const newest = found.at(-1)
    if (newest === undefined || groups.size === 0) return null
    last = newest.sequence
    limit = pageMessages
  }
  return last
}

// ---------------------------------------------------------------- of all queues

/** Where the next answer goes on. */
interface Place {
  readonly vhost: string
  readonly queueId: number
  readonly after: number
}

function* vhostsOf({ vhost }: ApiRequest): Generator<VhostState> {
  if (vhost !== null) yield vhost
}

/** Groups as they are found, queue by queue; a queue that is long comes in several answers. `next` asks for the rest. */
async function ofAll(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  const begin = placeOf(request.query.get('after'))
  const candidates = await inSlices(api.runQueue, holders(api, entered(request, vhosts), begin))
  const budget = { messages: messagesMax }
  const groups: JsonObject[] = []
  let next: Place | null = null
  let looked = 0
  for (const { vhost, queue, after } of candidates) {
    if (budget.messages <= 0 || looked === queuesMax) {
      next = { vhost: vhost.name, queueId: queue.id, after }
      break
    }
    looked++
    const found = new DeathGroups(queue.name)
    const left = await lookIn(api, request, vhost, { name: queue.name, after, groups: found, budget })
    for (const group of found.json) groups.push({ vhost: vhost.name, holder: queue.name, ...group })
    if (left !== null) {
      next = { vhost: vhost.name, queueId: queue.id, after: left }
      break
    }
  }
  const queuesLeft = candidates.length - looked + (next !== null && next.after > 0 ? 1 : 0)
  return ok({ groups, messages_looked_at: messagesMax - budget.messages, queues_left: queuesLeft, next: textOf(next) })
}

function* entered({ caller }: ApiRequest, vhosts: Iterable<VhostState>): Generator<VhostState> {
  for (const vhost of vhosts) if (caller.mayEnter(vhost)) yield vhost
}

interface Candidate {
  readonly vhost: VhostState
  readonly queue: DeclaredQueue
  readonly after: number
}

/** Queues with messages, from a place on: vhosts and queues stand in the order in which they were made. */
function* holders(
  { broker }: Api,
  vhosts: Iterable<VhostState>,
  begin: Place | null,
): Generator<void, readonly Candidate[]> {
  const found: Candidate[] = []
  let isThere = begin === null
  for (const vhost of vhosts) {
    const isFirst = !isThere && vhost.name === begin?.vhost
    isThere ||= isFirst
    if (!isThere) continue
    for (const queue of vhost.queues.values()) {
      yield
      if (isFirst && queue.id < (begin?.queueId ?? 0)) continue
      const { ready, unacked } = broker.topology.statusNow(queue)
      if (ready + unacked === 0 || queueTypeOf(queue.arguments) === 'stream') continue
      found.push({ vhost, queue, after: isFirst && queue.id === begin?.queueId ? begin.after : 0 })
    }
  }
  return found
}

/** What may not be read, or has gone, is passed over. */
async function lookIn(api: Api, { caller }: ApiRequest, vhost: VhostState, wish: Look): Promise<number | null> {
  const session = api.broker.openSession(caller.principal, vhost.name)
  try {
    return await look(api, session, wish)
  } catch (error) {
    if (error instanceof BrokerError) return null
    throw error
  } finally {
    api.broker.closeSession(session, () => {})
  }
}

function textOf(place: Place | null): string | null {
  if (place === null) return null
  return Buffer.from(JSON.stringify([place.vhost, place.queueId, place.after])).toString('base64url')
}

function placeOf(text: string | null): Place | null {
  if (text === null) return null
  try {
    const [vhost, queueId, after] = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown[]
    if (typeof vhost === 'string' && Number.isSafeInteger(queueId) && Number.isSafeInteger(after)) {
      return { vhost, queueId: queueId as number, after: after as number }
    }
  } catch {
    // Said below.
  }
  throw badRequest('after has to be what next of the answer before was')
}
