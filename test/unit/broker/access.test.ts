import assert from 'node:assert/strict'
import { createHash, scryptSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { ManualClock, SystemClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { supportsArgon2 } from '../../../src/broker/access/argon2-hash.ts'
import { callersMax, checksMax, Logins, verifiedMs } from '../../../src/broker/access/logins.ts'
import {
  guestPasswordHash,
  hashPassword,
  isPasswordHash,
  nobodysPasswordHash,
  type PasswordVerifier,
  ThreadedPasswordVerifier,
  unknownUserHash,
} from '../../../src/broker/access/password-hash.ts'
import { Pattern } from '../../../src/broker/access/pattern.ts'
import type { Principal } from '../../../src/broker/commands.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  exchangeArguments,
  messageWith,
  newRoute,
  queueArguments,
  refusal,
  routed,
} from '../../support/broker-harness.ts'
import { TestLog } from '../../support/test-log.ts'

describe('a permission pattern', () => {
  it('matches anywhere unless it is anchored; an empty one matches nothing', () => {
    const cases: [string, string, boolean][] = [
      ['.*', 'anything', true],
      ['.*', '', true],
      ['', 'anything', false],
      ['', '', true],
      ['app', 'my-app-queue', true],
      ['^app', 'my-app', false],
      ['^app$', 'app', true],
      ['^(a|b)\\.', 'b.c', true],
      ['^amq\\.default$', 'amq.default', true],
      ['[', '[', false],
      ['(', '(', false],
      ['*', '*', false],
    ]
    for (const [text, name, expected] of cases)
      assert.equal(new Pattern(text).matches(name), expected, `${text} ${name}`)
  })

  it('that is too long or cannot be matched in bounded time denies, and says why', () => {
    assert.equal(new Pattern('a'.repeat(256)).error, null)
    assert.match(new Pattern('a'.repeat(257)).error ?? '', /longer than 256/)
    for (const [text, why] of [
      ['(?<!a)a', /looks behind/],
      ['(a)\\1', /refers back/],
      ['(?<n>a)\\k<n>', /refers back/],
      ['((a{1,50}){1,50}){1,50}', /is larger than/],
      ['a{1001}', /repeats more than 1000 times/],
      ['a++', /possessive/],
    ] as const) {
      const pattern = new Pattern(text)
      assert.match(pattern.error ?? '', why, text)
      assert.equal(pattern.matches('a'), false, text)
    }
  })

  it('of the kinds people write is in order', () => {
    for (const text of [
      '^(amq\\.gen.*|amq\\.default)$',
      '^(app1\\..*|app2\\..*|app3-[a-z]+|stats\\.(?:in|out)\\.\\d{4})$',
      '^tenant-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\..+',
      '[*+?{}()|]',
      'a{2,3}?b*?c+?',
      '\\(\\[\\*',
      '^[^.]+\\.[^.]+$',
      'x{',
      '^(?!amq\\.).*',
      '^(?!.*\\.private$)shop\\.',
    ]) {
      assert.equal(new Pattern(text).error, null, text)
    }
  })

  it('matches a name of 255 bytes quickly, whatever was accepted', () => {
    for (const text of [
      '^.*.*.*x',
      '^a*a*a*b',
      '^(?:a|b|c)?a*a*b$',
      '^[ab]*[ac]*[ad]*z',
      '^(?!.*.*x).*y',
      '.*.*x',
      '[ab]*a*c?b$',
    ]) {
      const start = performance.now()
      assert.equal(new Pattern(text).error, null, text)
      assert.equal(new Pattern(text).matches('a'.repeat(255)), false)
      assert.ok(performance.now() - start < 10_000, text)
    }
  })
})

describe('a password hash', () => {
  const verifier = new ThreadedPasswordVerifier(new SystemClock())
  const fits = (stored: string, password: string): Promise<boolean> =>
    new Promise((resolve) => verifier.verify(stored, password, resolve))

  it('fits its password only, and is another one each time', async () => {
    const random = new SeededRandom(1)
    const stored = await hashPassword('secret', random)
    assert.match(stored, supportsArgon2 ? /^argon2id\$65536\$2\$1\$/ : /^scrypt\$15\$8\$1\$/)
    assert.equal(await fits(stored, 'secret'), true)
    assert.notEqual(await hashPassword('secret', random), stored)
    assert.equal(isPasswordHash(stored), true)
  })

  it('of guest is ready made and fits', async () => {
    assert.equal(await fits(guestPasswordHash, 'guest'), true)
    assert.equal(await fits(guestPasswordHash, 'admin'), false)
  })

  it('as argon2id is made and read where Node has it, and fits nothing elsewhere', async () => {
    const salt = Buffer.from('0123456789abcdef')
    assert.equal(isPasswordHash(`argon2id$64$1$1$${salt.toString('base64')}$${'A'.repeat(43)}=`), true)
    for (const greedy of ['9999999$1$1', '64$99$1', '64$1$0', '4$1$1', '64$1$99']) {
      assert.equal(isPasswordHash(`argon2id$${greedy}$${salt.toString('base64')}$${'A'.repeat(43)}=`), false, greedy)
    }
    const made = await hashPassword('secret', new SeededRandom(3))
    assert.match(made, supportsArgon2 ? /^argon2id\$65536\$2\$1\$/ : /^scrypt\$15\$8\$1\$/)
    const fits = (stored: string, password: string): Promise<boolean> =>
      new Promise((resolve) => new ThreadedPasswordVerifier(new SystemClock()).verify(stored, password, resolve))
    assert.deepEqual([await fits(made, 'secret'), await fits(made, 'wrong')], [true, false])
    // Debian's `argon2 0123456789abcdef -id -t 1 -k 64 -p 1 -l 32 -r` says this of `secret`.
    const vector = 'pbviq+1UUgwZCmLIr4Hgk7mEMsxnRLuOb2HfvIaBwGY='
    const other = `argon2id$64$1$1$${salt.toString('base64')}$${vector}`
    assert.equal(await fits(other, 'secret'), supportsArgon2)
  })

  it('of nobody costs what others cost and fits nothing', async () => {
    assert.equal(isPasswordHash(nobodysPasswordHash), true)
    assert.equal(nobodysPasswordHash.slice(0, 14), guestPasswordHash.slice(0, 14))
    assert.equal(await fits(nobodysPasswordHash, 'guest'), false)
  })

  it('of RabbitMQ is read, with any of its algorithms', async () => {
    for (const algorithm of ['sha256', 'sha512', 'md5']) {
      const salt = Buffer.from([0x90, 0x8d, 0xc6, 0x0a])
      const hash = createHash(algorithm).update(salt).update('test12').digest()
      const stored = `rabbit-${algorithm}$${Buffer.concat([salt, hash]).toString('base64')}`
      assert.equal(isPasswordHash(stored), true)
      assert.equal(await fits(stored, 'test12'), true)
      assert.equal(await fits(stored, 'test13'), false)
    }
    // The worked example of RabbitMQ's password guide.
    assert.equal(await fits('rabbit-sha256$kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR', 'test12'), true)
  })

  it('tells passwords apart whose bytes are not UTF-8', async () => {
    const salt = Buffer.alloc(16, 7)
    const hash = scryptSync(Buffer.from([0x61, 0xff]), salt, 32, { N: 2, r: 8, p: 1 })
    const stored = `scrypt$1$8$1$${salt.toString('base64')}$${hash.toString('base64')}`
    assert.equal(await fits(stored, 'a\udcff'), true)
    assert.equal(await fits(stored, 'a\udcfe'), false)
    assert.equal(await fits(stored, 'a\ufffd'), false)
  })

  it('that cannot be read fits nothing', async () => {
    const unreadable = [
      '',
      'guest',
      'scrypt$15$8$1$$',
      'scrypt$60$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAA==',
    ]
    for (const stored of [...unreadable, 'rabbit-sha256$AAAA', 'rabbit-sha1$AAAAAAAAAAAAAAAAAAAAAAAAAAA=']) {
      assert.equal(isPasswordHash(stored), false, stored)
      assert.equal(await fits(stored, ''), false)
      assert.equal(await fits(stored, 'guest'), false)
    }
  })
})

/** A verifier that waits until the test says so. */
class HeldVerifier implements PasswordVerifier {
  readonly asked: { stored: string; password: string; done: (fits: boolean) => void }[] = []

  verify(stored: string, password: string, done: (fits: boolean) => void): void {
    this.asked.push({ stored, password, done })
  }

  /** Answers the oldest question: the stored text is the password. */
  answer(): void {
    const question = this.asked.shift()
    question?.done(question.stored === question.password)
  }
}

describe('a login', () => {
  const setUp = (): { clock: ManualClock; verifier: HeldVerifier; logins: Logins; seen: boolean[] } => {
    const clock = new ManualClock()
    const verifier = new HeldVerifier()
    const logins = new Logins({ clock, random: new SeededRandom(3), verifier })
    return { clock, verifier, logins, seen: [] }
  }

  it('is checked once while many ask, and remembered for a minute', () => {
    const { clock, verifier, logins, seen } = setUp()
    for (let index = 0; index < 500; index++) logins.check('u', 'right', 'right', (fits) => seen.push(fits))
    assert.equal(verifier.asked.length, 1)
    verifier.answer()
    assert.deepEqual(seen, Array(500).fill(true))
    clock.advance(verifiedMs - 1)
    logins.check('u', 'right', 'right', (fits) => seen.push(fits))
    assert.equal(seen.length, 501)
    clock.advance(1)
    logins.check('u', 'right', 'right', (fits) => seen.push(fits))
    assert.equal(verifier.asked.length, 1)
  })

  it('that failed is not remembered, nor one under a password changed since', () => {
    const { verifier, logins, seen } = setUp()
    for (let round = 0; round < 2; round++) {
      logins.check('u', 'right', 'wrong', (fits) => seen.push(fits))
      verifier.answer()
    }
    logins.check('u', 'right', 'right', (fits) => seen.push(fits))
    verifier.answer()
    logins.check('u', 'changed', 'right', (fits) => seen.push(fits))
    verifier.answer()
    assert.deepEqual(seen, [false, false, true, false])
  })

  it('of an unknown user is checked like any other, and fails', () => {
    const { verifier, logins, seen } = setUp()
    logins.check('nobody', null, 'right', (fits) => seen.push(fits))
    assert.equal(verifier.asked[0]?.stored, unknownUserHash)
    verifier.asked.shift()?.done(true)
    assert.deepEqual(seen, [false])
  })

  it('with an empty password fails, whatever is stored', () => {
    const { verifier, logins, seen } = setUp()
    logins.check('u', '', '', (fits) => seen.push(fits))
    assert.deepEqual(seen, [false])
    assert.equal(verifier.asked.length, 0)
  })

  it('waits for its turn, among a bounded number', () => {
    const { verifier, logins, seen } = setUp()
    for (let index = 0; index < checksMax + 10; index++) logins.check(`u${index}`, 'p', 'p', (fits) => seen.push(fits))
    assert.deepEqual(seen, Array(10).fill(false), 'the last ones are turned away at once')
    for (let index = 0; index < checksMax; index++) {
      assert.equal(verifier.asked.length, 1, 'one at a time')
      verifier.answer()
    }
    assert.equal(seen.filter((fits) => fits).length, checksMax)
    for (let index = 0; index <= callersMax; index++) logins.check('same', 'p', 'q', (fits) => seen.push(fits))
    assert.equal(seen.length, checksMax + 10 + 1)
  })

  it('of guest works from this machine only', async () => {
    const harness = await BrokerHarness.open()
    const login = (username: string, password: string, isLoopback: boolean): Promise<Principal | null> =>
      new Promise((resolve) => harness.broker.authenticate(username, password, isLoopback, resolve))
    harness.topology.putUser('guest', 'plain$guest', ['administrator'])
    harness.topology.putUser('anna', 'plain$secret', ['monitoring'])
    assert.deepEqual(await login('guest', 'guest', true), { username: 'guest', tags: ['administrator'] })
    assert.equal(await login('guest', 'guest', false), null)
    assert.deepEqual(await login('anna', 'secret', false), { username: 'anna', tags: ['monitoring'] })
    assert.equal(await login('anna', 'wrong', false), null)
    assert.equal(await login('bert', 'secret', true), null)
  })

  it('fails when the user goes or changes while it is being checked', async () => {
    const harness = await BrokerHarness.open()
    harness.topology.putUser('anna', 'plain$secret', [])
    const login = new Promise((resolve) => harness.broker.authenticate('anna', 'secret', true, resolve))
    harness.topology.putUser('anna', 'plain$other', [])
    assert.equal(await login, null)
  })
})

describe('opening a session', () => {
  it('needs the vhost and a row of rights there, be it an empty one', async () => {
    const harness = await BrokerHarness.open()
    harness.topology.putUser('u', 'plain$p', [])
    assert.throws(() => harness.session('u', 'x'), refusal('not-allowed', 'vhost x not found'))
    const text = "access to vhost '/' refused for user 'u'"
    assert.throws(() => harness.session('u'), refusal('not-allowed', text))
    await harness.broker.putPermission('u', '/', { configure: '', write: '', read: '' })
    assert.equal(harness.session('u').vhost.name, '/')
    await harness.broker.clearPermission('u', '/')
    assert.throws(() => harness.session('u'), refusal('not-allowed', text))
  })

  it('to another vhost sees nothing of this one', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.createVhost('other')
    await harness.broker.putPermission('guest', 'other', { configure: '.*', write: '.*', read: '.*' })
    const [here, there] = [harness.session(), harness.session('guest', 'other')]
    answer((reply) => here.vhost.declareQueue(here, queueArguments('q'), reply))
    assert.deepEqual(routed(there, '', 'q'), [])
    const passive = queueArguments('q', { isPassive: true })
    const text = "no queue 'q' in vhost 'other'"
    assert.throws(() => answer((reply) => there.vhost.declareQueue(there, passive, reply)), refusal('not-found', text))
  })

  it('ends with its vhost: all in it goes, and nothing can be done there any more', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.createVhost('other')
    await harness.broker.putPermission('guest', 'other', { configure: '.*', write: '.*', read: '.*' })
    const session = harness.session('guest', 'other')
    const declare = (name: string): unknown =>
      answer((reply) => session.vhost.declareQueue(session, queueArguments(name, { isDurable: true }), reply))
    for (let index = 0; index < 50; index++) declare(`q${index}`)
    const position = await harness.broker.deleteVhost('other')
    assert.equal(position, harness.log.appended)
    assert.equal(harness.shards.dropped.length, 50)
    const text = 'vhost other not found'
    assert.throws(() => declare('new'), refusal('not-allowed', text))
    assert.throws(() => harness.session('guest', 'other'), refusal('not-allowed', text))
    const again = await BrokerHarness.open(harness.log.afterCrash())
    assert.deepEqual([...again.topology.vhosts.keys()], ['/'])
  })
})

describe('rights', () => {
  const declare = (session: ReturnType<BrokerHarness['session']>, name: string): unknown =>
    answer((reply) => session.vhost.declareQueue(session, queueArguments(name), reply))

  it('bite at the next operation of a running session, both ways', async () => {
    const harness = await BrokerHarness.open()
    const session = harness.sessionWith('^a', '', '')
    const { username } = session.principal
    declare(session, 'a1')
    await harness.broker.putPermission(username, '/', { configure: '^b', write: '', read: '' })
    const text = `configure access to queue 'a2' in vhost '/' refused for user '${username}'`
    assert.throws(() => declare(session, 'a2'), refusal('access-refused', text))
    assert.throws(() => declare(session, 'a1'), refusal('access-refused', text.replace('a2', 'a1')))
    declare(session, 'b1')
    await harness.broker.deleteUser(username)
    assert.throws(() => declare(session, 'b1'), refusal('access-refused', text.replace('a2', 'b1')))
  })

  it('on the default exchange go by the name amq.default', async () => {
    const harness = await BrokerHarness.open()
    const allowed = harness.sessionWith('', '^amq\\.default$', '')
    assert.deepEqual(routed(allowed, '', 'nothing'), [])
    const refused = harness.sessionWith('', '^$', '')
    const { username } = refused.principal
    const text = `write access to exchange 'amq.default' in vhost '/' refused for user '${username}'`
    assert.throws(() => routed(refused, '', 'nothing'), refusal('access-refused', text))
  })

  it('on names made by the server go by these', async () => {
    const harness = await BrokerHarness.open()
    declare(harness.sessionWith('^amq\\.gen-', '', ''), '')
    assert.throws(() => declare(harness.sessionWith('^mine', '', ''), ''))
  })

  it('are asked for the name that is used, without its line breaks', async () => {
    const harness = await BrokerHarness.open()
    declare(harness.sessionWith('^ab$', '', ''), 'a\r\nb')
  })

  it('on topics hold for publishing and binding to topic exchanges, where a row names them', async () => {
    const harness = await BrokerHarness.open()
    const session = harness.sessionWith('.*', '.*', '.*')
    const { username } = session.principal
    declare(session, 'q')
    const permission = { exchange: 'amq.topic', write: '^{username}\\.', read: '^{vhost}public' }
    await harness.broker.putTopicPermission(username, '/', permission)
    const bind = (source: string, key: string): void => {
      answer<boolean>((reply) => session.vhost.bindQueue(session, bindArguments(source, 'q', key), reply))
    }
    routed(session, 'amq.topic', `${username}.news`)
    bind('amq.topic', '/public.news')
    bind('amq.direct', 'anything')
    routed(session, 'amq.direct', 'anything')
    const text = (right: string, key: string): string =>
      `${right} access to topic '${key}' in exchange 'amq.topic' in vhost '/' refused for user '${username}'`
    const publish = (): unknown => routed(session, 'amq.topic', 'x.news')
    assert.throws(publish, refusal('access-refused', text('write', 'x.news')))
    assert.throws(() => bind('amq.topic', 'x'), refusal('access-refused', text('read', 'x')))
    const unbind = (): unknown =>
      answer<boolean>((reply) => session.vhost.unbindQueue(session, bindArguments('amq.topic', 'q', 'x'), reply))
    assert.throws(unbind, refusal('access-refused', text('read', 'x')))
  })

  it('on topics take what variables stand for literally', async () => {
    const harness = await BrokerHarness.open()
    harness.topology.putUser('a.*|b-c', 'plain$p', [])
    await harness.broker.putPermission('a.*|b-c', '/', { configure: '.*', write: '.*', read: '.*' })
    const permission = { exchange: 'amq.topic', write: '^{username}$', read: '.*' }
    await harness.broker.putTopicPermission('a.*|b-c', '/', permission)
    const session = harness.session('a.*|b-c')
    routed(session, 'amq.topic', 'a.*|b-c')
    for (const key of ['axx', 'b-c', 'a.b|b-c']) assert.throws(() => routed(session, 'amq.topic', key))
  })

  it('with a pattern that cannot be matched in bounded time are not given', async () => {
    const harness = await BrokerHarness.open()
    const text = "the write pattern '(a)\\1' refers back to a group, which cannot be matched in bounded time"
    const put = harness.broker.putPermission('guest', '/', { configure: '', write: '(a)\\1', read: '' })
    await assert.rejects(put, refusal('precondition-failed', text))
  })

  it('survive a restart, with users and topic permissions', async () => {
    const harness = await BrokerHarness.open(new TestLog())
    const session = harness.sessionWith('^c', '^w', '^r')
    const { username } = session.principal
    await harness.broker.putTopicPermission(username, '/', { exchange: 'amq.topic', write: '^t', read: '' })
    await harness.broker.putPermission(username, '/', { configure: '^c2', write: '^w|^amq', read: '^r' })
    const again = await BrokerHarness.open(harness.log.afterCrash())
    const later = again.session(username)
    declare(later, 'c2')
    assert.throws(() => declare(later, 'c1'))
    routed(later, 'amq.topic', 't')
    assert.throws(() => routed(later, 'amq.topic', 'u'))
  })
})

describe('the gate for publishers', () => {
  it('is congested while told so, blocked while any alarm is on, and says when it changes', async () => {
    const { broker } = await BrokerHarness.open()
    const seen: string[] = []
    broker.listener = {
      topologyCommitted: () => {},
      publishGateChanged: () => seen.push(`${broker.publishGate} ${broker.alarms.join('+')}`),
      gone: () => {},
    }
    broker.setCongested(true)
    broker.setCongested(true)
    broker.setAlarm('memory', true)
    broker.setAlarm('disk', true)
    broker.setCongested(false)
    broker.setAlarm('memory', false)
    broker.setAlarm('disk', false)
    broker.setAlarm('disk', false)
    assert.deepEqual(seen, ['congested ', 'blocked memory', 'blocked memory+disk', 'blocked disk', 'open '])
  })

  it('reports what topology has committed', async () => {
    const log = new TestLog({ isCommittedAtOnce: false })
    const opening = BrokerHarness.open(log)
    await new Promise((resolve) => setImmediate(resolve))
    log.commit()
    const { broker, topology } = await opening
    const seen: number[] = []
    broker.listener = {
      topologyCommitted: (position) => seen.push(position),
      publishGateChanged: () => {},
      gone: () => {},
    }
    topology.putUser('u', 'plain$p', [])
    assert.deepEqual(seen, [])
    log.commit()
    assert.deepEqual(seen, [log.appended])
    assert.equal(broker.topologyCommitted, log.appended)
  })
})

it('a message to an exchange nobody may write to is refused before the exchange is looked up', async () => {
  const harness = await BrokerHarness.open()
  const session = harness.sessionWith('', '', '')
  const text = `write access to exchange 'secret' in vhost '/' refused for user '${session.principal.username}'`
  const resolve = (): void => session.vhost.resolve(session, 'secret', '', messageWith({}), newRoute())
  assert.throws(resolve, refusal('access-refused', text))
  const declare = (): unknown =>
    answer<boolean>((reply) => session.vhost.declareExchange(session, exchangeArguments('secret', 'topic'), reply))
  assert.throws(declare, refusal('access-refused', text.replace('write', 'configure')))
})
