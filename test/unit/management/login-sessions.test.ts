/** Sessions of the dashboard: whom their cookie stands for, for how long, and for whom not. */
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { User } from '../../../src/broker/access/user.ts'
import {
  ageMsMax,
  idleMsMax,
  LoginSessions,
  sessionsMax,
  sessionsPerUserMax,
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
    assert.match(cookie, /^warren-session-15672=[\w-]{32}; HttpOnly; SameSite=Strict$/)
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
  const users = new Map(['a', 'b'].map((name, id) => [name, new User(id, name, 'hash', [])]))
  const open = (): LoginSessions => new LoginSessions({ clock, random: new SeededRandom(1), users })

  it('end unused, and in any case', () => {
    const sessions = open()
    const unused = sessions.begin({ username: 'a', tags: [] }, '127.0.0.1')
    const used = sessions.begin({ username: 'a', tags: [] }, '127.0.0.1')
    for (let passed = 0; passed < ageMsMax - idleMsMax; passed += idleMsMax / 2) {
      clock.advance(idleMsMax / 2)
      assert.notEqual(sessions.use(used, '127.0.0.1'), null)
    }
    assert.equal(sessions.use(unused, '127.0.0.1'), null)
    clock.advance(idleMsMax - 1)
    assert.notEqual(sessions.use(used, '127.0.0.1'), null)
    clock.advance(2)
    assert.equal(sessions.use(used, '127.0.0.1'), null)
  })

  it('that began on this machine are of no use elsewhere', () => {
    const sessions = open()
    const here = sessions.begin({ username: 'a', tags: [] }, '127.0.0.1')
    const elsewhere = sessions.begin({ username: 'a', tags: [] }, '10.0.0.1')
    assert.equal(sessions.use(here, '10.0.0.1'), null)
    assert.notEqual(sessions.use(here, '::1'), null)
    assert.notEqual(sessions.use(elsewhere, '10.0.0.2'), null)
  })

  it('are few: of a user, and together', () => {
    const sessions = open()
    const others = sessions.begin({ username: 'b', tags: [] }, '127.0.0.1')
    const tokens = Array.from({ length: sessionsPerUserMax + 1 }, () =>
      sessions.begin({ username: 'a', tags: [] }, '127.0.0.1'),
    )
    assert.equal(sessions.count, sessionsPerUserMax + 1)
    assert.equal(sessions.use(tokens[0] ?? '', '127.0.0.1'), null)
    for (const token of [tokens[1] ?? '', others]) assert.notEqual(sessions.use(token, '127.0.0.1'), null)
    for (let id = 0; id < sessionsMax; id++) {
      const username = `user-${id}`
      users.set(username, new User(id, username, 'hash', []))
      sessions.begin({ username, tags: [] }, '127.0.0.1')
    }
    assert.equal(sessions.count, sessionsMax)
  })
})
