/** Queues and commands by chance. Times are small and few, so that things meet. */
import fc from 'fast-check'
import type { Outcome } from '../../src/broker/ports.ts'
import type { QueueSettings, RetrySettings } from '../../src/broker/queue/queue-settings.ts'
import type { QueuePlan } from './queue-model.ts'
import type { Command, Publish } from './queue-run.ts'

const times = fc.constantFrom(0, 10, 20, 30, 1000)
const ttl = fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 3, arbitrary: times })

/** What may change while the queue is there. */
const changing = {
  messageTtlMs: ttl,
  maxLength: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 2, arbitrary: fc.nat(4) }),
  maxLengthBytes: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(60) }),
  overflow: fc.oneof(
    { weight: 3, arbitrary: fc.constant('drop-head' as const) },
    { weight: 1, arbitrary: fc.constantFrom('reject-publish' as const, 'reject-publish-dlx' as const) },
  ),
  deadLetterExchange: fc.oneof(
    { weight: 2, arbitrary: fc.constant(null) },
    { weight: 6, arbitrary: fc.constantFrom('dlx', 'both', '') },
    { weight: 1, arbitrary: fc.constantFrom('nowhere', 'gone') },
  ),
  deadLetterRoutingKey: fc.constantFrom(null, 'dead', 'wait', 'work'),
}

const retry: fc.Arbitrary<RetrySettings> = fc.record({
  attempts: fc.constantFrom(null, 0, 1, 2),
  delayMs: fc.constantFrom(0, 5, 10),
  backoff: fc.constantFrom('linear' as const, 1, 2, 3),
  maxDelayMs: fc.constantFrom(20, 1000),
  jitter: fc.constant(0),
  on: fc.constantFrom('all' as const, 'requeue' as const),
  parkingQueue: fc.constantFrom(null, 'dead', 'wait'),
})

const settings: fc.Arbitrary<Partial<QueueSettings>> = fc.record({
  ...changing,
  maxPriority: fc.constantFrom(null, 2, 9),
  isSingleActive: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  deliveryLimit: fc.constantFrom(null, null, 1, 2),
  groupLimit: fc.constantFrom(1, 1, 2),
  consumerTimeoutMs: fc.constantFrom(null, null, null, 15, 500),
  deduplication: fc.constantFrom(null, null, { windowMs: 25, idsMax: 100 }, { windowMs: 5000, idsMax: 100 }),
  retry: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: retry }),
})

/** `work` is what it is about; `wait` gives back to it what has become old there; `dead` is plain. */
const somePlans: fc.Arbitrary<QueuePlan[]> = fc.record({ work: settings, waitMs: times }).map(({ work, waitMs }) => [
  { name: 'work', isDurable: true, settings: work },
  {
    name: 'wait',
    isDurable: true,
    settings: { messageTtlMs: waitMs, deadLetterExchange: '', deadLetterRoutingKey: 'work' },
  },
  { name: 'dead', isDurable: true, settings: {} },
])

const outcome = fc.constantFrom<Outcome>('ack', 'requeue', 'fail', 'reject')
/** Mostly the first, which is `work`. */
const queue = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2) })

const publish: fc.Arbitrary<Publish> = fc.record({
  to: queue,
  priority: fc.constantFrom(0, 0, 1, 2, 5),
  expirationMs: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: times }),
  delayMs: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(5, 10, 100) }),
  isPersistent: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  bytes: fc.constantFrom(4, 10, 30),
  group: fc.oneof({ weight: 6, arbitrary: fc.constant('') }, { weight: 2, arbitrary: fc.constantFrom('a', 'b') }),
  messageId: fc.oneof(
    { weight: 2, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom('i', 'j', 'k') },
  ),
  cc: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
})

const consume: fc.Arbitrary<Command> = fc.record({
  type: fc.constant('consume' as const),
  queue,
  limit: fc.constantFrom(0, 1, 1, 2, 3),
  isNoAck: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  priority: fc.constantFrom(0, 0, 1),
})

const settle: fc.Arbitrary<Command> = fc.record({
  type: fc.constantFrom('settle' as const, 'settle' as const, 'settle through' as const),
  delivery: fc.nat(20),
  outcome,
})

const cancel: fc.Arbitrary<Command> = fc.record({
  type: fc.constant('cancel' as const),
  consumer: fc.nat(5),
  outcome: fc.constantFrom<Outcome | null>(null, 'fail', 'requeue'),
})

const extendLease: fc.Arbitrary<Command> = fc.record({
  type: fc.constant('extend lease' as const),
  delivery: fc.nat(20),
  ms: fc.constantFrom(0, 7, 100),
})

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 48, arbitrary: publish.map((one): Command => ({ type: 'publish', ...one })) },
  {
    weight: 6,
    arbitrary: fc
      .array(publish, { minLength: 2, maxLength: 6 })
      .map((publishes): Command => ({ type: 'burst', publishes })),
  },
  { weight: 12, arbitrary: consume },
  { weight: 40, arbitrary: settle },
  { weight: 8, arbitrary: cancel },
  { weight: 4, arbitrary: extendLease },
  {
    weight: 20,
    arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, 5, 10, 20, 100, 2000) }),
  },
  { weight: 12, arbitrary: fc.record({ type: fc.constant('get' as const), queue, isNoAck: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('purge' as const), queue }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('settings' as const), settings: fc.record(changing) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'fill segment' as const }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('restart' as const), isClean: fc.boolean() }) },
)

export interface Life {
  readonly queues: QueuePlan[]
  readonly steps: Command[]
}

const someLives: fc.Arbitrary<Life> = fc.record({
  queues: somePlans,
  steps: fc.array(command, { maxLength: 60, size: 'max' }),
})

/** Everything but groups. */
export const livesWithoutGroups: fc.Arbitrary<Life> = someLives.map(({ queues, steps }) => ({
  queues,
  steps: steps.map((step) => {
    if (step.type === 'burst') return { ...step, publishes: step.publishes.map((one) => ({ ...one, group: '' })) }
    return step.type === 'publish' ? { ...step, group: '' } : step
  }),
}))

/** Groups, in queues without limits and dead letters. */
export const livesWithGroups: fc.Arbitrary<Life> = someLives.map(({ queues, steps }) => ({
  queues: queues.map((plan) => ({ ...plan, settings: { ...plan.settings, ...unlimited } })),
  steps: steps.map((step) =>
    step.type === 'settings' ? { ...step, settings: { ...step.settings, ...unlimited } } : step,
  ),
}))

const unlimited = { maxLength: null, maxLengthBytes: null, deadLetterExchange: null, deadLetterRoutingKey: null }
