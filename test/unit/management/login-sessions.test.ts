/** Sessions of the dashboard: whom their cookie stands for, for how long, and for whom not. */
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { endedLoginsMax, LoginLedger, sealKeysMax } from '../../../src/broker/access/login-ledger.ts'
import { TokenRights } from '../../../src/broker/access/token-rights.ts'
import { User } from '../../../src/broker/access/user.ts'
import {
  ageMsMax,
  clockSkewMsMax,
  idleMsMax,
  LoginSessions,
  renewMs,
} from '../../../src/management/api/login-sessions.ts'
import { ApiHarness, type Got } from './api-harness.ts'

const page = { 'x-warren-session': '1', host: 'localhost:15672' }

async function logIn(api: ApiHarness, user = 'monitoring'): Promise<string> {
  const got = await api.send('POST', '/api/session', { user, headers: page })
  assert.equal(got.status, 200, got.text)
  return got.headers.get('set-cookie') ?? ''
}

describe('a session of the dashboard', () => {
  let api: ApiHarness
  beforeEach(async () => {
    api = await ApiHarness.open()
  })
  const whoami = (cookie: string, headers: Record<string, string> = page): Promise<Got> =>
    api.send('GET', '/api/whoami', { user: null, headers: { ...headers, cookie: cookie.split(';')[0] ?? '' } })

  it('stands for who has logged in, until it is ended', async () => {
    const cookie = await logIn(api)
    assert.match(cookie, /^warren-session-15672=[\w-]{100,600}; HttpOnly; SameSite=Strict$/)
    const got = await whoami(cookie)
    assert.deepEqual([got.status, got.json], [200, { name: 'monitoring', tags: ['monitoring'] }])
    const [pair = ''] = cookie.split(';')
    const ended = await api.send('DELETE', '/api/session', { user: null, headers: { ...page, cookie: pair } })
    assert.equal(ended.status, 204)
    assert.match(ended.headers.get('set-cookie') ?? '', /^warren-session-15672=; .*Max-Age=0$/)
    assert.equal((await whoami(cookie)).status, 401)
  })

  it('has a cookie for encrypted connections only where it began on one', async () => {
    const headers = { ...page, host: 'broker.example', origin: 'https://broker.example' }
    const got = await api.send('POST', '/api/session', { headers })
    assert.match(got.headers.get('set-cookie') ?? '', /^warren-session=.*; Secure$/)
  })

  it('is of no use to pages of other sites', async () => {
    const cookie = await logIn(api)
    const { 'x-warren-session': _mark, ...without } = page
    assert.equal((await whoami(cookie, without)).status, 401)
    for (const foreign of [{ origin: 'http://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
      assert.equal((await whoami(cookie, { ...page, ...foreign })).status, 403)
    }
    assert.equal((await whoami(cookie, { ...page, host: 'localhost:15673' })).status, 401)
  })

  it('makes no browser ask for a password', async () => {
    const wrong = await api.send('POST', '/api/session', { password: 'wrong', headers: page })
    assert.deepEqual([wrong.status, wrong.headers.get('www-authenticate')], [401, null])
    assert.equal((await whoami('warren-session-15672=x')).headers.get('www-authenticate'), null)
    assert.notEqual((await api.send('GET', '/api/whoami', { user: null })).headers.get('www-authenticate'), null)
  })

  it('ends when its user is deleted, or given another password', async () => {
    const [deleted, changed, other] = [await logIn(api, 'monitoring'), await logIn(api, 'management'), await logIn(api)]
    await api.send('DELETE', '/api/users/monitoring', {})
    api.user('monitoring', ['monitoring'])
    await api.send('PUT', '/api/users/management', { body: { password: 'another', tags: 'management' } })
    for (const cookie of [deleted, changed, other]) assert.equal((await whoami(cookie)).status, 401)
  })

  it('knows the tags of now', async () => {
    const cookie = await logIn(api)
    const { topology } = api.broker
    topology.putUser('monitoring', topology.users.get('monitoring')?.passwordHash ?? '', ['administrator'])
    assert.deepEqual((await whoami(cookie)).json, { name: 'monitoring', tags: ['administrator'] })
  })
})

describe('sessions', () => {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const users = new Map(['a', 'b'].map((name, id) => [name, new User(id, name, 'hash', ['management'])]))
  const ledger = (secret = 'of the cluster'): LoginLedger => new LoginLedger({ clock, random, secret })
  const open = (loginLedger = ledger()): LoginSessions => new LoginSessions({ clock, random, users, loginLedger })
  const begin = (sessions: LoginSessions, address = '127.0.0.1', username = 'a'): string =>
    sessions.begin({ username, tags: [] }, { address, isSecure: false }) ?? ''
  const isGood = (sessions: LoginSessions, sealed: string, address = '127.0.0.1'): boolean =>
    sessions.use(sealed, address) !== null
  /** What a link carries. */
  const tellKey = (from: LoginLedger, to: LoginLedger): void => to.learnKey(from.own.id, from.own.seed, from.own.madeAt)

  it('end unused, and in any case', () => {
    const sessions = open()
    const unused = begin(sessions)
    let used = unused
    for (let passed = 0; passed < ageMsMax - idleMsMax; passed += idleMsMax / 2) {
      clock.advance(idleMsMax / 2)
      used = sessions.use(used, '127.0.0.1')?.renewed ?? assert.fail('it is over')
    }
    assert.equal(isGood(sessions, unused), false)
    clock.advance(idleMsMax - 1)
    assert.equal(isGood(sessions, used), true)
    clock.advance(2)
    assert.equal(isGood(sessions, used), false)
  })

  it('are sealed anew once a minute, not with each request', () => {
    const sessions = open()
    const sealed = begin(sessions)
    clock.advance(renewMs - 1)
    assert.equal(sessions.use(sealed, '127.0.0.1')?.renewed, null)
    clock.advance(1)
    assert.equal(typeof sessions.use(sealed, '127.0.0.1')?.renewed, 'string')
  })

  it('that began on this machine are of no use elsewhere', () => {
    const sessions = open()
    const [here, elsewhere] = [begin(sessions), begin(sessions, '10.0.0.1')]
    assert.equal(isGood(sessions, here, '10.0.0.1'), false)
    assert.equal(isGood(sessions, here, '::1'), true)
    assert.equal(isGood(sessions, elsewhere, '10.0.0.2'), true)
  })

  it('cannot be changed, made or read by who has no key', () => {
    const sessions = open()
    const sealed = begin(sessions)
    const bytes = Buffer.from(sealed, 'base64url')
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      assert.equal(isGood(sessions, changed.toString('base64url')), false, `byte ${at}`)
    }
    for (let end = 0; end < bytes.length; end++) {
      assert.equal(isGood(sessions, bytes.subarray(0, end).toString('base64url')), false, `cut at ${end}`)
    }
    for (const secret of ['hash', '"a"', 'username']) assert.equal(bytes.includes(secret), false)
    assert.equal(isGood(sessions, 'x'.repeat(100_000)), false)
  })

  it('are good at each node that knows the key, and only with the secret of the cluster', () => {
    const [one, other, foreign] = [ledger(), ledger(), ledger('of another cluster')]
    const sealed = begin(open(one))
    assert.equal(isGood(open(other), sealed), false)
    tellKey(one, other)
    tellKey(one, foreign)
    assert.equal(isGood(open(other), sealed), true)
    assert.equal(isGood(open(foreign), sealed), false)
  })

  it('that are ended stay so, also as they were sealed before or after', () => {
    const sessions = open()
    const first = begin(sessions)
    clock.advance(renewMs)
    const second = sessions.use(first, '127.0.0.1')?.renewed ?? assert.fail('it is not renewed')
    sessions.end(first)
    assert.deepEqual([isGood(sessions, first), isGood(sessions, second)], [false, false])
  })

  it('of a clock that is far ahead count for nothing', () => {
    const ahead = new ManualClock()
    ahead.advance(clock.now() - ahead.now() + clockSkewMsMax + 1)
    const loginLedger = ledger()
    const sealed = begin(new LoginSessions({ clock: ahead, random, users, loginLedger }))
    assert.equal(isGood(open(loginLedger), sealed), false)
    clock.advance(1)
    assert.equal(isGood(open(loginLedger), sealed), true)
  })

  it('of a token end with it, and do what it says', () => {
    const sessions = open()
    const rights = new TokenRights(['tag:monitoring', 'read:%2F/orders'], clock.now() + 90_000)
    const sealed = sessions.begin({ username: 't', tags: [], token: rights }, { address: '::1', isSecure: true }) ?? ''
    const found = sessions.use(sealed, '::1') ?? assert.fail('it is not good')
    assert.deepEqual([found.principal.tags, found.isSecure], [['monitoring'], true])
    assert.equal(found.principal.token?.allows('read', '/', 'orders'), true)
    assert.equal(found.principal.token?.allows('write', '/', 'orders'), false)
    clock.advance(90_000)
    assert.equal(isGood(sessions, sealed), false)
    const wide = new TokenRights(
      Array.from({ length: 500 }, (_, index) => `read:%2F/orders-${index}`),
      clock.now() + 1,
    )
    assert.equal(sessions.begin({ username: 't', tags: [], token: wide }, { address: '::1', isSecure: true }), null)
  })

  it('that were ended are few to remember: what is forgotten takes with it what is as old', () => {
    const loginLedger = ledger()
    const sessions = open(loginLedger)
    const [old, oldEnded] = [begin(sessions), begin(sessions)]
    sessions.end(oldEnded)
    clock.advance(1)
    const fresh = begin(sessions)
    for (let count = 0; count < endedLoginsMax; count++) sessions.end(begin(sessions))
    assert.ok([...loginLedger.ended].length <= endedLoginsMax)
    assert.deepEqual([isGood(sessions, oldEnded), isGood(sessions, old), isGood(sessions, fresh)], [false, false, true])
  })

  it('have keys of the last nodes that started', () => {
    const here = ledger()
    const mine = begin(open(here))
    const others = Array.from({ length: sealKeysMax }, () => {
      clock.advance(1)
      return ledger()
    })
    for (const other of others) tellKey(other, here)
    assert.equal([...here.keys].length, sealKeysMax)
    const [first, last] = [others[0], others.at(-1)].map((one) => begin(open(one)))
    const sessions = open(here)
    assert.deepEqual(
      [isGood(sessions, mine), isGood(sessions, first ?? ''), isGood(sessions, last ?? '')],
      [true, false, true],
    )
  })
})
