/** Who guesses is slowed down, then not listened to; who came in and who changed what is written down, without secrets. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import amqplib from 'amqplib'
import { ManualClock } from '../../src/base/clock.ts'
import { delayMsMax, LoginThrottle, tableMax, throttleDefaults } from '../../src/broker/access/login-throttle.ts'
import { AuditRoute } from '../../src/cli/audit-file.ts'
import { LeveledLogger, type LogSettings } from '../../src/cli/logs.ts'
import { rejection } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'

const far = '203.0.113.7'

function throttle(clock = new ManualClock()): { throttle: LoginThrottle; clock: ManualClock } {
  return { throttle: new LoginThrottle(clock, throttleDefaults), clock }
}

describe('Failed logins', () => {
  it('of an address are answered later and later, then not looked at until a minute is over', () => {
    const { throttle: desk, clock } = throttle()
    const delays: number[] = []
    while (desk.refusal(far, 'anna') === null) delays.push(desk.failed(far, `user ${delays.length}`))
    assert.equal(delays.length, throttleDefaults.failuresPerAddressMax)
    assert.deepEqual(delays.slice(0, 7), [0, 0, 0, 250, 500, 1_000, 2_000])
    assert.equal(delays.at(-1), delayMsMax)
    assert.match(desk.refusal(far, 'anna') ?? '', /20 failed logins from this address/)
    assert.deepEqual([desk.failures, desk.delays, desk.refusals], [20, 17, 2])
    assert.equal(desk.refusal('203.0.113.8', 'anna'), null, 'others are let in')
    clock.advance(60_000)
    assert.equal(desk.refusal(far, 'anna'), null)
  })

  it('of a user from everywhere shut out nobody who has come from an address before', () => {
    const { throttle: desk } = throttle()
    desk.succeeded('198.51.100.1', 'anna')
    for (let index = 0; index < throttleDefaults.failuresPerUserMax; index++) desk.failed(`203.0.113.${index}`, 'anna')
    assert.match(desk.refusal('198.51.100.2', 'anna') ?? '', /failed logins of this user/)
    assert.equal(desk.refusal('198.51.100.1', 'anna'), null)
    assert.equal(desk.refusal('198.51.100.2', 'ben'), null)
  })

  it('of this machine are slow and never shut it out', () => {
    const { throttle: desk } = throttle()
    for (const address of ['127.0.0.1', '::1', '127.8.9.1']) {
      for (let index = 0; index < 200; index++) desk.failed(address, 'guest')
      assert.equal(desk.refusal(address, 'guest'), null)
      assert.equal(desk.failed(address, 'guest'), delayMsMax)
    }
  })

  it('fill tables that are bounded', () => {
    const { throttle: desk } = throttle()
    for (let index = 0; index < 3 * tableMax; index++) {
      desk.failed(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, `user ${index}`)
      desk.succeeded(`10.0.0.1`, `user ${index}`)
    }
    assert.ok(desk.size <= 3 * tableMax, `${desk.size}`)
  })

  it('are held back by AMQP and HTTP alike', async () => {
    const node = await NodeInProcess.start({ failedLoginDelayMs: 0 })
    try {
      const wrong = `Basic ${Buffer.from('anna:canary-wrong').toString('base64')}`
      const url = `http://127.0.0.1:${node.port('http')}/api/whoami`
      const ask = async (): Promise<number> => (await fetch(url, { headers: { authorization: wrong } })).status
      for (let index = 0; index < 4; index++) assert.equal(await ask(), 401)
      const start = performance.now()
      await rejection(amqplib.connect(`amqp://anna:canary-wrong@127.0.0.1:${node.port('amqp')}`))
      const ms = performance.now() - start
      assert.ok(ms > 450, `the fifth was answered after ${ms} ms`)
      await (await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)).close()
    } finally {
      await node.stop()
    }
  })
})

describe('The audit', () => {
  it('tells who came in, who did not, and who changed what from where; secrets stand in no line', async () => {
    const node = await NodeInProcess.start({ failedLoginDelayMs: 0 })
    try {
      const login = `Basic ${Buffer.from('anna:secret').toString('base64')}`
      const send = async (method: string, path: string, body?: unknown): Promise<number> => {
        const json = body === undefined ? {} : { body: JSON.stringify(body) }
        const url = `http://127.0.0.1:${node.port('http')}/api/${path}`
        return (await fetch(url, { method, headers: { authorization: login }, ...json })).status
      }
      assert.equal(await send('PUT', 'users/dora', { password: 'canary-new', tags: '' }), 201)
      assert.equal(await send('PUT', 'users/dora', { password: 'canary-new', tags: 7 }), 400)
      assert.equal(await send('GET', 'definitions'), 200)
      assert.equal(await send('GET', 'users'), 200)
      await rejection(amqplib.connect(`amqp://dora:canary-wrong@127.0.0.1:${node.port('amqp')}`))
      const audit = node.log.filter(({ part }) => part === 'audit')
      const place = { address: '127.0.0.1', via: 'http' }
      const put = { ...place, route: 'PUT /users/{user}' }
      assert.deepEqual(
        audit.map(({ fields, message }) => [message, fields]),
        [
          ['login', { ...place, proof: 'password', user: 'anna' }],
          ['change', { ...put, user: 'dora', by: 'anna', status: 201 }],
          ['login', { ...place, proof: 'password', user: 'anna' }],
          ['change', { ...put, user: 'dora', by: 'anna', status: 400 }],
          ['login', { ...place, proof: 'password', user: 'anna' }],
          ['change', { ...place, by: 'anna', route: 'GET /definitions', status: 200 }],
          ['login', { ...place, proof: 'password', user: 'anna' }],
          [
            'login refused',
            { address: '127.0.0.1', via: 'amqp', proof: 'password', user: 'dora', reason: 'wrong password' },
          ],
        ],
      )
      assert.deepEqual(
        audit.filter(({ message }) => message === 'login').map(({ level }) => level),
        ['info', 'debug', 'debug', 'debug'],
        'requests of one user from one address are one login',
      )
      assert.deepEqual(node.said(/canary|secret|YW5uYTpzZWNyZXQ/), [])
    } finally {
      await node.stop()
    }
  })

  it('has a file of its own, which may be moved away', () => {
    const folder = mkdtempSync(join(tmpdir(), 'warren-audit-'))
    try {
      const path = join(folder, 'audit.log')
      const main: string[] = []
      const target = { isTerminal: false, write: (line: string) => void main.push(line) }
      const route = new AuditRoute(target, (error) => assert.fail(String(error)))
      const settings: LogSettings = { level: 'error', parts: new Map([['server', 'debug']]) }
      const logger = new LeveledLogger(settings, target, { audit: route })
      route.use(path)
      logger.part('audit').info({ user: 'anna' }, 'login')
      renameSync(path, `${path}.1`)
      route.use(path)
      logger.part('audit').info({ user: 'ben', password: 'canary', clientSecret: 'canary' }, 'login')
      assert.match(readFileSync(`${path}.1`, 'utf8'), /"user":"anna","msg":"login"}\n$/)
      const line = readFileSync(path, 'utf8')
      assert.match(line, /"part":"audit","user":"ben","password":"\*\*\*","clientSecret":"\*\*\*"/)
      assert.equal(statSync(path).mode & 0o777, 0o600)
      assert.throws(() => route.use(join(folder, 'no', 'such')), /cannot be opened \(ENOENT\); give/)
      logger.part('audit').info({}, 'still there')
      assert.match(readFileSync(path, 'utf8'), /still there/)
      logger.info({}, 'hidden')
      logger.part('server').debug({}, 'shown')
      logger.settings = { level: 'info', parts: new Map() }
      logger.info({}, 'shown now')
      logger.part('server').debug({}, 'hidden now')
      assert.deepEqual(
        main.map((each) => JSON.parse(each).msg),
        ['shown', 'shown now'],
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
