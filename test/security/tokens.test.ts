/** Logins by token: what is taken, what is not, what it gives and when it ends; keys from a file and from a server. */
import assert from 'node:assert/strict'
import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import * as http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { AMQPClient } from '@cloudamqp/amqp-client'
import amqplib from 'amqplib'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, importPKCS8, SignJWT } from 'jose'
import { ManualClock } from '../../src/base/clock.ts'
import { fetchText } from '../../src/base/fetch-text.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Config } from '../../src/config.ts'
import { cooldownMs, emptyCooldownMs, quietMs, RemoteKeys, refreshMs, staleMsMax } from '../../src/oauth/remote-keys.ts'
import { eventually, rejection } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'

const issuer = 'https://login.test/shop'
const everything = 'warren.configure:*/* warren.write:*/* warren.read:*/*'
const folder = mkdtempSync(join(tmpdir(), 'warren-tokens-'))
const keyFile = join(folder, 'key.pem')
const nodes: NodeInProcess[] = []
let pair: { publicKey: CryptoKey; privateKey: CryptoKey }
let node: NodeInProcess

interface Claims {
  readonly [name: string]: unknown
}

/** A good token, but for what is given; `null` leaves a claim out. */
async function token(claims: Claims = {}, key = pair.privateKey, header: Claims = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const all = { iss: issuer, aud: 'warren', exp: now + 60, sub: 'carla', scope: everything, ...claims }
  const payload = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null))
  return await new SignJWT(payload).setProtectedHeader({ alg: 'ES256', ...header }).sign(key)
}

async function start(options: Partial<Config> = {}): Promise<NodeInProcess> {
  const started = await NodeInProcess.start({
    oauthIssuer: issuer,
    oauthAudience: 'warren',
    failedLoginDelayMs: 0,
    failuresPerAddressMax: 1000,
    ...(options.oauthKeysUrl === undefined ? { oauthKeyFile: keyFile } : {}),
    ...options,
  })
  nodes.push(started)
  return started
}

function connect(secret: string, to = node, username = ''): Promise<amqplib.ChannelModel> {
  return amqplib.connect({ hostname: '127.0.0.1', port: to.port('amqp'), username, password: secret, vhost: '/' })
}

async function isTaken(secret: string, to = node): Promise<boolean> {
  try {
    await (await connect(secret, to)).close()
    return true
  } catch {
    return false
  }
}

async function whoami(authorization: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${node.port('http')}/api/whoami`, { headers: { authorization } })
  return { status: response.status, body: await response.text() }
}

/** Answers that were held back because somebody may be guessing. */
async function delays(of: NodeInProcess): Promise<number> {
  const headers = { authorization: `Basic ${Buffer.from('anna:secret').toString('base64')}` }
  const response = await fetch(`http://127.0.0.1:${of.port('http')}/metrics`, { headers })
  return Number(/^\w*login_answers_delayed_total(?:\{[^}]*\})? (\d+)$/m.exec(await response.text())?.[1])
}

before(async () => {
  pair = await generateKeyPair('ES256', { extractable: true })
  writeFileSync(keyFile, await exportSPKI(pair.publicKey))
  node = await start()
})
after(async () => {
  await Promise.all(nodes.map((one) => one.stop()))
  rmSync(folder, { recursive: true, force: true })
})

describe('A token', () => {
  it('logs in in place of a password, and by HTTP as Bearer, as whoever it names', async () => {
    assert.ok(await isTaken(await token()))
    const scope = `${everything} warren.tag:management`
    const { status, body } = await whoami(`Bearer ${await token({ scope })}`)
    assert.equal(status, 200)
    assert.deepEqual(JSON.parse(body), { ...JSON.parse(body), name: 'carla', tags: ['management'] })
    assert.equal((await whoami(`Bearer ${await token()}`)).status, 401, 'without a tag there is no management')
    assert.equal((await whoami('Bearer nonsense')).status, 401)
  })

  it('leaves users with passwords alone', async () => {
    await (await connect('secret', node, 'anna')).close()
    await rejection(connect('wrong', node, 'anna'))
  })

  const now = (): number => Math.floor(Date.now() / 1000)
  const bad: readonly [what: string, claims: () => Claims][] = [
    ['is over', () => ({ exp: now() - 60 })],
    ['does not end', () => ({ exp: null })],
    ['ends at no whole number', () => ({ exp: now() + 60.5 })],
    ['ends at a text', () => ({ exp: `${now() + 60}` })],
    ['is not valid yet', () => ({ nbf: now() + 600 })],
    ['has a nbf that is no number', () => ({ nbf: 'soon' })],
    ['is of another issuer', () => ({ iss: 'https://login.test/other' })],
    ['is of nobody', () => ({ iss: null })],
    ['is made for something else', () => ({ aud: 'other' })],
    ['is made for nothing', () => ({ aud: null })],
    ['names nobody', () => ({ sub: null })],
    ['names an empty user', () => ({ sub: '' })],
    ['names a user with a line end', () => ({ sub: 'a\nb' })],
    ['names a list of users', () => ({ sub: ['anna'] })],
    ['has too many scopes', () => ({ scope: Array.from({ length: 300 }, (_, index) => `warren.read:*/${index}`) })],
    ['has a number for a scope', () => ({ scope: 7 })],
  ]
  for (const [what, claims] of bad) {
    it(`is refused when it ${what}`, async () => {
      assert.equal(await isTaken(await token(claims())), false)
    })
  }

  it('is refused when its signature is not one of our keys and algorithms', async () => {
    const good = await token()
    const [header = '', payload = '', signature = ''] = good.split('.')
    const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const pem = await exportSPKI(pair.publicKey)
    const der = createPublicKey(pem).export({ type: 'spki', format: 'der' })
    const signedWith = (secret: string | Buffer): string => {
      const text = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${payload}`
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
    }
    const other = await generateKeyPair('ES256')
    const rsa = await generateKeyPair('RS256')
    for (const forged of [
      `${encoded({ alg: 'none' })}.${payload}.`,
      `${encoded({ alg: 'none' })}.${payload}.AA`,
      signedWith(pem),
      signedWith(der),
      `${header}.${encoded({ iss: issuer, aud: 'warren', exp: 9e9, sub: 'anna', scope: everything })}.${signature}`,
      `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
      await token({}, other.privateKey),
      await token({}, rsa.privateKey, { alg: 'RS256' }),
      await token({}, other.privateKey, { jwk: await exportJWK(other.publicKey) }),
      `${good}.${signature}`,
      'eyJ.eyJ.AA',
    ]) {
      assert.equal(await isTaken(forged), false, forged.slice(0, 40))
    }
    assert.ok(await isTaken(good))
  })

  it('is refused when the right key has signed it by another algorithm', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const oauthKeyFile = join(folder, 'rsa.pem')
    writeFileSync(oauthKeyFile, publicKey.export({ type: 'spki', format: 'pem' }))
    const strict = await start({ oauthKeyFile })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const signed = async (alg: string): Promise<string> => token({}, await importPKCS8(pem, alg), { alg })
    assert.ok(await isTaken(await signed('RS256'), strict))
    assert.ok(await isTaken(await signed('PS256'), strict))
    for (const alg of ['RS384', 'RS512', 'PS512']) assert.equal(await isTaken(await signed(alg), strict), false, alg)
  })

  it('gives its scopes and nothing else, also to a name that a user with all rights has', async () => {
    const scope =
      'warren.configure:%2F/mine-* warren.write:%2F/mine-* warren.read:*/mine-* other.configure:*/* configure:*/*'
    const connection = await connect(await token({ sub: 'anna', scope }))
    connection.on('error', () => {})
    const channel = await connection.createChannel()
    await channel.assertQueue('mine-1')
    channel.on('error', () => {})
    assert.match(
      (await rejection(channel.assertQueue('yours'))).message,
      /ACCESS_REFUSED - configure access to queue 'yours'/,
    )
    await connection.close()
    assert.equal(await isTaken(await token({ scope: 'warren.read:other/*' })), false, 'no scope for the vhost')
    assert.equal(await isTaken(await token({ scope: null })), false)
  })

  it('bounds routing keys of topic exchanges by its third part', async () => {
    const scope = 'warren.configure:*/* warren.read:*/* warren.write:*/amq.topic/eu.*'
    const connection = await connect(await token({ scope }))
    connection.on('error', () => {})
    const channel = await connection.createConfirmChannel()
    channel.publish('amq.topic', 'eu.berlin', Buffer.from('a'))
    await channel.waitForConfirms()
    const failed = new Promise<Error>((resolve) => channel.once('error', resolve))
    channel.publish('amq.topic', 'us.boston', Buffer.from('a'))
    assert.match((await failed).message, /write access to topic 'us.boston'/)
    await connection.close()
  })

  it('ends its connection when it is over', async () => {
    const connection = await connect(await token({ exp: Math.floor(Date.now() / 1000) - 5 }))
    const error = await new Promise<Error>((resolve) => connection.once('close', resolve))
    assert.match(error.message, /320.*credential expired|CONNECTION.FORCED.*credential expired/)
  })

  it('is replaced by update-secret: later end, other rights; not by one of somebody else', async () => {
    const client = new AMQPClient(
      `amqp://x:${await token({ exp: Math.floor(Date.now() / 1000) - 5 })}@127.0.0.1:${node.port('amqp')}/`,
    )
    const connection = await client.connect()
    await connection.updateSecret(await token({ scope: 'warren.configure:*/only-*' }), 'renewed')
    const channel = await connection.channel()
    await channel.queueDeclare('only-this')
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    assert.equal((await channel.queueDeclare('only-this', { passive: true })).name, 'only-this')
    assert.match((await rejection(channel.queueDeclare('that'))).message, /ACCESS_REFUSED/)
    // This client takes the end of the connection for an answer.
    void connection.updateSecret(await token({ sub: 'dora' }), 'taken over').catch(() => {})
    await eventually('the connection is closed', () => connection.closed)
    assert.equal(node.said(/New secret was refused by one of the backends/).length, 1)
  })

  it('stands in no line of the log', async () => {
    const good = await token()
    await isTaken(good)
    await isTaken(`${good}x`)
    await whoami(`Bearer ${good}`)
    const signature = good.split('.')[2] ?? ''
    assert.deepEqual(node.said(new RegExp(signature.slice(0, 30))), [])
  })
})

describe('Keys of a server', () => {
  it('are fetched; while it fails the last good ones stay, and unknown ones are asked for', async () => {
    let keys: unknown[] = []
    let status = 200
    let asked = 0
    const server = http.createServer((_request, response) => {
      asked++
      response.writeHead(status).end(JSON.stringify({ keys }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address() as { port: number }
    const second = await generateKeyPair('ES256', { extractable: true })
    keys = [{ ...(await exportJWK(pair.publicKey)), kid: 'a' }]
    const remote = await start({ oauthKeysUrl: `http://127.0.0.1:${address.port}/keys` })
    try {
      assert.ok(await isTaken(await token({}, pair.privateKey, { kid: 'a' }), remote))
      status = 500
      keys = []
      assert.ok(await isTaken(await token({}, pair.privateKey, { kid: 'a' }), remote))
      assert.equal(await isTaken(await token({}, second.privateKey, { kid: 'b' }), remote), false)
      for (let round = 0; round < 20; round++)
        await isTaken(await token({}, second.privateKey, { kid: `${round}` }), remote)
      assert.equal(asked, 1, 'made-up keys do not make it ask again at once')
    } finally {
      server.close()
    }
  })

  it('are used for six hours at most when they cannot be fetched, and never replaced by bad ones', async () => {
    const clock = new ManualClock()
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'a' }
    let answer: () => Promise<string> = () => Promise.resolve(JSON.stringify({ keys: [jwk] }))
    let asked = 0
    const fetchText = (): Promise<string> => {
      asked++
      return answer()
    }
    const keys = new RemoteKeys({ url: 'https://x/', clock, logger: silentLogger, fetchText })
    const first = await keys.current()
    assert.ok(first !== null)
    for (const bad of [
      '',
      '[]',
      '{"keys":[]}',
      '{"keys":[{"kty":"oct","k":"AAAA"}]}',
      JSON.stringify({ keys: [{ ...jwk, d: 'x' }] }),
    ]) {
      answer = () => Promise.resolve(bad)
      clock.advance(Math.max(refreshMs, cooldownMs) + 1)
      await keys.current()
      assert.equal(await keys.renewed(), null, bad)
      assert.equal(await keys.current(), first)
    }
    answer = () => Promise.reject(new Error('down'))
    const before = asked
    for (let round = 0; round < 100; round++) await keys.renewed()
    assert.ok(asked - before <= 1)
    clock.advance(staleMsMax + 1)
    assert.equal(await keys.current(), null)
  })

  it('are asked for soon after the start; who comes while there are none has not guessed', async () => {
    const server = http.createServer((_request, response) => void response.writeHead(302, { location: '/else' }).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const options = { oauthKeysUrl: `http://127.0.0.1:${port}/keys`, failuresPerAddressMax: 2 }
    const remote = await start(options)
    try {
      await eventually(
        'the log says why there are none',
        () => remote.said(/could not be fetched; nobody can log in by token.*the answer is a redirect/).length === 1,
      )
      for (let round = 0; round < 3; round++) assert.equal(await isTaken(await token(), remote), false)
      assert.equal(remote.said(/there are no keys to check tokens with/).length, 3)
      assert.equal(await delays(remote), 0)
      for (let round = 0; round < 3; round++) await rejection(connect('wrong', remote, 'anna'))
      assert.ok((await delays(remote)) > 0, 'who guesses is slowed down')
    } finally {
      server.close()
    }
  })

  it('that cannot be had are asked for again soon, with a line of the log for each reason', async () => {
    const clock = new ManualClock()
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'a' }
    const lines: string[] = []
    const note = (fields: { readonly reason?: string }): void => void lines.push(fields.reason ?? 'well')
    let answer: () => Promise<string> = () => Promise.reject(new Error('down'))
    const logger = { ...silentLogger, error: note, info: note }
    const keys = new RemoteKeys({ url: 'https://x/', clock, logger, fetchText: () => answer() })
    for (let seconds = 0; seconds < 30; seconds += 3) {
      assert.equal(await keys.current(), null)
      clock.advance(3_000)
    }
    answer = () => Promise.resolve('<html>')
    assert.equal(await keys.current(), null)
    clock.advance(emptyCooldownMs)
    answer = () => Promise.resolve(JSON.stringify({ keys: [jwk] }))
    assert.ok((await keys.current()) !== null)
    assert.deepEqual(lines, ['down', 'it is no JSON', 'well'])
  })

  it('that nobody asked for a while are fetched before they are used: one may have been taken back', async () => {
    const clock = new ManualClock()
    const names = ['a', 'b']
    const [a, b] = await Promise.all(
      names.map(async (kid) => ({ ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), kid })),
    )
    let keys = [a]
    const fetchText = (): Promise<string> => Promise.resolve(JSON.stringify({ keys }))
    const remote = new RemoteKeys({ url: 'https://x/', clock, logger: silentLogger, fetchText })
    const knows = async (kid: string): Promise<boolean> => {
      const getKey = await remote.current()
      const token = { payload: '', signature: '' }
      return await Promise.resolve(getKey?.({ alg: 'ES256', kid }, token)).then(
        (key) => key !== undefined,
        () => false,
      )
    }
    assert.ok(await knows('a'))
    keys = [b]
    clock.advance(quietMs + 1)
    assert.deepEqual([await knows('a'), await knows('b')], [false, true])
  })

  it('are waited for no longer than they may take, and read no further than they may be long', async () => {
    const answers: [(response: http.ServerResponse) => void, RegExp][] = [
      [(response) => response.writeHead(500).end(), /^the answer is 500$/],
      [
        (response) => response.writeHead(200).end(Buffer.alloc(300_000, 0x20)),
        /^the answer is longer than 262144 bytes$/,
      ],
      [(response) => response.writeHead(301, { location: '/' }).end(), /^the answer is a redirect/],
      [(response) => response.destroy(), /other side closed|socket hang up|ECONNRESET/],
      [(response) => response.writeHead(200).write('{'), /^no whole answer in 5000 ms$/],
    ]
    let answer = answers[0]?.[0]
    const server = http.createServer((_request, response) => answer?.(response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    for (const [next, why] of answers) {
      answer = next
      assert.match((await rejection(fetchText(`http://127.0.0.1:${port}/`))).message, why)
    }
    server.closeAllConnections()
    server.close()
    await new Promise<void>((resolve) => server.on('close', resolve))
    assert.match((await rejection(fetchText(`http://127.0.0.1:${port}/`))).message, /ECONNREFUSED/)
  })

  it('must come by https or from this machine; the options must fit together', async () => {
    for (const [options, text] of [
      [{ oauthKeysUrl: 'http://login.test/keys' }, /has to begin with https/],
      [{ oauthIssuer: 'none' }, /oauth-issuer is missing/],
      [{ oauthAudience: 'none' }, /oauth-audience is missing/],
      [{ oauthKeyFile: 'none' }, /give one of oauth-jwks-url and oauth-key-file/],
      [{ oauthKeyFile: join(folder, 'missing') }, /oauth-key-file = .* cannot be used/],
    ] as const) {
      assert.match((await rejection(start(options))).message, text)
    }
  })
})
