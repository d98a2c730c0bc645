import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type { VhostCommands } from '../../../src/broker/commands.ts'
import { BrokerError } from '../../../src/broker/errors.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import { Vhost } from '../../../src/broker/vhost.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  consumeArguments,
  exchangeArguments,
  messageWith,
  newRoute,
  queueArguments,
} from '../../support/broker-harness.ts'

/**
 * Every operation of a vhost × every set of rights, against one table: RabbitMQ's permission model. A command without
 * a row here fails the first test.
 */

type Right = 'configure' | 'write' | 'read'
/** One right on one name, as it is asked for. */
type Need = readonly [Right, string]

interface Operation {
  /** The command it calls. */
  readonly command: keyof VhostCommands
  readonly title: string
  /** All of these are needed. */
  readonly all: readonly Need[]
  /** One of these is enough. */
  readonly any?: readonly Need[]
  readonly run: (session: BrokerSession) => void
}

const noConditions = { ifUnused: false, ifEmpty: false }
const withAlternate = { arguments: { 'alternate-exchange': 'ae' } }
const withDeadLetters = { arguments: { 'x-dead-letter-exchange': 'dlx' } }

/** Existing: queue `q`, exchanges `x`, `y` (fanout) and `t` (topic). Not existing: everything that begins with `new`. */
const operations: readonly Operation[] = [
  {
    command: 'declareExchange',
    title: 'new',
    all: [['configure', 'new.x']],
    run: (s) => answer<boolean>((r) => s.vhost.declareExchange(s, exchangeArguments('new.x', 'fanout'), r)),
  },
  {
    command: 'declareExchange',
    title: 'existing',
    all: [['configure', 'x']],
    run: (s) => answer<boolean>((r) => s.vhost.declareExchange(s, exchangeArguments('x', 'fanout'), r)),
  },
  {
    command: 'declareExchange',
    title: 'new, with an alternate exchange',
    all: [
      ['configure', 'new.x'],
      ['read', 'new.x'],
      ['write', 'ae'],
    ],
    run: (s) =>
      answer<boolean>((r) => s.vhost.declareExchange(s, exchangeArguments('new.x', 'fanout', withAlternate), r)),
  },
  {
    command: 'declareExchange',
    title: 'existing, with an alternate exchange',
    all: [['configure', 'a']],
    run: (s) => answer<boolean>((r) => s.vhost.declareExchange(s, exchangeArguments('a', 'fanout', withAlternate), r)),
  },
  {
    command: 'declareExchange',
    title: 'passive',
    all: [],
    any: [
      ['configure', 'x'],
      ['write', 'x'],
      ['read', 'x'],
    ],
    run: (s) => answer<boolean>((r) => s.vhost.declareExchange(s, exchangeArguments('x', '', { isPassive: true }), r)),
  },
  {
    command: 'deleteExchange',
    title: 'existing',
    all: [['configure', 'x']],
    run: (s) => answer<void>((r) => s.vhost.deleteExchange(s, 'x', false, r)),
  },
  {
    command: 'deleteExchange',
    title: 'not existing',
    all: [['configure', 'new.x']],
    run: (s) => answer<void>((r) => s.vhost.deleteExchange(s, 'new.x', false, r)),
  },
  ...(['bindExchange', 'unbindExchange'] as const).map((command) => ({
    command,
    title: 'existing',
    all: [
      ['write', 'y'],
      ['read', 'x'],
    ] as const,
    run: (s: BrokerSession) => void answer<boolean>((r) => s.vhost[command](s, bindArguments('x', 'y', 'k'), r)),
  })),
  ...(['bindQueue', 'unbindQueue'] as const).map((command) => ({
    command,
    title: 'existing',
    all: [
      ['write', 'q'],
      ['read', 'x'],
    ] as const,
    run: (s: BrokerSession) => void answer<boolean>((r) => s.vhost[command](s, bindArguments('x', 'q', 'k'), r)),
  })),
  {
    command: 'unbindQueue',
    title: 'not existing',
    all: [
      ['write', 'new.q'],
      ['read', 'new.x'],
    ],
    run: (s) => answer<boolean>((r) => s.vhost.unbindQueue(s, bindArguments('new.x', 'new.q'), r)),
  },
  {
    command: 'declareQueue',
    title: 'new',
    all: [['configure', 'new.q']],
    run: (s) => answer((r) => s.vhost.declareQueue(s, queueArguments('new.q'), r)),
  },
  {
    command: 'declareQueue',
    title: 'existing',
    all: [['configure', 'q']],
    run: (s) => answer((r) => s.vhost.declareQueue(s, queueArguments('q'), r)),
  },
  {
    command: 'declareQueue',
    title: 'new, with a dead-letter exchange',
    all: [
      ['configure', 'new.q'],
      ['read', 'new.q'],
      ['write', 'dlx'],
    ],
    run: (s) => answer((r) => s.vhost.declareQueue(s, queueArguments('new.q', withDeadLetters), r)),
  },
  {
    command: 'declareQueue',
    title: 'new, dead letters to the default exchange',
    all: [
      ['configure', 'new.q'],
      ['read', 'new.q'],
      ['write', 'amq.default'],
    ],
    run: (s) => {
      const options = { arguments: { 'x-dead-letter-exchange': '' } }
      answer((r) => s.vhost.declareQueue(s, queueArguments('new.q', options), r))
    },
  },
  {
    command: 'declareQueue',
    title: 'passive',
    all: [],
    any: [
      ['configure', 'q'],
      ['write', 'q'],
      ['read', 'q'],
    ],
    run: (s) => answer((r) => s.vhost.declareQueue(s, queueArguments('q', { isPassive: true }), r)),
  },
  {
    command: 'deleteQueue',
    title: 'existing',
    all: [['configure', 'q']],
    run: (s) => answer<number>((r) => s.vhost.deleteQueue(s, 'q', noConditions, r)),
  },
  {
    command: 'deleteQueue',
    title: 'not existing',
    all: [['configure', 'new.q']],
    run: (s) => answer<number>((r) => s.vhost.deleteQueue(s, 'new.q', noConditions, r)),
  },
  {
    command: 'purgeQueue',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => answer<number>((r) => s.vhost.purgeQueue(s, 'q', r)),
  },
  {
    command: 'readableQueue',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => void s.vhost.readableQueue(s, 'q'),
  },
  {
    command: 'listScheduled',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => answer((r) => s.vhost.listScheduled(s, 'q', { after: 0, limit: 10 }, r)),
  },
  {
    command: 'cancelScheduled',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => answer<number>((r) => s.vhost.cancelScheduled(s, 'q', 'm', r)),
  },
  {
    command: 'reschedule',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => answer<number>((r) => s.vhost.reschedule(s, 'q', 'm', 0, r)),
  },
  {
    command: 'resolve',
    title: 'to an exchange',
    all: [['write', 'x']],
    run: (s) => s.vhost.resolve(s, 'x', '', messageWith({}), newRoute()),
  },
  {
    command: 'resolve',
    title: 'to the default exchange',
    all: [['write', 'amq.default']],
    run: (s) => s.vhost.resolve(s, '', 'q', messageWith({}), newRoute()),
  },
  {
    command: 'checkPublish',
    title: 'existing',
    all: [['write', 'x']],
    run: (s) => s.vhost.checkPublish(s, 'x'),
  },
  {
    command: 'checkPublish',
    title: 'the default exchange',
    all: [['write', 'amq.default']],
    run: (s) => s.vhost.checkPublish(s, ''),
  },
  {
    command: 'get',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => s.vhost.get(s, 'q', true, { message: () => {}, empty: () => {}, failed: () => {} }),
  },
  {
    command: 'consume',
    title: 'existing',
    all: [['read', 'q']],
    run: (s) => answer((r) => s.vhost.consume(s, consumeArguments('q', 'c'), r)),
  },
]

/** Commands that act on something its holder was given when it had the right: a route, a consumer, a delivery. */
const withoutRights: readonly (keyof VhostCommands)[] = [
  'name',

  'routingVersion',
  'publish',
  'openBody',
  'activate',
  'cancel',
  'resume',
  'settle',
  'extendLease',
]

/** Every subset of the three rights, on every one of some name patterns. */
function* rightSets(names: readonly string[]): Generator<Record<Right, string>> {
  const patterns = ['', '.*', ...names.map((name) => `^${name.replaceAll('.', '\\.')}$`), '^other']
  for (const configure of patterns) {
    for (const write of patterns) {
      for (const read of patterns) yield { configure, write, read }
    }
  }
}

function isGiven(patterns: Record<Right, string>, [right, name]: Need): boolean {
  const pattern = patterns[right]
  return pattern !== '' && new RegExp(pattern).test(name)
}

describe('the table of rights', () => {
  it('has a row for every command of a vhost', () => {
    const commands = Object.getOwnPropertyNames(Vhost.prototype).filter((name) => name !== 'constructor')
    const rows = new Set<string>([...operations.map((operation) => operation.command), ...withoutRights])
    assert.deepEqual(
      commands.filter((name) => !rows.has(name)),
      [],
    )
    assert.deepEqual(
      [...rows].filter((name) => !commands.includes(name)),
      [],
    )
  })
})

describe('an operation is done exactly when the table says so', () => {
  let harness: BrokerHarness
  let asked = 0

  before(async () => {
    harness = await BrokerHarness.open()
    harness.topology.putUser('u', 'plain$p', [])
  })

  /** What the operations find; made anew, because they change it. */
  function furnish(): void {
    const guest = harness.session()
    const state = harness.topology.vhosts.get('/')
    assert.ok(state)
    for (const name of ['new.q', 'q']) {
      const queue = state.queues.get(name)
      if (queue !== undefined) harness.topology.remove(queue)
    }
    for (const name of ['new.x', 'x', 'y']) {
      const exchange = state.exchanges.get(name)
      if (exchange !== undefined) harness.topology.remove(exchange)
    }
    answer((r) => guest.vhost.declareQueue(guest, queueArguments('q'), r))
    for (const name of ['x', 'y']) {
      answer<boolean>((r) => guest.vhost.declareExchange(guest, exchangeArguments(name, 'fanout'), r))
    }
    answer<boolean>((r) => guest.vhost.declareExchange(guest, exchangeArguments('a', 'fanout', withAlternate), r))
  }

  function outcome(operation: Operation, session: BrokerSession): 'done' | BrokerError {
    try {
      operation.run(session)
      return 'done'
    } catch (error) {
      if (error instanceof BrokerError) return error
      throw error
    }
  }

  for (const operation of operations) {
    it(`${operation.command}, ${operation.title}`, () => {
      const needs = [...operation.all, ...(operation.any ?? [])]
      const names = [...new Set(needs.map(([, name]) => name))]
      for (const patterns of rightSets(names)) {
        furnish()
        void harness.broker.putPermission('u', '/', patterns)
        const isAllowed =
          operation.all.every((need) => isGiven(patterns, need)) &&
          (operation.any === undefined || operation.any.some((need) => isGiven(patterns, need)))
        const result = outcome(operation, harness.session('u'))
        const sets = JSON.stringify(patterns)
        asked++
        if (isAllowed) assert.equal(result, 'done', sets)
        else checkRefusal(result, needs, patterns)
      }
    })
  }

  function checkRefusal(result: 'done' | BrokerError, needs: readonly Need[], patterns: Record<Right, string>): void {
    const sets = JSON.stringify(patterns)
    assert.ok(result instanceof BrokerError, `done with ${sets}`)
    assert.equal(result.kind, 'access-refused', sets)
    const [, right, name] =
      /^(\w+) access to (?:queue|exchange) '(.*)' in vhost '\/' refused for user 'u'$/.exec(result.message) ?? []
    const missing = needs.filter((need) => !isGiven(patterns, need))
    assert.ok(
      missing.some(([missingRight, missingName]) => missingRight === right && missingName === name),
      `${result.message}, with ${sets}`,
    )
  }

  it('for some thousand combinations', () => {
    assert.ok(asked > 1_500, `${asked}`)
  })
})
